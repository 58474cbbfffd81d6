"""Verified values as training data: scans, template and table for a source of kind "form"."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inkmill.codes import EMPTY_CELL
from inkmill.people import review
from inkmill.producer.connection import Connection
from inkmill.producer.tables.originals import originals
from inkmill.producer.tables.settlement import form_of
from inkmill.records.rows import FieldResult, Row
from inkmill.rules.documents import document_label, page_of
from inkmill.template.form import Form, FormField

TABLE, TEMPLATE, SCANS = "verified.csv", "form.yaml", "scans"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: pages with a verified field, and their fields; pages left out."""

    pages: int
    fields: int
    left_out: int


def write_verified(connection: Connection, job: str, folder: Path) -> Written:
    """Write the pages of a job on which people entered values, with only those values.

    A file of several pages is written once. In the table, ``page`` is the page of the file,
    ``form_page`` that of the template, and ``document`` is the same for pages of one document.
    """
    record = review.form_job(connection, job)
    form = form_of(record)
    rows: dict[int, tuple[Row, list[FieldResult]]] = {}
    for row, result in review.verified(connection, job):
        if result.cells:
            rows.setdefault(row.item, (row, []))[1].append(result)
    (folder / SCANS).mkdir(parents=True, exist_ok=True)
    (folder / TEMPLATE).write_text(form.to_text(), encoding="utf-8")
    lines, count, scans = list[dict[str, str]](), 0, dict[str, str]()
    for item, data in originals(connection, record, list(rows)):
        row, results = rows[item.item]
        if not data:
            continue
        digest = hashlib.sha256(data).hexdigest()
        if digest not in scans:
            scans[digest] = f"{item.item:08d}{PurePosixPath(row.source).suffix}"
            (folder / SCANS / scans[digest]).write_bytes(data)
        lines.append(_line(form, row, scans[digest], results))
        count += len(results)
    _write(folder / TABLE, form, lines)
    return Written(len(lines), count, len(rows) - len(lines))


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
    return [each for each in form.all_fields if each.read]


def _write(path: Path, form: Form, lines: list[dict[str, str]]) -> None:
    columns = ["image", "page", "form_page", "document", *(each.name for each in _fields(form))]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
