"""inkmill form: make, check and print templates, and draw synthetic scans to test them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, say
from inkmill.cli.model_argument import HELP
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
@click.option(
    "--pages",
    "page_count",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Pages of the form.  [default: those of a file, unless they look alike]",
)
def detect(scans: tuple[Path, ...], output: Path, name: str | None, page_count: int | None) -> None:
    """Find the boxes, marks and codes of a form on one page of each kind, blank or filled in.

    The pages of a PDF become the pages of the form; pages that look alike are scans of one page,
    whose print is learnt from all of them. Writes a draft, a picture of each page with numbered
    boxes (.png) and a table to fill in (.csv). The next step is `inkmill form build`.
    """
    import cv2

    from inkmill.forms.make.detecting import detect_form
    from inkmill.forms.make.drafting import numbered
    from inkmill.forms.make.table import table

    documents = [[page for _, page in pages] for pages in _documents(scans)]
    title = name or output.stem.removesuffix(".draft")
    found = detect_form(documents, title, page_count, note=say)
    made = found.form
    output.write_text(made.to_text(), encoding="utf-8")
    sheet = output.with_suffix(".csv")
    pictures = []
    for number, page in enumerate(found.pages, 1):
        suffix = ".png" if len(found.pages) == 1 else f".{number}.png"
        pictures.append(output.with_suffix(suffix))
        cv2.imwrite(str(pictures[-1]), numbered(page, made, number))
    sheet.write_text(table(made), encoding="utf-8")
    boxes = sum(len(field.cells.rectangles()) for field in made.fields)
    marks, code = made.registration.marks, made.registration.code
    click.echo(
        f"{boxes} boxes in {len(made.fields)} fields on {many(len(found.pages), 'page')}, "
        f"{len(marks.at) if marks else 'no'} marks, "
        + (f"a {code.kind} code, " if code else "")
        + f"from {many(found.used, 'scan')}"
    )
    if found.refused:
        say(f"left out: {many(found.refused, 'page')} that could not be aligned")
    shown = ", ".join(str(picture) for picture in pictures)
    click.echo(
        f"next: look at {shown}, fill in {sheet} (the type skip drops a box), then\n"
        f"  inkmill form build {output} {sheet} -o FORM.yaml"
    )


@form.command()
@click.argument("draft_file", metavar="DRAFT", type=_EXISTING)
@click.argument("table_file", metavar="TABLE", type=_EXISTING)
@click.option("-o", "--output", required=True, type=FILE, help="File to write.")
def build(draft_file: Path, table_file: Path, output: Path) -> None:
    """Make a template from a DRAFT and its filled-in TABLE."""
    from inkmill.forms.make.table import build as build_form
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
@click.option(
    "--most", type=click.IntRange(1), metavar="N", help="Draw at most N scans.  [default: all]"
)
@click.option(
    "--zoom",
    multiple=True,
    metavar="FIELD",
    help="Show only the part of each scan around FIELD, enlarged; votes_* is all that begin so "
    "(repeatable).",
)
@click.option(
    "--readings",
    is_flag=True,
    help="Read the scans, and write the values beside the fields. Needs the extra worker.",
)
@click.option("--model", default="shipped", show_default=True, help=f"For --readings: {HELP}.")
def check(
    form_file: Path,
    scans: tuple[Path, ...],
    output: Path | None,
    most: int | None,
    zoom: tuple[str, ...],
    readings: bool,
    model: str,
) -> None:
    """Validate a template and draw its boxes over the blank form or over scans.

    Says which page of the form each scan is, and how it was located; lists ambiguities. More than
    24 scans become several pictures. The exit code is 3 if a scan could not be located.
    """
    from inkmill.cli.form_sheets import Overlays, write_sheets
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
    target = output or form_file.with_suffix(".check.png")
    if not scans:
        _say_written(write_sheets(_drawn_blanks(template), target))
        return
    overlays = Overlays(template, zoom, model if readings else None)
    _say_written(write_sheets(overlays.drawn(_documents(scans), most), target))
    overlays.say_summary()
    if overlays.failed:
        raise SystemExit(3)


def _say_written(pictures: list[Path]) -> None:
    click.echo(f"boxes drawn: {', '.join(map(str, pictures))}")


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
    for pages in _documents(paths):
        yield from pages


def _documents(paths: tuple[Path, ...]) -> Iterator[Iterator[tuple[str, Page]]]:
    """The pages of each image, in order of their names; other files of a folder are passed over."""
    from inkmill.imagefile.sniff import HEAD_BYTES, sniff

    for path in _files(paths):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        if path in paths or sniff(data[:HEAD_BYTES]) is not None:
            yield _pages_of(path, data)


def _pages_of(path: Path, data: bytes) -> Iterator[tuple[str, Page]]:
    from inkmill.forms.intake import decode_page
    from inkmill.imagefile.sniff import count_pages

    try:
        for number in range(1, count_pages(data) + 1):
            name = path.name if number == 1 else f"{path.name} page {number}"
            yield name, decode_page(data, number)
    except ItemError as error:
        raise UsageError(f"{path}: {error.message}") from error


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Files as given, and those below folders that people put there."""
    from inkmill.folders import skipped

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for each in sorted(path.rglob("*")):
            below = each.relative_to(path).parts
            if each.is_file() and not any(map(skipped, below)):
                yield each
