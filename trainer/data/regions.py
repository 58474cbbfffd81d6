"""Cells of scanned forms, labelled by a table of what is written in them."""

from __future__ import annotations

from pathlib import Path

from inkmill.errors import FormError, ItemError, UsageError
from inkmill.forms.intake import decode_page
from inkmill.forms.reader import PageCells, cut_page
from inkmill.template.form import Form
from inkmill.trainer.data.labelled_files import existing, from_csv, group_of
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source


def form(source: Source, path: Path, name: str, size: int = 28) -> Dataset:
    """Scanned forms with their ground truth: a CSV file and a template.

    The CSV has a column for the image, optionally ``page`` (of the file) and ``form_page`` (of the
    template; by default the same), and one for each field with what is written, cell by cell
    (``_`` for an empty cell). Cells are cut by the code that workers use; their crops, uint8
    (size, size), are the samples, grouped by document.
    """
    if not source.form:
        raise UsageError(f"source {name}: a form source needs form = the template's path")
    try:
        template = Form.load(existing(path.parent / source.form, "file"))
    except FormError as error:
        raise UsageError(f"source {name}: {error}") from None
    lines = from_csv(existing(path, "file"))
    if lines and source.image_column not in lines[0]:
        raise UsageError(f"{path}: no column {source.image_column}: name it with image_column")
    result = Dataset()
    fields = {each.name for each in template.all_fields}
    known = {*fields, source.image_column, source.group_column, "page", "form_page"}
    for column in lines[0] if lines else ():
        if column not in known:
            reason = f"the column {column} is not a field of {source.form}"
            result.problems.append(Problem(path.name, reason))
    for number, line in enumerate(lines, 2):
        where = f"{path.name} row {number}: {line[source.image_column]}"
        try:
            cells = _cells(source, template, path, line, size)
        except ItemError as error:
            result.problems.append(Problem(where, f"{error.code}: {error.message}"))
        except OSError as error:
            result.problems.append(Problem(where, f"cannot be read ({error.strerror})"))
        except ValueError as error:
            result.problems.append(Problem(where, str(error)))
        else:
            _label(source, template, cells, line, (name, where), result)
    return result


def _cells(
    source: Source, template: Form, path: Path, line: dict[str, str], size: int
) -> PageCells:
    """The cells of a row's page. Raises ItemError, OSError or ValueError."""
    page_number = _number(line, "form_page") or _number(line, "page") or 1
    if page_number > template.page_count:
        raise ValueError(
            f"{source.form} has {template.page_count} pages, but no page {page_number}: say in "
            "form_page which of them this is"
        )
    scans = path.parent / source.images if source.images else path.parent
    scan = (scans / line[source.image_column]).read_bytes()
    return cut_page(decode_page(scan, _number(line, "page") or 1), template, page_number, size)


def _number(line: dict[str, str], column: str) -> int | None:
    text = line.get(column, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"its {column} is {text!r}: write a number from 1")
    return int(text)


def _label(
    source: Source,
    template: Form,
    cells: PageCells,
    line: dict[str, str],
    names: tuple[str, str],
    result: Dataset,
) -> None:
    """Add samples of a page's cells, labelled with what a row says is written in them."""
    name, where = names
    image = line[source.image_column]
    group = line.get(source.group_column, "") if source.group_column else ""
    group = group or group_of(source, image) or Path(image).stem
    positions: dict[str, list[int]] = {}
    for at, cell in enumerate(template.cells(cells.page_number)):
        positions.setdefault(cell.field, []).append(at)
    for field, places in positions.items():
        written = line.get(field)
        if written is None:
            continue
        if len(written) != len(places):
            reason = f"{field} has {len(places)} cells, its truth is {written!r}"
            result.problems.append(Problem(where, reason))
            continue
        for at, label in zip(places, written, strict=True):
            place = f"{where} {field}[{places.index(at)}]"
            if label == "_":
                continue
            if cells.empty[at]:
                result.problems.append(Problem(place, f"no ink where {label!r} should be"))
            else:
                result.samples.append(Sample(cells.crops[at], label, name, place, group))
