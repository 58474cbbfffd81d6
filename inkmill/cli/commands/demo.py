"""inkmill demo: read the sample scans on this machine and compare the values with the truth."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import say
from inkmill.cli.options import workers_option
from inkmill.cli.servers import HOME, local_stack
from inkmill.cli.steps import wait_for
from inkmill.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from inkmill.records.rows import FieldResult, Row
    from inkmill.settings import Settings

SAMPLES = Path("examples")
#: Columns of the table if the output is not a terminal.
_WIDTH = 110

Truth = Mapping[tuple[str, int], Mapping[str, str]]


@dataclass(slots=True)
class Score:
    """How the values compare with the truth: fields accepted correctly, accepted wrongly, and
    sent to review."""

    right: int = 0
    wrong: int = 0
    review: int = 0

    @property
    def fields(self) -> int:
        return self.right + self.wrong + self.review


@click.command()
@click.option(
    "--samples",
    type=click.Path(file_okay=False, path_type=Path),
    default=SAMPLES,
    show_default=True,
    help="Folder with scans/ and forms/, as in the repository.",
)
@workers_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="results.csv",
    show_default=True,
    help="File for the table of the forms.",
)
@click.option("--desk", is_flag=True, help="Then show the jobs in the browser, until Ctrl-C.")
def demo(samples: Path, workers: int, output: str, desk: bool) -> None:
    """Read the sample scans and compare the values with the truth.

    Starts servers and workers on this machine, and stops them at the end.
    """
    from inkmill.settings import Settings

    form = samples / "forms" / "tally.yaml"
    if not form.exists():
        raise UsageError(
            f"no samples in {samples}/: run this in a checkout of the repository, or pass "
            "its examples folder with --samples"
        )
    began = time.monotonic()
    with local_stack(workers, Settings(), HOME / "demo", shipped=True) as (settings, _):
        pages = read(settings, samples / "scans" / "forms", form, output)
        digits = read(settings, samples / "scans" / "digits", None, None)
        show_pages(pages, read_truth(samples / "scans" / "forms" / "truth.csv"), output)
        show_digits(digits, read_truth(samples / "scans" / "digits" / "truth.csv"))
        click.echo(f"total time, including servers: {time.monotonic() - began:.0f} s")
        if desk:
            show_desk(settings)
        else:
            click.echo("to see these jobs in the browser: inkmill demo --desk")


def show_desk(settings: Settings) -> None:
    """Serve the desk over the demo's jobs, on a free port, until Ctrl-C."""
    from inkmill.desk.context import DeskContext
    from inkmill.desk.serving import serve
    from inkmill.producer import connect

    say("Ctrl-C stops the desk and the servers")
    serve(DeskContext(connect(settings)), "127.0.0.1", 0, announce=say)


def read(settings: Settings, scans: Path, form: Path | None, output: str | None) -> list[Row]:
    """Submit a folder, wait with a progress bar, write the table; returns the rows."""
    from inkmill.producer import connect, export, results, submit

    began = time.monotonic()
    connection = connect(settings)
    # A name that people can read; the time in it, since earlier demos in this folder are kept.
    name = f"sample-{scans.name}-{time.strftime('%m%d-%H%M%S')}"
    job = submit(scans, form=form, name=name, connection=connection)
    wait_for(job, connection)
    rows = list(results(job, connection=connection))
    taken = time.monotonic() - began
    what = "pages" if form else "digit images"
    cells = sum(len(field.cells) for row in rows for field in row.fields)
    detail = f", {cells / taken:.0f} cells per second" if cells else ""
    say(f"{len(rows)} {what} in {taken:.1f} s: {len(rows) / taken:.0f} {what} per second{detail}")
    if output:
        export(job, output, connection=connection)
    return rows


def read_truth(path: Path) -> Truth:
    """truth.csv: one line per source and page, one column per field."""
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (line.pop("source"), int(line.pop("page", None) or 1)): line
            for line in csv.DictReader(file)
        }


def show_pages(rows: Iterable[Row], truth: Truth, output: str) -> None:
    """Print the values with the truth, and how many are correct."""
    from rich.console import Console

    rows = list(rows)
    score = Score()
    table = _table(rows)
    for row in rows:
        expected = truth.get((row.source, row.page), {})
        values = [_cell(field, expected[field.name], score) for field in _read(row, expected)]
        scan = row.source.rpartition(".")[0] + (f" p{row.page}" if row.page > 1 else "")
        table.add_row(scan, *(values or [f"{row.code}: {row.message}"]))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
    console.print(
        f"[bold]{score.fields} fields[/]: {score.right} accepted and correct, "
        f"{score.wrong} accepted and wrong, {score.review} sent to review "
        f"[dim](yellow; red: wrong, with the truth after the arrow)[/]"
    )
    console.print(f"complete table, with confidences and reasons: {output}")


def _table(rows: list[Row]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("scan", no_wrap=True)
    whole = max(rows, key=lambda row: len(row.fields))
    for field in whole.fields:
        if field.cells or field.raw:
            table.add_column(field.name.replace("votes_", "v"), justify="right", no_wrap=True)
    return table


def _read(row: Row, expected: Mapping[str, str]) -> list[FieldResult]:
    return [field for field in row.fields if field.name in expected]


def _cell(field: FieldResult, expected: str, score: Score) -> str:
    from inkmill.codes import Status

    right = field.value == expected
    if field.status is Status.OK:
        score.right += right
        score.wrong += not right
        return field.value if right else f"[red]{field.value}→{expected}[/]"
    score.review += 1
    shown = field.value or field.raw
    return f"[yellow]{shown}{'' if right else f'→{expected}'}[/]"


def show_digits(rows: Iterable[Row], truth: Truth) -> None:
    """Print how many of the single digits were read correctly."""
    rows = list(rows)
    right = sum(row.digit == truth[row.source, row.page]["digit"] for row in rows)
    sure = [row for row in rows if row.code is None]
    wrong = sum(row.digit != truth[row.source, row.page]["digit"] for row in sure)
    click.echo(
        f"{len(rows)} digit images: {right} correct ({right / len(rows):.1%}); "
        f"{len(sure)} accepted, {wrong} of them wrong"
    )
