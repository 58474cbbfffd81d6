"""inkmill run: submit, wait and results in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from inkmill.cli.options import (
    paths_argument,
    strict_option,
    submit_options,
    table_options,
    workers_option,
)
from inkmill.cli.servers import any_stack
from inkmill.cli.steps import exit_by_rows, send, wait_for

if TYPE_CHECKING:
    from inkmill.producer.submission.options import SubmitOptions


@click.command()
@paths_argument
@submit_options()
@table_options
@workers_option
@strict_option
def run(
    paths: tuple[str, ...],
    output: str | None,
    kind: str | None,
    long: bool,
    workers: int,
    strict: bool,
    **options: Unpack[SubmitOptions],
) -> None:
    """Submit images, wait, and write the table: three commands in one.

    Uses the configured servers, or those of `inkmill up` in this folder; otherwise starts its own
    and stops them at the end.
    """
    from inkmill import producer
    from inkmill.producer.submission.submit import check
    from inkmill.settings import Settings

    # A misspelt path is reported before servers are started for it.
    check(paths, options, Settings.load())
    with any_stack(workers) as settings:
        connection = producer.connect(settings)
        job = send(paths, connection, options)
        ended = wait_for(job, connection)
        producer.export(job, output, kind=kind, long=long, connection=connection)
    exit_by_rows(ended, strict=strict)
