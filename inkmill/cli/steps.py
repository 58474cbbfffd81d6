"""Steps that several commands share: send a job, wait for it, exit according to its rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inkmill.cli.display import many, progress_bar, say, sending_line
from inkmill.codes import Exit

if TYPE_CHECKING:
    from inkmill.producer import Connection, JobStatus
    from inkmill.producer.submission.options import SubmitOptions


def send(
    paths: Sequence[str],
    connection: Connection,
    options: SubmitOptions,
    announce: Callable[[str], None] = lambda _: None,
) -> str:
    """Submit images with a progress line on stderr; returns the job's name.

    ``announce`` gets the name as soon as the job is stored, even if it cannot be sent.
    """
    from inkmill import producer

    with sending_line() as line:
        try:
            job = producer.submit(paths, connection=connection, progress=line.update, **options)
        except BaseException:
            if line.stored:
                announce(line.stored)
            line.explain_failure(options.get("name"))
            raise
    line.conclude()
    announce(job)
    return job


def wait_for(job: str, connection: Connection, timeout: float | None = None) -> JobStatus:
    """Wait for a job with a progress bar on stderr, then say how it ended."""
    from inkmill import producer

    with progress_bar(job) as show:
        ended = producer.wait(job, timeout=timeout, connection=connection, progress=show)
    counts = ", ".join(f"{number:,} {name}" for name, number in ended.statuses.items())
    say(f"job {job} is {ended.state}: {many(ended.rows, 'row')} ({counts})")
    return ended


def exit_by_rows(ended: JobStatus, *, strict: bool) -> None:
    """With ``strict``, end the program with code 3 if rows are in error."""
    if strict and ended.errors:
        say(f"{many(ended.errors, 'row')} in error")
        sys.exit(Exit.ROWS_IN_ERROR)
