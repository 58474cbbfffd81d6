"""Verified values as training data.

Scans, template and table for a source of kind "form"; of numbers without cells, a picture of each
with its text.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inkmill.codes import EMPTY_CELL
from inkmill.people import review
from inkmill.producer.connection import Connection
from inkmill.producer.tables.originals import Cutter, originals
from inkmill.producer.tables.settlement import form_of
from inkmill.records.rows import MARKS, FieldResult, Row
from inkmill.rules.documents import document_label, page_of
from inkmill.rules.meaning import meaning
from inkmill.template.form import Form, FormField
from inkmill.template.numbers import digits_of

TABLE, TEMPLATE, SCANS = "verified.csv", "form.yaml", "scans"
#: The table and the pictures of numbers without cells.
STRIPS_TABLE, STRIPS = "strips.csv", "strips"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: pages with a verified field, and their fields; pages left out.

    ``strips`` are numbers without cells.
    """

    pages: int
    fields: int
    left_out: int
    strips: int = 0


def write_verified(
    connection: Connection, job: str, folder: Path, cut_strips: Cutter | None = None
) -> Written:
    """Write the pages of a job on which people entered values, with only those values.

    A file of several pages is written once. In the table, ``page`` is the page of the file,
    ``form_page`` that of the template, and ``document`` is the same for pages of one document.
    ``cut_strips`` cuts numbers without cells out of a page; without it they are left out.
    """
    record = review.form_job(connection, job)
    made = _Folder(folder, form_of(record), cut_strips)
    rows: dict[int, tuple[Row, list[FieldResult]]] = {}
    for row, result in review.verified(connection, job):
        if made.takes(result):
            rows.setdefault(row.item, (row, []))[1].append(result)
    missing = 0
    for item, data in originals(connection, record, list(rows)):
        row, results = rows[item.item]
        if data:
            made.add(row, data, results)
        else:
            missing += 1
    made.finish()
    return Written(len(rows) - missing, made.fields, missing, len(made.strips))


class _Folder:
    """The folder that is being written."""

    def __init__(self, folder: Path, form: Form, cut_strips: Cutter | None) -> None:
        self._folder = folder
        self._form = form
        self._known = {each.name: each for each in form.all_fields}
        self._cut_strips = cut_strips
        self._scans = dict[str, str]()
        self._lines = list[dict[str, str]]()
        self.fields = 0
        self.strips = list[dict[str, str]]()
        (folder / SCANS).mkdir(parents=True, exist_ok=True)
        (folder / TEMPLATE).write_text(form.to_text(), encoding="utf-8")

    def takes(self, result: FieldResult) -> bool:
        """Whether a verified field is training data: one that a model reads."""
        if self._known[result.name].strip:
            return self._cut_strips is not None
        return bool(result.cells)

    def add(self, row: Row, data: bytes, results: Sequence[FieldResult]) -> None:
        """A page's verified fields; ``data`` is its file."""
        in_cells = [each for each in results if not self._known[each.name].strip]
        self.fields += len(results)
        self._add_strips(row, data, [each for each in results if self._known[each.name].strip])
        if not in_cells:
            return
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._scans:
            self._scans[digest] = f"{row.item:08d}{PurePosixPath(row.source).suffix}"
            (self._folder / SCANS / self._scans[digest]).write_bytes(data)
        self._lines.append(_line(self._form, row, self._scans[digest], in_cells))

    def _add_strips(self, row: Row, data: bytes, results: Sequence[FieldResult]) -> None:
        texts = {each.name: text_of(self._known[each.name], each) for each in results}
        wanted = [(name, row.transform) for name, text in texts.items() if text]
        if not wanted or self._cut_strips is None:
            return
        (self._folder / STRIPS).mkdir(exist_ok=True)
        pictures = self._cut_strips(data, row.page, self._form, wanted)
        for (name, _), picture in zip(wanted, pictures, strict=True):
            image = f"{row.item:08d}_{name}.png"
            (self._folder / STRIPS / image).write_bytes(picture)
            document = document_label(row, self._form)
            self.strips.append({"image": image, "text": texts[name], "document": document})

    def finish(self) -> None:
        """Write the tables."""
        names = [each.name for each in _fields(self._form)]
        columns = ["image", "page", "form_page", "document", *names]
        _write(self._folder / TABLE, columns, self._lines)
        if self.strips:
            _write(self._folder / STRIPS_TABLE, ["image", "text", "document"], self.strips)


def text_of(field: FormField, result: FieldResult) -> str:
    """What is written in a box of which people say the value; "" where that is not known.

    A value does not say where points and dashes are, the reading does: of the texts with this
    value the most probable, or else the best text with the value's digits in place of its own.
    """
    if not result.value:
        return ""
    for each in result.strings:
        if meaning(field, each.text) == result.value:
            return each.text if set(each.text) - {EMPTY_CELL, *MARKS} else ""
    best = result.strings[0].text if result.strings else ""
    digits = iter(digits_of(result.value))
    if sum(map(str.isdigit, best)) == len(digits_of(result.value)):
        return "".join(next(digits) if symbol.isdigit() else symbol for symbol in best)
    return result.value if best.isdigit() or not best else ""


def _line(form: Form, row: Row, image: str, results: Iterable[FieldResult]) -> dict[str, str]:
    """Verified fields, cell by cell; all others as empty cells, which are not samples."""
    line = {each.name: EMPTY_CELL * len(each.cells.rectangles()) for each in _fields(form)}
    fields = {each.name: each for each in _fields(form)}
    line |= {each.name: _cells(fields[each.name], each) for each in results}
    return {
        "image": image,
        "page": str(row.page),
        "form_page": str(page_of(row, form)),
        "document": document_label(row, form),
        **line,
    }


def _cells(field: FormField, result: FieldResult) -> str:
    """A value cell by cell, as far as it is known which cell has which digit; others are ``_``.

    A person's value says what a field means, the reading which cell has a digit. If the two do not
    fit together, nothing is known: better no sample than one with a wrong label.
    """
    width, marks = len(field.cells.rectangles()), field.none_marks
    front = _front(field, result)
    if front is None or _may_be_no_digit(field, result):
        return EMPTY_CELL * width
    placed = f"{EMPTY_CELL * front}{result.value}".ljust(width, EMPTY_CELL)
    return "".join(
        EMPTY_CELL if read in marks else label
        for label, read in zip(placed, result.raw, strict=True)
    )


def _front(field: FormField, result: FieldResult) -> int | None:
    """The cell in which a value begins; None if the reading does not show it."""
    spare = len(result.raw) - len(result.value)
    unused = {EMPTY_CELL, *field.none_marks}
    written = result.raw.strip("".join(unused))
    first = result.raw.index(written)
    if field.unused == "either":
        return first if len(written) == len(result.value) else None
    from_left = field.end_unused
    at_edge = first == 0 if from_left else first + len(written) == len(result.raw)
    if spare and written and (not at_edge or unused & set(written)):
        return None
    return 0 if from_left else spare


def _may_be_no_digit(field: FormField, result: FieldResult) -> bool:
    """Whether a 0 may stand for a mark or for an empty field, because no 0 was read."""
    other = field.empty == "zero" or (field.none_marks and field.type == "number")
    return bool(other) and result.value == "0" and set(result.raw) - {EMPTY_CELL} != {"0"}


def _fields(form: Form) -> list[FormField]:
    """The fields that are read cell by cell."""
    return [each for each in form.all_fields if each.read and not each.strip]


def _write(path: Path, columns: Sequence[str], lines: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
