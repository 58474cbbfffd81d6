"""A streak down the page is no 1: what is read where it runs is doubted, unless a sum tells."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from inkmill.codes import EMPTY_CELL, Code, Status
from inkmill.forms.field_results import build_fields
from inkmill.forms.geometry import apply
from inkmill.forms.reader import PageCells, cut_page
from inkmill.forms.synth.faults import Scan
from inkmill.records.rows import CellReading, FieldResult
from inkmill.template.form import Form
from tests.unit.form_pages import cell, empty
from tests.unit.sheets import load, page_of, scanned, sheet

#: Millimetres from the left: through the first box of each vote, and beside all boxes.
VOTES, MARGIN = 164.0, 130.0


def streak(scan: Scan, at: float) -> None:
    column = round(float(apply(scan.transform, np.array([[at, 0.0]]))[0, 0]))
    scan.grey[:, column : column + 2] = np.minimum(scan.grey[:, column : column + 2], 90)


def streaked(form: Form, cells: PageCells) -> set[tuple[str, int]]:
    return {
        place for place, there in zip(_order(form), cells.streaked.tolist(), strict=True) if there
    }


@pytest.mark.parametrize("turned", [False, True])
def test_the_cells_that_a_streak_runs_through_are_known(turned: bool) -> None:
    form = load("tally")
    scan, _ = scanned(form)
    streak(scan, VOTES)
    if turned:
        scan.grey = np.asarray(cv2.rotate(scan.grey, cv2.ROTATE_90_CLOCKWISE), np.uint8)
    found = streaked(form, cut_page(page_of(scan), form))
    assert {(f"votes_{number:02d}", 0) for number in range(1, 9)} <= found
    assert {place for name, place in found if name.startswith("votes")} == {0}
    assert "station" not in {name for name, _ in found}


@pytest.mark.parametrize("name", ["tally", "register", "strip"])
@pytest.mark.parametrize("faults", [(), ("skew", "jpeg"), ("faint", "specks"), ("bilevel",)])
def test_a_page_without_one_has_none(name: str, faults: tuple[str, ...]) -> None:
    form = load(name)
    scan, _ = scanned(form, faults, "moderate")
    assert not streaked(form, cut_page(page_of(scan), form))


def test_a_streak_beside_the_boxes_does_not_matter() -> None:
    form = load("tally")
    scan, _ = scanned(form)
    streak(scan, MARGIN)
    assert not streaked(form, cut_page(page_of(scan), form))


def fields(form: Form, raw: dict[str, str], cells: PageCells) -> dict[str, FieldResult]:
    """The page's fields, all surely read as ``raw``."""
    readings = list[CellReading]()
    for each in form.page_fields(1):
        if each.read:
            readings += [
                empty() if symbol == EMPTY_CELL else cell(symbol, 0.9999)
                for symbol in raw[each.name].replace("X", EMPTY_CELL)
            ]
    return {each.name: each for each in build_fields(form, 1, readings, cells)}


def test_a_1_where_a_streak_runs_is_accepted_only_if_the_sum_wants_it() -> None:
    form = load("tally")
    filled = sheet(form)
    page = page_of(Scan(filled.grey, filled.transform, 150))
    clean = replace(cut_page(page, form), crossed=np.zeros(39, np.bool_))
    votes = [n for n, (name, _) in enumerate(_order(form)) if name == "votes_03"]
    dirty = replace(clean, streaked=np.isin(np.arange(39), votes[:1]))
    right = {name: value.replace("X", EMPTY_CELL) for name, value in filled.raw.items()}
    assert fields(form, right, clean)["votes_03"].status is Status.OK

    as_if_one = {**right, "votes_03": f"1{right['votes_03'][1:]}"}
    shown = sum(int(as_if_one[f"votes_{n:02d}"].strip("_")) for n in range(1, 9))
    total = shown + int(as_if_one["spoilt"].strip("_"))
    holds = as_if_one | {"valid": f"{shown:_>4}", "total": f"{total:_>4}"}
    assert fields(form, holds, dirty)["votes_03"].status is Status.OK
    unread = holds | {"valid": "?" * 4}  # no sum can be asked
    assert fields(form, unread, clean)["votes_03"].status is Status.OK
    assert fields(form, unread, dirty)["votes_03"].code is Code.LOW_CONFIDENCE


def _order(form: Form) -> list[tuple[str, int]]:
    return [
        (each.name, place)
        for each in form.page_fields(1)
        if each.read
        for place in range(len(each.cells.rectangles()))
    ]
