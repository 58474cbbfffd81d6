"""Marks for none: what the model and the shape of the ink say together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from inkmill.codes import Code, Status
from inkmill.forms.field_results import build_fields
from inkmill.forms.locate.registration import Located
from inkmill.forms.reader import PageCells
from inkmill.records.rows import SYMBOLS, CellReading, FieldResult
from tests.unit import form_pages
from tests.unit.form_pages import cell

THREE = "3|type: number, unused: leading, none: X"


def page_cells(
    count: int, crossed: tuple[int, ...] = (), dashes: tuple[int, ...] = ()
) -> PageCells:
    crops = np.zeros((count, 28, 28), np.uint8)
    crops[:, 8:20, 12:16] = 255
    for place in dashes:
        crops[place] = 0
        crops[place, 13:15, 4:24] = 255
    marked = np.zeros(count, np.bool_)
    marked[list(crossed)] = True
    located = Located(np.eye(3), residual=0.0, moves=None, marks=4, method="marks", seen=1.0)
    none = np.zeros(count, np.bool_)
    return PageCells(crops, none, marked, none, located, 1, {}, {})


def read(rest: str, readings: list[CellReading], **seen: tuple[int, ...]) -> FieldResult:
    form = form_pages.form({"a": rest})
    (result,) = build_fields(form, 1, readings, page_cells(len(readings), **seen))
    return result


def test_a_cross_that_the_model_reads_is_a_mark_with_its_probability() -> None:
    found = read(THREE, [cell("X", 0.999), cell("X", 0.998), cell("5", 0.999)])
    assert (found.raw, found.value, found.status) == ("XX5", "5", Status.OK)
    assert found.confidence == pytest.approx(0.999 * 0.998 * 0.999)


def test_a_doubtful_cross_is_in_review_and_its_other_readings_count() -> None:
    found = read(THREE, [cell("X", 0.6, d8=0.39), cell("4"), cell("5")])
    assert (found.raw, found.status, found.code) == ("X45", Status.REVIEW, Code.LOW_CONFIDENCE)


def test_the_shape_of_a_cross_raises_its_odds_twentyfold() -> None:
    doubtful = cell("X", 0.8, **{"?": 0.15, "d8": 0.05})
    found = read(THREE, [doubtful, cell("4"), cell("5")], crossed=(0,))
    assert found.cells[0].symbol == "X"
    odds = found.cells[0].confidence / (1 - found.cells[0].confidence)
    assert odds == pytest.approx(20 * 0.8 / 0.2, rel=0.01)
    assert math.isclose(sum(found.cells[0].probabilities), 1.0, abs_tol=1e-6)


def test_a_struck_out_digit_stays_unread_whatever_its_shape() -> None:
    struck = cell("?", 0.98, X=0.01)
    found = read(THREE, [struck, cell("4"), cell("5")], crossed=(0,))
    assert (found.raw, found.code) == ("?45", Code.NOT_A_DIGIT)


def test_a_model_without_a_class_for_marks_goes_by_the_shape() -> None:
    odds = [0.0] * len(SYMBOLS)
    odds[SYMBOLS.index("?")] = 1.0
    plain = CellReading("?", 1.0, tuple(odds))
    found = read(THREE, [plain, plain, cell("5")], crossed=(0, 1))
    assert (found.raw, found.value, found.status) == ("XX5", "5", Status.OK)


def test_a_dash_counts_where_the_form_has_it_as_a_mark() -> None:
    dash = cell("-", 0.9, d1=0.1)
    marked = read("3|type: number, unused: leading, none: '-'", [dash, cell("4"), cell("5")])
    assert marked.raw == "-45"
    seen = read(
        "3|type: number, unused: leading, none: '-'", [dash, cell("4"), cell("5")], dashes=(0,)
    )
    assert seen.confidence > marked.confidence
    unmarked = read("3|type: number, unused: leading", [dash, cell("4"), cell("5")])
    assert (unmarked.raw, unmarked.code) == ("?45", Code.NOT_A_DIGIT)


def test_a_sum_settles_a_cell_that_may_be_a_cross_or_a_digit() -> None:
    rest = {"a": THREE, "b": THREE, "c": THREE}
    form = form_pages.form(rest, "  - {sum: [a, b], equals: c}")
    readings = [cell("X", 0.9, d8=0.1), cell("X"), cell("5")]
    readings += [cell("X"), cell("1"), cell("2"), cell("X"), cell("1"), cell("7")]
    fields = build_fields(form, 1, readings, page_cells(9))
    assert [each.value for each in fields] == ["5", "12", "17"]
    assert [each.status for each in fields] == [Status.OK] * 3
    alone = replace(fields[0], margin=0.0, proposed="", rule="")
    assert alone.confidence < 0.91


def test_a_field_off_its_lines_is_in_review_and_proves_no_other() -> None:
    form = form_pages.form({"a": THREE, "b": THREE, "c": THREE}, "  - {sum: [a, b], equals: c}")
    readings = [cell("X"), cell("1"), cell("1"), cell("X"), cell("2"), cell("3", 0.9, d8=0.09)]
    readings += [cell("X"), cell("3"), cell("4")]
    cells = page_cells(9)
    assert [each.status for each in build_fields(form, 1, readings, cells)] == [Status.OK] * 3
    off = replace(cells, registration=replace(cells.registration, lost=frozenset({0})))
    found = build_fields(form, 1, readings, off)
    assert [each.code for each in found] == [Code.UNREGISTERED, Code.LOW_CONFIDENCE, None]
