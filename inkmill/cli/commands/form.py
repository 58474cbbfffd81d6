"""inkmill form: make, check and print templates, and draw synthetic scans to test them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, say
from inkmill.cli.options import ANY_PATH, FILE, FOLDER
from inkmill.errors import ItemError, UsageError

if TYPE_CHECKING:
    from inkmill.forms.intake import Page
    from inkmill.template.form import Form

_EXISTING = click.Path(path_type=Path, exists=True)
_SEVERITIES = ("light", "moderate", "heavy", "extreme")


@click.group()
def form() -> None:
    """Make, check and preview form templates (docs/how-to/make-a-template.md)."""


@form.command()
@click.argument("scans", nargs=-1, required=True, type=_EXISTING)
@click.option(
    "-o",
    "--output",
    required=True,
    type=FILE,
    help="Draft to write; its picture (.png) and table (.csv) get the same name.",
)
@click.option("--name", help="Name of the form.  [default: the file's]")
def detect(scans: tuple[Path, ...], output: Path, name: str | None) -> None:
    """Find the boxes of a blank form, or of 20 or more filled scans of it.

    Writes a draft, a picture with numbered boxes (.png) and a table to fill in (.csv). The next
    step is `inkmill form build`.
    """
    import cv2

    from inkmill.forms.make.drafting import draft, numbered, table
    from inkmill.forms.make.learning import learn_blank

    learnt = learn_blank(page for _, page in _pages(scans))
    title = name or output.stem.removesuffix(".draft")
    made = draft(learnt.grey, title, learnt=learnt.used > 1, note=say)
    output.write_text(made.to_text(), encoding="utf-8")
    picture, sheet = output.with_suffix(".png"), output.with_suffix(".csv")
    cv2.imwrite(str(picture), numbered(learnt.grey, made))
    sheet.write_text(table(made), encoding="utf-8")
    boxes = sum(len(field.cells.rectangles()) for field in made.fields)
    marks = made.registration.marks
    click.echo(
        f"{boxes} boxes in {len(made.fields)} fields, "
        f"{len(marks.at) if marks else 'no'} marks, from {many(learnt.used, 'page')}"
    )
    if learnt.refused:
        say(f"left out: {many(len(learnt.refused), 'page')} that could not be aligned")
    click.echo(
        f"next: look at {picture}, fill in {sheet} (the type skip drops a box), then\n"
        f"  inkmill form build {output} {sheet} -o FORM.yaml"
    )


@form.command()
@click.argument("draft_file", metavar="DRAFT", type=_EXISTING)
@click.argument("table_file", metavar="TABLE", type=_EXISTING)
@click.option("-o", "--output", required=True, type=FILE, help="File to write.")
def build(draft_file: Path, table_file: Path, output: Path) -> None:
    """Make a template from a DRAFT and its filled-in TABLE."""
    from inkmill.forms.make.drafting import build as build_form
    from inkmill.producer.tables.columns import check_names
    from inkmill.saved_tables import read_text
    from inkmill.template.form import Form

    try:
        text = read_text(table_file)
    except ValueError as error:
        raise UsageError(f"{table_file}: not a table saved as text ({error})") from None
    made = build_form(Form.load(draft_file), text, str(table_file))
    check_names([made])
    output.write_text(made.to_text(), encoding="utf-8")
    click.echo(f"{output}: {len(made.fields)} fields, hash {made.hash[:12]}")


@form.command()
@click.argument("form_file", metavar="FORM", type=_EXISTING)
@click.option(
    "--on",
    "scans",
    multiple=True,
    type=_EXISTING,
    help="Scan, or folder of scans, to draw the boxes on (repeatable).",
)
@click.option("-o", "--output", type=FILE, help="Picture to write.  [default: FORM.check.png]")
@click.option("--most", default=12, show_default=True, help="Draw at most this many scans.")
def check(form_file: Path, scans: tuple[Path, ...], output: Path | None, most: int) -> None:
    """Validate a template and draw its boxes over the blank form or over scans.

    Lists ambiguities. The exit code is 3 if a scan could not be located.
    """
    import cv2

    from inkmill.forms.make.picturing import contact_sheet
    from inkmill.forms.make.remarks import remarks
    from inkmill.producer.tables.columns import check_names
    from inkmill.template.form import Form

    template = Form.load(form_file)
    check_names([template])
    click.echo(
        f"{template.name}: {len(template.all_fields)} fields, {many(template.page_count, 'page')}, "
        f"hash {template.hash[:12]}"
    )
    for remark in remarks(template):
        click.echo(f"note: {remark}")
    drawn, failed = _drawn_on(template, scans, most) if scans else (_drawn_blanks(template), 0)
    target = output or form_file.with_suffix(".check.png")
    cv2.imwrite(str(target), contact_sheet([p for p, _ in drawn], [c for _, c in drawn]))
    click.echo(f"boxes drawn: {target}")
    if failed:
        raise SystemExit(3)


def _drawn_on(template: Form, scans: tuple[Path, ...], most: int) -> tuple[list[Any], int]:
    import cv2

    from inkmill.forms.locate.registration import locate
    from inkmill.forms.make.picturing import overlay
    from inkmill.forms.make.remarks import marks_seen, place_on_scan

    drawn, marks = [], []
    failed = 0
    for number, (name, page) in enumerate(_pages(scans)):
        if number >= most:
            break
        page_number = number % template.page_count + 1
        try:
            located = locate(page, template, page_number)
        except ItemError as error:
            failed += 1
            marks.append(0)
            click.echo(f"{name}: {error.code} {error.message}", err=True)
            drawn.append((cv2.cvtColor(page.grey, cv2.COLOR_GRAY2BGR), f"{name}: {error.code}"))
            continue
        marks.append(located.marks)
        click.echo(f"{name}: {place_on_scan(template, page_number, located)}")
        caption = f"{name}: {located.residual:.2g} {template.page.unit} off"
        if located.lost:
            caption += f", {many(len(located.lost), 'field')} not found"
        drawn.append((overlay(page.grey, template, page_number, located), caption))
    seen = marks_seen(template, marks)
    if seen is not None:
        click.echo(seen)
    return drawn, failed


def _drawn_blanks(template: Form) -> list[Any]:
    from inkmill.forms.make.picturing import on_blank
    from inkmill.forms.synth.printing import draw_page, template_to_pixels

    place = template_to_pixels(template, 150)
    return [
        (on_blank(draw_page(template, number, 150), template, number, place), f"page {number}")
        for number in range(1, template.page_count + 1)
    ]


@form.command()
@click.argument("form_file", metavar="FORM", type=_EXISTING)
@click.option("-o", "--output", required=True, type=FILE, help="File to write.")
def draw(form_file: Path, output: Path) -> None:
    """Draw the form as a PDF at true size, with its marks and code."""
    from inkmill.forms.synth.printing import draw_pdf
    from inkmill.template.form import Form

    template = Form.load(form_file)
    output.write_bytes(draw_pdf(template))
    click.echo(
        f"{output}: {many(template.page_count, 'page')}; print at 100 %, not fitted to the page"
    )


@form.command()
@click.argument("form_file", metavar="FORM", type=_EXISTING)
@click.option(
    "-n",
    "--count",
    default=100,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="Number of scans.",
)
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    help="How degraded.  [default: mixed, without extreme]",
)
@click.option("--faults", help="Names separated by commas; list prints all.  [default: a mixture]")
@click.option(
    "--digits",
    default="mnist-test",
    show_default=True,
    help="Digits to fill in: mnist-test or mnist-train.",
)
@click.option(
    "--data",
    envvar="INKMILL_DATA",
    show_envvar=True,
    type=ANY_PATH,
    help="Folder that contains mnist/.",
)
@click.option("--seed", default=0, show_default=True, help="Draw the same scans again.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write to.  [default: NAME-scans]")
def synth(
    form_file: Path,
    count: int,
    severity: str | None,
    faults: str | None,
    digits: str,
    data: Path | None,
    seed: int,
    output: Path | None,
) -> None:
    """Write filled-in, degraded scans of a form, with truth.csv.

    Whether a page counts as readable is decided by the severity table, independently of the reader.
    """
    import numpy as np

    from inkmill.forms.synth.faults import FAULTS, check_faults
    from inkmill.forms.synth.handwriting import load_digits
    from inkmill.forms.synth.sampling import synthesize, write_samples
    from inkmill.template.form import Form

    if faults == "list":
        click.echo("\n".join(FAULTS))
        return
    if data is None:
        raise UsageError(
            "no data folder: pass --data or set INKMILL_DATA (docs/how-to/make-a-template.md)"
        )
    template = Form.load(form_file)
    chosen = check_faults(faults.split(",")) if faults else None
    folder = output or Path(f"{template.name}-scans")
    samples = synthesize(
        template, load_digits(data, digits), np.random.default_rng(seed), count, severity, chosen
    )
    written = write_samples(template, samples, folder)
    click.echo(f"{folder}: {written} scans and truth.csv")


# --- pages of files and folders ----------------------------------------------------------


def _pages(paths: tuple[Path, ...]) -> Iterator[tuple[str, Page]]:
    """Every page of the files and folders, in order of their names. Raises UsageError."""
    from inkmill.forms.intake import decode_page
    from inkmill.imagefile.sniff import count_pages, sniff

    for path in _files(paths):
        data = path.read_bytes()
        if sniff(data[:64]) is None and len(paths) and path not in paths:
            continue
        try:
            for number in range(1, count_pages(data) + 1):
                name = path.name if number == 1 else f"{path.name} page {number}"
                yield name, decode_page(data, number)
        except ItemError as error:
            raise UsageError(f"{path}: {error.message}") from error


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path
