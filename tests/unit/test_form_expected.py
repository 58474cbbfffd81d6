"""Marks are looked for where the last pages had them; what comes of it is what a search finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from inkmill.errors import ItemError
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import locate
from inkmill.forms.locate.vision import expected, locators
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.synth.faults import Scan
from inkmill.forms.synth.printing import draw_page
from tests.unit.sheets import load, page_of, scanned

TALLY = load("tally")


@pytest.fixture(autouse=True)
def nothing_expected() -> Iterator[None]:
    expected.forget()
    yield
    expected.forget()


def outcome(page: Page) -> list[object]:
    try:
        found = locate(page, TALLY)
    except ItemError as error:
        return [error.code, error.message]
    assert found.moves is not None
    return [found.transform.tolist(), found.moves.moves.tolist(), found.seen, found.lost]


def fed(seed: int, *faults: str) -> Scan:
    return scanned(TALLY, ("skew", *faults), seed=seed)[0]


def speck_beside_a_mark(scan: Scan) -> None:
    x, y = (scan.transform @ [12.0, 12.0, 1.0])[:2]
    cv2.rectangle(scan.grey, (int(x) + 30, int(y)), (int(x) + 58, int(y) + 28), 0, -1)


def covered_mark(scan: Scan) -> None:
    x, y = (scan.transform @ [198.0, 12.0, 1.0])[:2]
    scan.grey[int(y) - 25 : int(y) + 25, int(x) - 25 : int(x) + 25] = 255


def upside_down(scan: Scan) -> None:
    scan.grey = np.ascontiguousarray(scan.grey[::-1, ::-1])


def on_its_side(scan: Scan) -> None:
    scan.grey = np.ascontiguousarray(np.rot90(scan.grey))


def another_form(scan: Scan) -> None:
    scan.grey = draw_page(load("register"), dpi=150)


def another_scanner(scan: Scan) -> None:
    scan.grey = cv2.copyMakeBorder(scan.grey, 150, 20, 200, 90, cv2.BORDER_CONSTANT, value=60)


def test_the_next_page_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [page_of(fed(seed)) for seed in (1, 2)]
    searched = outcome(pages[1])
    expected.forget()
    outcome(pages[0])
    monkeypatch.setattr(locators, "hypotheses", pytest.fail)
    assert outcome(pages[1]) == searched


@pytest.mark.parametrize(
    "change",
    [speck_beside_a_mark, covered_mark, upside_down, on_its_side, another_form, another_scanner],
)
def test_a_page_that_differs_is_searched_as_ever(change: Callable[[Scan], None]) -> None:
    scan = fed(5)
    change(scan)
    searched = outcome(page_of(scan))
    for seed in (1, 2, 3):
        outcome(page_of(fed(seed)))
    assert outcome(page_of(scan)) == searched


def test_few_placements_and_forms_are_remembered() -> None:
    marks, overview = TALLY.registration.marks, Overview.of(fed(1).grey)
    assert marks is not None
    for number in range(100):
        for shift in range(10):
            expected.remember(str(number), marks, overview, np.full((4, 2), 100.0 * shift))
    assert len(expected._SEEN) <= 64
    assert all(len(each) <= 3 for each in expected._SEEN.values())
