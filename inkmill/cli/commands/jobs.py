"""inkmill submit, status, jobs, wait, results, resume, cancel, delete.

What a script reads goes to stdout (a job id, a table, JSON); what a person reads, to stderr.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, progress_bar, say, sending_line, show_job, show_jobs
from inkmill.codes import Exit
from inkmill.errors import UsageError
from inkmill.names import PRIORITIES
from inkmill.records.jobs import DOUBLES, HOLD, PRECISIONS

if TYPE_CHECKING:
    from inkmill.producer import Connection, JobStatus
    from inkmill.settings import Settings

_FORMATS = ("csv", "jsonl", "parquet", "xlsx")


def connection() -> Connection:
    """The servers that this process's settings name, with logs set up for a person."""
    from inkmill.log import set_up_logging
    from inkmill.producer import connect

    made = connect()
    set_up_logging(made.settings.log_format, "warning")
    return made


# --- commands --------------------------------------------------------------------------------


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--form", metavar="FILE", help="Template of the scanned form (YAML).")
@click.option("--forms", metavar="DIR", help="Folder of templates; each page's own is told.")
@click.option("--name", metavar="NAME", help="The job's id; the same again goes on with it.")
@click.option(
    "--model", default="pinned", show_default=True, help="pinned, follow, or a version's digits."
)
@click.option("--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True)
@click.option("--chunk-size", type=click.IntRange(1), help="Items in a chunk (default: by kind).")
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], show_default=True
)
@click.option("--expect", metavar="FILE", help="List of sources; a MISSING row for each absent.")
@click.option("--keys", metavar="FILE", help="Table of documents' keys by source (CSV).")
@click.option(
    "--doubles",
    type=click.Choice(DOUBLES),
    default=HOLD,
    show_default=True,
    help="What holds when a document has a page twice.",
)
@click.option("--new-revision", is_flag=True, help="Keep the job of that name, and this one too.")
@click.option("--retention-days", type=click.IntRange(0), help="Delete it so long after its end.")
@click.option("--wait", "and_wait", is_flag=True, help="Wait until every item has its row.")
@click.option("--strict", is_flag=True, help="With --wait: exit 3 when rows are in error.")
def submit(paths: tuple[str, ...], and_wait: bool, strict: bool, **options: Any) -> None:
    """Turn images into a job and send it; prints the job's id.

    PATH is a file, a folder (with all below it), a pattern in quotes, - for a list on standard
    input, or s3://bucket/prefix. PNG, JPEG, TIFF, WebP and PDF are read.
    """
    from inkmill import producer

    if strict and not and_wait:
        raise UsageError("--strict goes with --wait: only then the rows are known")
    connected = connection()
    with sending_line() as state:
        try:
            job = producer.submit(paths, connection=connected, progress=state.update, **options)
        except BaseException:
            state.leave(options["name"])
            raise
    state.conclude()
    click.echo(job)
    if and_wait:
        _leave(_watch(job, connected), strict)


@click.command()
@click.argument("job", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (a line for each job).")
def status(job: str | None, as_json: bool) -> None:
    """Show how JOB stands, or all jobs."""
    from inkmill import producer

    connected = connection()
    if job is None:
        show_jobs(producer.jobs(connection=connected), as_json)
    elif as_json:
        click.echo(json.dumps(asdict(producer.status(job, connection=connected))))
    else:
        show_job(producer.status(job, connection=connected))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def jobs(as_json: bool) -> None:
    """List the jobs in the store."""
    from inkmill import producer

    show_jobs(producer.jobs(connection=connection()), as_json)


@click.command()
@click.argument("job")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds; then exit 4.")
@click.option("--strict", is_flag=True, help="Exit 3 when rows are in error.")
def wait(job: str, timeout: float | None, strict: bool) -> None:
    """Wait until every item of JOB has its row.

    While it waits, what got lost is sent again.
    """
    _leave(_watch(job, connection(), timeout), strict)


@click.command()
@click.argument("job")
@click.option("-o", "--output", metavar="FILE", help="Default: standard output.")
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="Default: by -o, else csv.")
@click.option("--long", is_flag=True, help="One line for each field instead of each page.")
@click.option("--form", metavar="NAME", help="Only pages read by this one of several templates.")
@click.option("--partial", is_flag=True, help="Take what is there of an unfinished job.")
@click.option("--excel-safe", is_flag=True, help="CSV without anything Excel takes for a formula.")
def results(job: str, output: str | None, **options: Any) -> None:
    """Write JOB's rows as a table, in the order of its items."""
    from inkmill import producer

    count = producer.export(job, output, connection=connection(), **options)
    if output:
        say(f"{many(count, 'line')} in {output}")


@click.command()
@click.argument("job")
def resume(job: str) -> None:
    """Send again what of JOB has no result and is not under way."""
    from inkmill import producer

    missing = producer.resume(job, connection=connection())
    waits = f"{many(missing, 'chunk')} without a result"
    say(f"job {job}: {waits}" if missing else f"job {job} is finished: nothing to do")


@click.command()
@click.argument("job")
def cancel(job: str) -> None:
    """Stop JOB: finished rows stay, the rest become CANCELLED."""
    from inkmill import producer

    count = producer.cancel(job, connection=connection())
    say(f"job {job}: {many(count, 'row')} CANCELLED")


@click.command()
@click.argument("job")
@click.option("--keep-values", is_flag=True, help="Delete scans and pictures only.")
def delete(job: str, keep_values: bool) -> None:
    """Delete JOB: its scans, pictures and values. A running job is stopped."""
    from inkmill import producer

    producer.delete(job, keep_values=keep_values, connection=connection())
    say(f"job {job}: scans and pictures are deleted" if keep_values else f"job {job} is deleted")


# --- for other commands ----------------------------------------------------------------------


def watch(job: str, settings: Settings) -> JobStatus:
    """Wait for a job with a progress bar on stderr."""
    from inkmill.producer import connect

    return _watch(job, connect(settings))


def export(
    job: str, output: str | None, kind: str | None, *, long: bool, settings: Settings
) -> None:
    """Write a finished job's table to a file or stdout."""
    from inkmill import producer

    producer.export(job, output, kind=kind, long=long, settings=settings)


def _watch(job: str, connected: Connection, timeout: float | None = None) -> JobStatus:
    from inkmill import producer

    with progress_bar(job) as show:
        ended = producer.wait(job, timeout=timeout, connection=connected, progress=show)
    counts = ", ".join(f"{number:,} {name}" for name, number in ended.statuses.items())
    say(f"job {job} is {ended.state}: {many(ended.rows, 'row')} ({counts})")
    return ended


def _leave(ended: JobStatus, strict: bool) -> None:
    if strict and ended.errors:
        say(f"{many(ended.errors, 'row')} in error")
        sys.exit(Exit.ROWS_IN_ERROR)
