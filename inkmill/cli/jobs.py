"""inkmill submit, status, jobs, wait, results, resume, cancel, delete.

What a script reads goes to stdout (a job id, a table, JSON); what a person reads, to stderr.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from inkmill.codes import Exit
from inkmill.errors import UsageError
from inkmill.jobs import PRECISIONS
from inkmill.names import PRIORITIES

if TYPE_CHECKING:
    from inkmill.producer import Connection, JobStatus, Sending
    from inkmill.settings import Settings

_FORMATS = ("csv", "jsonl", "parquet", "xlsx")


def say(text: str) -> None:
    """To stderr: stdout belongs to results."""
    click.echo(text, err=True)


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
    mill = connection()
    with _sending() as state:
        try:
            job = producer.submit(paths, connection=mill, progress=state.update, **options)
        except BaseException:
            state.leave(options["name"])
            raise
    state.conclude()
    click.echo(job)
    if and_wait:
        _leave(_watch(job, mill), strict)


@click.command()
@click.argument("job", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (a line for each job).")
def status(job: str | None, as_json: bool) -> None:
    """Show how JOB stands, or all jobs."""
    from inkmill import producer

    mill = connection()
    if job is None:
        _list(producer.jobs(connection=mill), as_json)
    elif as_json:
        click.echo(json.dumps(asdict(producer.status(job, connection=mill))))
    else:
        _show(producer.status(job, connection=mill))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def jobs(as_json: bool) -> None:
    """List the jobs in the store."""
    from inkmill import producer

    _list(producer.jobs(connection=connection()), as_json)


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
@click.option("--partial", is_flag=True, help="Take what is there of an unfinished job.")
@click.option("--excel-safe", is_flag=True, help="CSV without anything Excel takes for a formula.")
def results(job: str, output: str | None, **options: Any) -> None:
    """Write JOB's rows as a table, in the order of its items."""
    from inkmill import producer

    count = producer.export(job, output, connection=connection(), **options)
    if output:
        say(f"{_many(count, 'line')} in {output}")


@click.command()
@click.argument("job")
def resume(job: str) -> None:
    """Send again what of JOB has no result and is not under way."""
    from inkmill import producer

    missing = producer.resume(job, connection=connection())
    waits = f"{_many(missing, 'chunk')} without a result"
    say(f"job {job}: {waits}" if missing else f"job {job} is finished: nothing to do")


@click.command()
@click.argument("job")
def cancel(job: str) -> None:
    """Stop JOB: finished rows stay, the rest become CANCELLED."""
    from inkmill import producer

    count = producer.cancel(job, connection=connection())
    say(f"job {job}: {_many(count, 'row')} CANCELLED")


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


# --- what a person sees ----------------------------------------------------------------------


class _Sending:
    """The line on stderr while a submit runs."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._began = time.monotonic()
        self._last: Sending | None = None

    def update(self, state: Sending) -> None:
        self._last = state
        took = max(time.monotonic() - self._began, 1e-3)
        self._show(
            f"job {state.job}: {state.items:,} items, {state.bytes / 1e6:,.1f} MB, "
            f"{state.items / took:,.0f} a second"
        )

    def conclude(self) -> None:
        """What came of it, once it is done."""
        state = self._last
        if state is None:
            return
        sent = f"{_many(state.items, 'item')} in {_many(state.chunks, 'chunk')}"
        say(state.note or f"job {state.job}: {sent}")
        if state.passed_over:
            say(f"passed over: {_counted(state.passed_over)} (see docs/commands.md)")

    def leave(self, name: str | None) -> None:
        """It failed: is there something to go on with?"""
        state = self._last
        if state is None:
            return
        if state.sealed:
            click.echo(state.job)  # stored, and workers will find it
        elif state.chunks and name is None:
            say(f"to go on with what is stored already, submit again with --name {state.job}")


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _counted(numbers: Counter[str]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items())


@contextmanager
def _sending() -> Iterator[_Sending]:
    if not sys.stderr.isatty():
        yield _Sending(lambda _: None)
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as line:
        yield _Sending(lambda text: line.update(text))


def _watch(job: str, mill: Connection, timeout: float | None = None) -> JobStatus:
    from inkmill import producer

    with _bar(job) as show:
        ended = producer.wait(job, timeout=timeout, connection=mill, progress=show)
    counts = ", ".join(f"{number:,} {name}" for name, number in ended.statuses.items())
    say(f"job {job} is {ended.state}: {_many(ended.rows, 'row')} ({counts})")
    return ended


@contextmanager
def _bar(job: str) -> Iterator[Callable[[JobStatus], None] | None]:
    """A progress bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        Left(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(job, total=None, rate="")

        def show(state: JobStatus) -> None:
            speed = bar.tasks[0].speed
            bar.update(
                task,
                completed=state.rows,
                total=state.items or None,
                rate=f"{speed:,.0f} a second" if speed else "",
            )

        yield show


def _leave(ended: JobStatus, strict: bool) -> None:
    if strict and ended.errors:
        say(f"{_many(ended.errors, 'row')} in error")
        sys.exit(Exit.ROWS_IN_ERROR)


def _list(found: Iterator[JobStatus], as_json: bool) -> None:
    if as_json:
        for each in found:
            click.echo(json.dumps(asdict(each)))
        return
    lines = [
        (each.job, each.state, f"{each.rows:,}/{each.items:,}", _counts(each), _clock(each.created))
        for each in sorted(found, key=lambda each: each.created)
    ]
    if not lines:
        say("there are no jobs yet: `inkmill submit PATH...` makes one")
        return
    _table([("JOB", "STATE", "ROWS", "OK/REVIEW/ERROR", "SUBMITTED"), *lines])


def _table(lines: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _show(state: JobStatus) -> None:
    codes = ", ".join(f"{code} {number:,}" for code, number in sorted(state.codes.items()))
    model = f"{state.model} {state.version[:12] or 'latest at each chunk'}"
    for what, text in (
        ("job", state.job),
        ("state", state.state),
        ("rows", f"{state.rows:,} of {state.items:,} items"),
        ("statuses", f"{_counts(state)} (ok/review/error)"),
        ("codes", codes),
        ("chunks", f"{state.chunks_done:,} of {state.chunks:,}, {state.in_flight} in flight"),
        ("form", state.form),
        ("model", f"{model} ({state.policy[:12]})"),
        ("priority", state.priority),
        ("submitted", _clock(state.created)),
        ("finished", _clock(state.finished)),
    ):
        if text:
            click.echo(f"{what:<10} {text}")


def _counts(state: JobStatus) -> str:
    return "/".join(f"{state.statuses.get(name, 0):,}" for name in ("ok", "review", "error"))


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) if moment else ""
