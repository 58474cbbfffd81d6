"""inkmill submit, status, jobs, wait, results, resume, cancel, delete.

Output for scripts (a job's name, a table, JSON) goes to stdout, messages for people to stderr.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Unpack

import click

from inkmill.cli.display import many, say, show_job, show_jobs
from inkmill.cli.options import (
    job_argument,
    json_option,
    paths_argument,
    strict_option,
    submit_options,
    table_options,
)
from inkmill.cli.servers import connection
from inkmill.cli.steps import exit_by_rows, send, wait_for
from inkmill.errors import UsageError

if TYPE_CHECKING:
    from inkmill.producer.submission.options import SubmitOptions


@click.command()
@paths_argument
@submit_options()
@click.option("--wait", "and_wait", is_flag=True, help="Wait until every item has its row.")
@click.option("--strict", is_flag=True, help="With --wait: exit with code 3 if rows are in error.")
def submit(
    paths: tuple[str, ...], and_wait: bool, strict: bool, **options: Unpack[SubmitOptions]
) -> None:
    """Create a job from images and send it; prints the job's name, or id if it has none.

    PATH is a file, a folder (with all its subfolders), a quoted pattern, - for a list on standard
    input, or s3://bucket/prefix. File types: PNG, JPEG, TIFF, WebP, BMP, GIF and PDF.
    """
    if strict and not and_wait:
        raise UsageError("--strict needs --wait: the rows are not known before")
    connected = connection()
    job = send(paths, connected, options, announce=click.echo)
    if and_wait:
        exit_by_rows(wait_for(job, connected), strict=strict)


@click.command()
@click.argument("job", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per job and line.")
def status(job: str | None, as_json: bool) -> None:
    """Show the state of JOB, or of all jobs."""
    from inkmill import producer

    connected = connection()
    if job is None:
        show_jobs(producer.jobs(connection=connected), as_json)
    elif as_json:
        click.echo(json.dumps(asdict(producer.status(job, connection=connected))))
    else:
        show_job(producer.status(job, connection=connected))


@click.command()
@json_option
def jobs(as_json: bool) -> None:
    """List the jobs in the store."""
    from inkmill import producer

    show_jobs(producer.jobs(connection=connection()), as_json)


@click.command()
@job_argument
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up after this time, with exit code 4.",
)
@strict_option
def wait(job: str, timeout: float | None, strict: bool) -> None:
    """Wait until every item of JOB has its row.

    Meanwhile, lost chunks are resent.
    """
    exit_by_rows(wait_for(job, connection(), timeout), strict=strict)


@click.command()
@job_argument
@table_options
@click.option(
    "--form", metavar="NAME", help="Only pages read with this template; - for those with none."
)
@click.option("--partial", is_flag=True, help="Write the rows an unfinished job has so far.")
@click.option(
    "--excel-safe", is_flag=True, help="CSV: put an apostrophe before text that is a formula."
)
@click.option("--bom", is_flag=True, help="CSV: begin with a mark by which Excel knows UTF-8.")
def results(job: str, output: str | None, **options: Any) -> None:
    """Write the rows of JOB as a table, in the order of its items."""
    from inkmill import producer

    count = producer.export(job, output, connection=connection(), **options)
    if output:
        say(f"{output}: {many(count, 'line')}")


@click.command()
@job_argument
@click.option("-o", "--output", metavar="FILE", help="File to write.  [default: standard output]")
@click.option("--partial", is_flag=True, help="Also list those of an unfinished job.")
def documents(job: str, output: str | None, partial: bool) -> None:
    """List the documents of JOB as CSV: which pages came, in which order, and which are missing."""
    from inkmill.producer.tables.document_report import export_documents

    count = export_documents(connection(), job, output, partial)
    if output:
        say(f"{output}: {many(count, 'document')}")


@click.command()
@job_argument
def resume(job: str) -> None:
    """Resend every chunk of JOB that has no rows and is not in flight."""
    from inkmill import producer

    missing = producer.resume(job, connection=connection())
    if missing:
        say(f"job {job}: {many(missing, 'chunk')} without rows")
    else:
        say(f"job {job} is finished: nothing to do")


@click.command()
@job_argument
def cancel(job: str) -> None:
    """Stop JOB: finished rows stay, all other items become CANCELLED."""
    from inkmill import producer

    count = producer.cancel(job, connection=connection())
    say(f"job {job}: {many(count, 'row')} CANCELLED")


@click.command()
@job_argument
@click.option("--keep-values", is_flag=True, help="Delete only the scans and pictures.")
def delete(job: str, keep_values: bool) -> None:
    """Delete JOB: its scans, pictures and values. A running job is stopped first."""
    from inkmill import producer

    producer.delete(job, keep_values=keep_values, connection=connection())
    say(f"job {job}: scans and pictures deleted" if keep_values else f"job {job} deleted")
