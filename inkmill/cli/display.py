"""What people see of jobs: the line of a submit, the bar of a wait, tables on a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inkmill.producer import JobStatus, Sending


def say(text: str) -> None:
    """Print a message to stderr, since stdout is for results."""
    click.echo(text, err=True)


class SendingLine:
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
            f"{state.items / took:,.0f} per second"
        )

    @property
    def stored(self) -> str:
        """The job's name once it is stored completely, else empty."""
        return self._last.job if self._last is not None and self._last.sealed else ""

    def conclude(self) -> None:
        """Say what was submitted."""
        state = self._last
        if state is None:
            return
        sent = f"{many(state.items, 'item')} in {many(state.chunks, 'chunk')}"
        say(state.note or f"job {state.job}: {sent}")
        if state.unkeyed:
            say(state.unkeyed)
        if state.passed_over:
            say(f"skipped: {_counted(state.passed_over)} (see docs/reference/commands.md)")

    def explain_failure(self, name: str | None) -> None:
        """After an error: say how to continue if part of the job is stored."""
        state = self._last
        if state is not None and state.chunks and not state.sealed and name is None:
            say(f"to continue this job, submit the same again with --name {state.job}")


def many(number: int, what: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _counted(numbers: Counter[str]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items())


@contextmanager
def sending_line() -> Iterator[SendingLine]:
    if not sys.stderr.isatty():
        yield SendingLine(lambda _: None)
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as line:
        yield SendingLine(lambda text: line.update(text))


@contextmanager
def progress_bar(job: str) -> Iterator[Callable[[JobStatus], None] | None]:
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
                rate=f"{speed:,.0f} per second" if speed else "",
            )

        yield show


def show_jobs(found: Iterator[JobStatus], as_json: bool) -> None:
    if as_json:
        for each in found:
            click.echo(json.dumps(asdict(each)))
        return
    lines = [
        (each.job, each.state, f"{each.rows:,}/{each.items:,}", _counts(each), _clock(each.created))
        for each in sorted(found, key=lambda each: each.created)
    ]
    if not lines:
        say("there are no jobs yet: `inkmill submit PATH...` creates one")
        return
    table([("JOB", "STATE", "ROWS", "OK/REVIEW/ERROR", "SUBMITTED"), *lines])


def table(lines: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def show_job(state: JobStatus) -> None:
    codes = ", ".join(f"{code} {number:,}" for code, number in sorted(state.codes.items()))
    model = f"{state.model} {state.version[:12] or 'latest at each chunk'}"
    for what, text in (
        ("job", state.job),
        ("state", state.state),
        ("rows", f"{state.rows:,} of {state.items:,} items"),
        ("statuses", f"{_counts(state)} (ok/review/error){_unsettled(state)}"),
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


def _unsettled(state: JobStatus) -> str:
    if state.settled:
        return ""
    return f", of single pages; `inkmill wait {state.job}` computes those of the whole job"


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) if moment else ""
