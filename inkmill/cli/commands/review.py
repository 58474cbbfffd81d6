"""inkmill review, audit, calibrate, compare, crops, report: people check doubtful fields."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import say
from inkmill.cli.options import (
    COUNT,
    EXISTING_FILE,
    FILE,
    FOLDER,
    job_argument,
    model_name_option,
)
from inkmill.cli.servers import connection

if TYPE_CHECKING:
    from inkmill.people.audit import AuditResult
    from inkmill.people.calibrate import Calibration
    from inkmill.people.lists import Line

#: Differences that are printed; a list (-o) has all.
_SHOWN = 10


@click.group()
def review() -> None:
    """Send doubtful fields to reviewers, and import the values they enter."""


@review.command("export")
@job_argument
@click.option("-o", "--output", type=FILE, required=True, help="List to write (.xlsx or .html).")
@click.option("--second", is_flag=True, help="List what one person entered, for a second person.")
@click.option(
    "--limit", type=COUNT, default=5000, show_default=True, help="Write at most this many."
)
def export_list(job: str, output: Path, second: bool, limit: int) -> None:
    """Write the fields of JOB that are in review: picture, reading, proposal and reason."""
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import review as people

    count = people.export(connection(), job, output, cut_again, second=second, limit=limit)
    if not count:
        why = "waiting for a second person" if second else "in review"
        say(f"{output}: no fields; none of job {job} are {why}")
        return
    say(f"{output}: {count:,} fields; {_then(output)}")


def _then(output: Path) -> str:
    """The next step for the person who gets a list."""
    if output.suffix.lower() == ".xlsx":
        return f"fill in the last column, then run `inkmill review import {output} --by NAME`"
    return "fill it in, press Save, then run `inkmill review import SAVED.csv --by NAME`"


@review.command("import")
@click.argument("file", type=EXISTING_FILE)
@click.option("--by", "who", required=True, metavar="NAME", help="Who entered the values.")
def import_list(file: Path, who: str) -> None:
    """Import FILE: a filled-in .xlsx, or the .csv saved by the HTML page.

    For the list of an audit, prints the error rate found.
    """
    from inkmill.people import audit as blind
    from inkmill.people import lists
    from inkmill.people import review as people

    sheet = lists.read(file)
    if sheet.about.kind == lists.AUDIT:
        _show_audit(blind.import_list(connection(), sheet, who))
        return
    done = people.import_list(connection(), sheet, who)
    if done.again:
        say("the same file was imported before: nothing changes")
    say(f"job {done.job}: {done.entered:,} values by {who}, {done.changed:,} had an effect")
    differing = f", {done.differing:,} of them because people differ" if done.differing else ""
    say(f"{done.left:,} fields remain in review{differing}")


@click.command()
@job_argument
@click.option(
    "--sample", "count", type=COUNT, default=300, show_default=True, help="Number of fields."
)
@click.option("-o", "--output", type=FILE, required=True, help="List to write (.xlsx or .html).")
@click.option("--seed", type=int, help="Choose the same fields again.")
def audit(job: str, count: int, output: Path, seed: int | None) -> None:
    """Sample accepted fields of JOB at random, for blind keying.

    `inkmill review import` then prints the error rate of accepted fields, with a 95 % interval.
    """
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import audit as blind

    made = blind.sample(connection(), job, count, output, cut_again, seed)
    say(f"{output}: {made:,} fields to key; {_then(output)}")


def _show_audit(found: AuditResult) -> None:
    click.echo(f"errors among accepted fields of job {found.job}: {found.whole.per_thousand()}")
    click.echo(f"{found.whole.errors:,} of {found.whole.trials:,} keyed fields; 95 % interval")
    if found.unreadable or found.missing:
        click.echo(f"not keyed: {found.unreadable:,} unreadable, {found.missing:,} empty")
    for name, rate in sorted(found.fields.items()):
        click.echo(f"  {name:<20} {rate.errors:>5} of {rate.trials:>6}  {rate.per_thousand()}")
    for item, name, accepted, keyed in found.wrong[:_SHOWN]:
        click.echo(f"  item {item}, {name}: accepted {accepted!r}, keyed {keyed!r}")


@click.command()
@job_argument
@click.option("--model", required=True, metavar="VERSION", help="Model version to read with.")
@model_name_option
@click.option(
    "--sample", "count", type=COUNT, help="Read only this many pages, of random documents."
)
@click.option("-o", "--output", type=FILE, help="List of the changes (.xlsx or .html).")
def compare(job: str, model: str, name: str | None, count: int | None, output: Path | None) -> None:
    """Read the pages of JOB again with another model; show which accepted values change.

    JOB stays as it is: the new reading is a revision. Needs workers. --name strips compares the
    models that read numbers without cells.
    """
    from inkmill import producer
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import compare as comparing
    from inkmill.people import lists

    if output is not None:
        lists.check(output)  # before the long part
    connected = connection()
    revision = comparing.read_again(connected, job, model, count, name=name)
    say(f"job {revision}: the same pages, read with {model[:12]}")
    producer.wait(revision, connection=connected)
    found = comparing.compare(connected, job, revision)
    click.echo(f"{found.pages:,} pages, {found.accepted:,} accepted fields")
    click.echo(f"  changed:       {len(found.changed):,}  ({found.rate.per_thousand()}, 95 %)")
    click.echo(f"  now in review: {found.doubted:,}")
    click.echo(f"  now accepted:  {found.gained:,} that were in review")
    for row, old, new in found.changed[:_SHOWN]:
        click.echo(f"  {row.source}, {old.name}: {old.value!r} became {new.value!r}")
    if output is not None:
        made = comparing.write_changed(connected, found, output, cut_again)
        say(f"{output}: {made:,} fields; values entered there belong to job {revision}")


@click.command()
@click.option("--form", "form_file", type=EXISTING_FILE, required=True, help="The template.")
@click.option(
    "--truth", type=EXISTING_FILE, help="Keyed values (CSV): source or key, then the fields."
)
@click.option(
    "--job", metavar="JOB", help="Job to compare with.  [default: the newest of this form]"
)
@click.option("-o", "--output", type=FILE, help="List of disagreements (.xlsx or .html).")
@click.option(
    "--accept-unproven/--no-accept-unproven",
    default=None,
    help="Whether to accept fields whose target error is not proven.",
)
def calibrate(
    form_file: Path,
    truth: Path | None,
    job: str | None,
    output: Path | None,
    accept_unproven: bool | None,
) -> None:
    """Find thresholds that keep the target errors of a form, from values keyed earlier."""
    from inkmill.people import calibrate as calibration
    from inkmill.people import lists
    from inkmill.template.form import Form

    if output is not None:
        lists.check(output)
    form, connected = Form.load(form_file), connection()
    if truth is None:
        if accept_unproven is None:
            raise click.UsageError("pass --truth keyed.csv, or --accept-unproven alone")
        for version, precision in calibration.permit(connected, form, job, accept_unproven):
            words = "are accepted" if accept_unproven else "go to review"
            say(f"model {version[:12]} ({precision}): fields with an unproven target {words}")
        return
    keyed = calibration.read_truth(truth, form)
    found = calibration.calibrate(connected, form, keyed, job, accept_unproven)
    for each in found:
        _show_calibration(each)
    if found and output is not None:
        _write_disagreements(found, output)


def _show_calibration(found: Calibration) -> None:
    version, precision = found.model
    click.echo(f"model {version[:12]} ({precision}): {found.compared:,} fields compared")
    click.echo(f"  {len(found.disagreements):,} differ from the keyed values: check them again")
    click.echo(f"  wrong among accepted fields: {found.accepted.per_thousand()}, 95 % interval")
    groups: dict[str, list[str]] = {}
    for name, choice in found.choices.items():
        groups.setdefault(choice.words(), []).append(name)
    for words, fields in groups.items():
        click.echo(f"  {', '.join(fields)}: {words}")
    if not found.choices:
        click.echo("  no field has a target_error: add one to the template to get a threshold")


def _write_disagreements(found: Sequence[Calibration], output: Path) -> None:
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import calibrate as calibration

    count = calibration.write_disagreements(connection(), found, output, cut_again)
    say(f"{output}: {count:,} fields whose reading differs from the keyed value")


@click.command()
@job_argument
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the pictures.")
@click.option("--field", "names", multiple=True, help="Only this field (repeatable).")
@click.option("--item", "items", multiple=True, type=int, help="Only this item (repeatable).")
@click.option("--status", type=click.Choice(["ok", "review"]), help="Only fields of this status.")
@click.option(
    "--limit", type=COUNT, default=10_000, show_default=True, help="Write at most this many."
)
def crops(
    job: str,
    output: Path,
    names: tuple[str, ...],
    items: tuple[int, ...],
    status: str | None,
    limit: int,
) -> None:
    """Write the pictures behind the values of JOB, and a table of them (crops.csv)."""
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import review as people
    from inkmill.producer.tables.output_file import writing

    wanted = people.Wanted(frozenset(names), frozenset(items), status or "", limit)
    lines = people.cut_out(connection(), job, wanted, cut_again)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        count = _write_crops(lines, output)
    say(f"{output}: {count:,} pictures")
    if not count:
        say("no field matches the options, or the job's pages were deleted")


def _write_crops(lines: Iterable[Line], folder: Path) -> int:
    """Write the pictures, then the table of them, so that it is complete; returns how many."""
    from inkmill.producer.tables.output_file import opened

    count = 0
    with opened(folder / "crops.csv") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "item", "source", "page", "field", "raw", "value", "reason"])
        for line in lines:
            name = f"{line.item:08d}_{line.field}.png" if line.picture else ""
            if name:
                (folder / name).write_bytes(line.picture)
                count += 1
            about = [line.item, line.source, line.page, line.field]
            table.writerow([name, *about, line.raw, line.value, line.reason])
        text.flush()
        text.detach()
    return count


@click.command()
@job_argument
@click.option("-o", "--output", type=FILE, required=True, help="Page to write (.html).")
@click.option("--truth", type=EXISTING_FILE, help="Keyed values (CSV), to show errors too.")
def report(job: str, output: Path, truth: Path | None) -> None:
    """Write an HTML page about JOB: counts, codes with pictures, doubtful fields."""
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people import review as people
    from inkmill.people.calibrate import read_truth
    from inkmill.people.report import figures as page
    from inkmill.producer.tables.output_file import check
    from inkmill.producer.tables.settlement import form_of

    check(output)
    connected = connection()
    keyed = None
    if truth is not None:
        keyed = read_truth(truth, form_of(people.form_job(connected, job)))
    page.write(page.gather(connected, job, cut_again, keyed), output)
    say(f"{output}: open it in a browser; it needs no network")
