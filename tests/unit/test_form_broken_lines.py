"""Boxes whose print is pale or has gaps, or through whose lines somebody wrote, are found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.make.finding.boxes import find_rows
from inkmill.forms.make.finding.runs import printed_lines
from inkmill.forms.make.finding.straightening import straightened

Grey = np.ndarray


def paper() -> Grey:
    page = np.full((1400, 1000), 255, np.uint8)
    cv2.putText(page, "AN EXAMPLE FORM WITH PRINT", (100, 120), 0, 1.2, 0, 3)
    return page


def table(page: Grey, rows: int, columns: int, left: int = 300, top: int = 300) -> None:
    for row in range(rows):
        for column in range(columns):
            x, y = left + 60 * column, top + 70 * row
            cv2.rectangle(page, (x, y), (x + 60, y + 70), 0, 2)


def counts(page: Grey) -> list[int]:
    return [row.count for row in find_rows(page) if not row.text]


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_that_lost_parts_of_its_lines(seed: int) -> None:
    page, rng = paper(), np.random.default_rng(seed)
    table(page, 8, 6)
    for line in range(9):
        # The gaps of neighbouring lines are apart: elsewhere nobody could tell a box.
        start = 322 + 60 * ((line * 2 + int(rng.integers(2))) % 6)
        page[300 + 70 * line - 4 : 300 + 70 * line + 5, start : start + 17] = 255
    for line in range(7):
        start = 320 + 70 * ((line * 3 + int(rng.integers(2))) % 8)
        page[start + 4 : start + 24, 300 + 60 * line - 4 : 300 + 60 * line + 5] = 255
    assert counts(page) == [6] * 8


def test_a_line_that_is_missing_between_two_cells_leaves_no_box_of_both() -> None:
    page = paper()
    for row in range(6):
        for column in range(6):
            x, y = 200 + 90 * column, 300 + 35 * row
            cv2.rectangle(page, (x, y), (x + 90, y + 35), 0, 2)
    page[366:375, 384:466] = 255
    assert counts(page) == []


def test_two_tables_side_by_side_stay_apart() -> None:
    page = paper()
    table(page, 5, 3, left=150)
    table(page, 5, 3, left=380)
    assert counts(page) == [3, 3] * 5


def test_crosses_that_fill_their_boxes_are_not_print() -> None:
    page = paper()
    for row in range(8):
        for x in (300, 400, 500):
            y = 300 + 90 * row
            cv2.rectangle(page, (x, y), (x + 24, y + 24), 0, 2)
        cv2.line(page, (300, 300 + 90 * row), (324, 324 + 90 * row), 60, 2)
        cv2.line(page, (324, 300 + 90 * row), (300, 324 + 90 * row), 60, 2)
    assert sum(counts(page)) == 24


def test_strokes_from_line_to_line_cut_no_box() -> None:
    page = paper()
    table(page, 1, 8)
    # The bases of a 2 and of a Z, the stem of a 4: they run over both lines of their box.
    cv2.line(page, (355, 345), (425, 345), 40, 3)
    cv2.line(page, (535, 350), (607, 350), 40, 3)
    cv2.line(page, (690, 292), (690, 379), 40, 3)
    cv2.putText(page, "3", (310, 355), 0, 1.6, 40, 3)
    assert counts(page) == [8]


@pytest.mark.parametrize("seed", range(3))
def test_pale_lines_between_tally_marks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    page = np.full((1400, 1000), 240, np.uint8)
    cv2.putText(page, "RESULTS OF POLLING STATION 36", (100, 120), 0, 1.2, 0, 3)
    for row in range(6):
        for column in range(8):
            x, y = 200 + 70 * column, 300 + 48 * row
            cv2.rectangle(page, (x, y), (x + 70, y + 48), 229, 2)
            for stroke in range(4 if row < 3 else 0):
                at, slant = x + 14 + 11 * stroke + int(rng.integers(-3, 4)), rng.integers(-5, 3)
                cv2.line(page, (at, y + 9), (at + int(slant), y + 40), 50, 3)
    page = np.clip(page + rng.normal(0, 2.0, page.shape), 0, 255).astype(np.uint8)
    found = counts(page)
    # A stroke that meets both lines may pass for another one, once.
    assert len(found) == 6
    assert sum(count == 8 for count in found) >= 5


@pytest.mark.parametrize("font", [0, 2])
@pytest.mark.parametrize("leading", [15, 18, 24])
def test_a_paragraph_has_no_boxes(font: int, leading: int) -> None:
    words = ("Please write one figure in each box, with a black pen, and do not fold", "the sheet.")
    page = np.full((1400, 1400), 240, np.uint8)
    for row in range(20):
        text = f"{words[row % 2]} {words[(row + 1) % 2]}"
        cv2.putText(page, text, (60, 200 + leading * row), font, 0.5, 50, 2, cv2.LINE_AA)
    table(page, 2, 6, top=900)
    assert counts(np.asarray(cv2.GaussianBlur(page, (0, 0), 0.7))) == [6, 6]


@pytest.mark.parametrize("size", [(60, 34, 16), (68, 44, 20), (80, 46, 22)])
@pytest.mark.parametrize("side", [1000, 1600, 2000])
def test_boxes_that_stand_apart_have_none_between_them(
    size: tuple[int, int, int], side: int
) -> None:
    page, (width, height, gap) = np.full((1400, side), 255, np.uint8), size
    for row in range(4):
        for column in range(8):
            x, y = 100 + (width + gap) * column, 300 + 150 * row
            cv2.rectangle(page, (x, y), (x + width, y + height), 0, 2)
    assert counts(page) == [8] * 4


@pytest.mark.parametrize("width", [64, 68])
def test_cells_of_a_table_about_as_wide_as_a_box_may_be_are_all_left_out(width: int) -> None:
    rng = np.random.default_rng(0)
    page = paper()
    tops = 300 + np.cumsum([0, *(30 + rng.integers(-1, 2, 9))])
    lefts = 150 + np.cumsum([0, *(width + rng.integers(-2, 3, 10))])
    for top in tops.tolist():
        cv2.line(page, (int(lefts[0]), top), (int(lefts[-1]), top), 0, 2)
    for left in lefts.tolist():
        cv2.line(page, (left, int(tops[0])), (left, int(tops[-1])), 0, 2)
    assert counts(page) == []


def test_the_table_that_a_sheet_lies_on_has_no_boxes() -> None:
    page = paper()
    table(page, 6, 6)
    picture = np.full((1800, 1400), 110, np.uint8)
    for number in range(30):
        cv2.line(picture, (0, 60 * number), (1400, 60 * number), 70, 2)
        cv2.line(picture, (47 * number, 0), (47 * number, 1800), 70, 2)
    picture[200:1600, 200:1200] = page
    assert [row.count for row in find_rows(straightened(picture)) if not row.text] == [6] * 6


def test_the_guides_that_some_figures_follow_are_no_boxes() -> None:
    page = paper()
    for number in range(9):
        x, y = 200 + 80 * (number % 3), 300 + 110 * (number // 3)
        cv2.rectangle(page, (x, y), (x + 60, y + 80), 0, 2)
        if number // 3 == 1:
            cv2.rectangle(page, (x + 18, y + 20), (x + 42, y + 60), 60, 3)
    assert counts(page) == [3, 3, 3]


def test_the_gap_of_a_line_is_filled_unless_something_stands_in_it() -> None:
    page = paper()
    for y, (first, second) in {500: (420, 434), 600: (493, 508), 720: (504, 518)}.items():
        cv2.line(page, (200, y), (first, y), 0, 2)
        cv2.line(page, (second, y), (800, y), 0, 2)
    # The corners of two boxes, whose level lines overhang; a line that goes through the gap.
    for x in (490, 511):
        cv2.line(page, (x, 600), (x, 680), 0, 2)
    cv2.line(page, (511, 690), (511, 780), 0, 2)
    level, _ = printed_lines(Overview.of(page))

    def is_drawn(y: int, left: int, right: int) -> bool:
        return bool(level[y - 3 : y + 4, left:right].max(axis=0).all())

    assert all(is_drawn(y, 230, 400) and is_drawn(y, 600, 780) for y in (500, 600, 720))
    assert is_drawn(500, 421, 433)
    assert not is_drawn(600, 497, 505)
    assert not is_drawn(720, 506, 510)
