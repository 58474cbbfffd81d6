"""Verified values as training data: pages, template and table for a source of kind "form"."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inkmill.codes import EMPTY_CELL
from inkmill.form import Form, FormField
from inkmill.producer import review
from inkmill.producer.connection import Connection
from inkmill.producer.originals import originals
from inkmill.producer.settling import form_of
from inkmill.rows import FieldResult, Row
from inkmill.rules.documents import document_of, page_of

TABLE, TEMPLATE, SCANS = "verified.csv", "form.yaml", "scans"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: pages with a verified field, their fields; pages that had to be left."""

    pages: int
    fields: int
    left_out: int


def write_verified(connection: Connection, job: str, folder: Path) -> Written:
    """Write the pages of a job on which people entered values, with those values alone.

    ``document`` in the table tells which pages belong together: split by it. Pages inside a file
    of several documents are left out, since the table names a form's page by the file's.
    """
    record = review.form_job(connection, job)
    form = form_of(record)
    rows: dict[int, tuple[Row, list[FieldResult]]] = {}
    left_out = set[int]()
    for row, result in review.verified(connection, job):
        if row.page != page_of(row, form):
            left_out.add(row.item)
        elif result.cells:
            rows.setdefault(row.item, (row, []))[1].append(result)
    (folder / SCANS).mkdir(parents=True, exist_ok=True)
    (folder / TEMPLATE).write_text(form.to_text(), encoding="utf-8")
    lines = []
    for item, data in originals(connection, record, list(rows)):
        row, results = rows[item.item]
        if not data:
            left_out.add(item.item)
            continue
        name = f"{item.item:08d}{PurePosixPath(row.source).suffix}"
        (folder / SCANS / name).write_bytes(data)
        lines.append(_line(form, row, name, results))
    _write(folder / TABLE, form, lines)
    count = sum(len(rows[int(line["image"].split(".")[0])][1]) for line in lines)
    return Written(len(lines), count, len(left_out))


def _line(form: Form, row: Row, image: str, results: Iterable[FieldResult]) -> dict[str, str]:
    """Verified fields cell by cell; all others as empty cells, which are no samples."""
    line = {each.name: EMPTY_CELL * len(each.cells.rectangles()) for each in _fields(form)}
    fields = {each.name: each for each in _fields(form)}
    line |= {each.name: _cells(fields[each.name], each.value) for each in results}
    document = "/".join(map(str, document_of(row, form)))
    return {"image": image, "page": str(row.page), "document": document, **line}


def _cells(field: FormField, value: str) -> str:
    """A value in its cells; whether front cells hold zeros, crosses or nothing is not known."""
    return value.rjust(len(field.cells.rectangles()), EMPTY_CELL)


def _fields(form: Form) -> list[FormField]:
    return [each for each in form.all_fields if each.read]


def _write(path: Path, form: Form, lines: list[dict[str, str]]) -> None:
    columns = ["image", "page", "document", *(each.name for each in _fields(form))]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
