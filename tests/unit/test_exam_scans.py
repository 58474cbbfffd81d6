"""Scanned exams of six pages, a QR code on each: out of order, in parts, a code that is unreadable.

The scans (MarkUsProject/MarkUs, MIT) are not shipped: they lie in the data folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkmill.codes import Code, PageBy, Status
from inkmill.forms.intake import decode_page
from inkmill.imagefile.sniff import Limits, count_pages
from inkmill.producer.tables.document_report import documents
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.rows import Row, decode
from inkmill.rules.settle import Settlement
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Recipe

SCANS = Path(os.environ.get("INKMILL_DATA") or "nowhere") / "forms/exam_scans"
NAME = "db_data_scanned_exams_"
BLANK = f"{NAME}midterm1-v2-test.pdf"
EXAM = r"""
inkmill_form: 1
name: exam
page: {width: 215.9, height: 279.48}
registration:
  blank: blank.png
  code: {kind: qr, box: [164, 6, 40, 40], pattern: '(?P<document>.+)-(?P<page>\d)'}
pages: [{number: 6}]
fields:
  - name: student
    type: code
    optional: true
    cells: {origin: [64.6, 122.1], size: [7.73, 7.8], pitch: [7.733, 0], count: 10}
  - {name: surname, type: image, cells: {origin: [31.5, 108.7], size: [177, 7.8]}}
tables:
  - rows: {count: 4, pitch: [0, 7.95]}
    columns:
      - name: grade
        type: number
        optional: true
        cells: {origin: [150.2, 202.2], size: [19.1, 7.9]}
      - name: out_of
        type: number
        cells: {origin: [169.4, 202.2], size: [20.1, 7.9]}
"""
#: The documents and pages of each file, as they lie in it; by eye.
TRUTH = {
    "midterm_scan_100": [("midterm1-v2-test-100", page) for page in (1, 2, 4, 3, 5, 6)],
    "midterm_scan_101": [("midterm1-v2-test-101", page) for page in (5, 6, 1, 2, 3, 4)],
    "midterm_scan_102": [("midterm1-v2-test-102", page) for page in (1, 2, 3, 4, 5, 6)],
    "midterm_scan_103": [("midterm1-v2-test-103", page) for page in (1, 2, 3, 4, 5, 6)],
    "midterm_scan_104": [("midterm1-v2-test-104", page) for page in (1, 2, 3, 4, 5, 6)],
    "midterm_scan_104_evens": [("midterm1-v2-test-104", page) for page in (2, 4, 6)],
    "midterm_scan_104_odds": [("midterm1-v2-test-104", page) for page in (1, 3, 5)],
    "test-auto-parse-scan-blank": [("test-auto-parse-3", page) for page in (1, 2, 3, 4, 5, 6)],
    "test-auto-parse-scan-success": [("test-auto-parse-1", page) for page in (1, 2, 3, 4, 5, 6)],
}
#: The one code that a pen has crossed out.
UNREADABLE = ("midterm_scan_103", 1)

pytestmark = pytest.mark.skipif(not SCANS.exists(), reason="the scans are not in INKMILL_DATA")


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Form:
    folder = tmp_path_factory.mktemp("exam")
    blank = decode_page((SCANS / BLANK).read_bytes()).grey
    cv2.imwrite(str(folder / "blank.png"), cv2.resize(blank, None, fx=0.5, fy=0.5))
    return Form.parse(EXAM, "exam.yaml", folder)


@cache
def read(exam: str, source: str, first_item: int) -> tuple[Row, ...]:
    """The rows that a worker makes of a file; its model reads 7 everywhere."""
    templates = Templates.parse(exam)
    data = (SCANS / source).read_bytes()
    items = tuple(
        Item(first_item + page, source, page, data=data) for page in range(1, count_pages(data) + 1)
    )
    chunk = ChunkTable.decode(Chunk("job", 0, items).encode())
    batch = PageBatch(chunk, templates, Recipe(28, ()), Limits())
    for number in range(len(items)):
        batch.read(number, {})
    odds = np.zeros((len(batch.crops), 12), np.float32)
    odds[:, 7] = 1.0
    reader = Reader((*"0123456789", "blank", "reject"), "ab" * 32, "float32", 0.9)
    return tuple(decode(batch.answer(odds, reader).data))


def job(exam: Form, names: Sequence[str]) -> dict[tuple[str, int], Row]:
    """The rows of a job of these files, as they hold: by file and page in it."""
    text = exam.to_text()
    rows = [
        row
        for number, name in enumerate(names)
        for row in read(text, f"{NAME}{name}.pdf", 10 * number)
    ]
    found = Settlement(exam).settle(lambda: rows)
    return {(row.source.removeprefix(NAME).removesuffix(".pdf"), row.page): row for row in found}


def placed(rows: dict[tuple[str, int], Row]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for (name, _), row in sorted(rows.items()):
        found.setdefault(name, []).append((row.document_key, row.form_page))
    return found


def test_all_pages_come_under_the_right_document_and_page(exam: Form) -> None:
    rows = job(exam, list(TRUTH))
    assert placed(rows) == TRUTH
    assert len(rows) == 48
    by_code = {place for place, row in rows.items() if row.page_by is PageBy.CODE}
    assert set(rows) - by_code == {UNREADABLE}
    assert all(row.status is not Status.ERROR for row in rows.values())


def test_the_report_of_documents_is_right_for_every_file(exam: Form) -> None:
    """Missing, doubled, out of order."""
    for name in TRUTH:
        rows = job(exam, [name]).values()
        (found,) = documents(rows, Templates((exam,)))
        pages = [page for _, page in TRUTH[name]]
        assert [each.page for each in found.pages] == pages
        assert found.key == TRUTH[name][0][0]
        assert found.missing == [page for page in range(1, 7) if page not in pages]
        assert found.doubled == []
        assert found.out_of_order == (name in ("midterm_scan_100", "midterm_scan_101"))
    whole = {
        each.key: each for each in documents(job(exam, list(TRUTH)).values(), Templates((exam,)))
    }
    assert len(whole) == 7
    assert {key for key, each in whole.items() if each.doubled} == {"midterm1-v2-test-104"}
    assert whole["midterm1-v2-test-104"].doubled == [1, 2, 3, 4, 5, 6]
    assert not any(each.missing for each in whole.values())


def test_what_is_missing_or_doubled_is_said_of_the_right_pages_only(exam: Form) -> None:
    rows = job(exam, list(TRUTH))
    doubled = {place for place, row in rows.items() if row.code is Code.DUPLICATE}
    assert doubled == {place for place, row in rows.items() if row.document_key.endswith("-104")}
    assert len(doubled) == 12
    missing = {place for place, row in rows.items() if row.code is Code.MISSING}
    assert missing == {UNREADABLE}
    assert "must be page 1 of document midterm1-v2-test-103" in rows[UNREADABLE].message


@pytest.mark.parametrize(
    ("name", "lacks"),
    [("midterm_scan_104_evens", "1 and 3 and 5"), ("midterm_scan_104_odds", "2 and 4 and 6")],
)
def test_a_part_alone_says_what_it_lacks(exam: Form, name: str, lacks: str) -> None:
    rows = job(exam, [name])
    assert {row.code for row in rows.values()} == {Code.MISSING}
    assert {row.status for row in rows.values()} == {Status.REVIEW}
    assert all(f"pages {lacks} of this document are missing" in r.message for r in rows.values())


@pytest.mark.parametrize("name", [name for name in TRUTH if not name.endswith(("evens", "odds"))])
def test_a_file_alone_is_whole_in_whatever_order(exam: Form, name: str) -> None:
    rows = job(exam, [name])
    assert placed(rows) == {name: TRUTH[name]}
    flagged = {place for place, row in rows.items() if row.code is Code.MISSING}
    assert flagged == ({UNREADABLE} if name == UNREADABLE[0] else set())


def test_a_page_that_cannot_be_read_at_all_is_named_by_the_others(exam: Form) -> None:
    text = exam.to_text()
    rows = [
        row.failed(Code.FAINT, "too faint") if row.page == UNREADABLE[1] else row
        for row in read(text, f"{NAME}{UNREADABLE[0]}.pdf", 0)
    ]
    found = list(Settlement(exam).settle(lambda: rows))
    assert found[0].code is Code.FAINT
    for row in found[1:]:
        assert row.code is Code.MISSING
        assert "page 1 of this document is missing; it must be item 1" in row.message
