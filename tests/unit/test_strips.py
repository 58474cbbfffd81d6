"""Numbers without cells: cut from pages with what is around them taken away."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inkmill.forms.cut.fieldstrips import Strip, cut_strips

Grey = NDArray[np.uint8]
#: Pixels by mm, and the box in mm.
SCALE = 8.0
BOX = (20.0, 20.0, 60.0, 10.0)


def page(lined: bool = True) -> Grey:
    """A page with a table around the box."""
    grey = np.full((500, 900), 235, np.uint8)
    if lined:
        for line in range(3):
            y, x = round((10 + 10 * line) * SCALE), round((20 + 60 * (line // 2)) * SCALE)
            cv2.line(grey, (0, y), (899, y), 40, 3)
            cv2.line(grey, (x, 0), (x, 400), 40, 3)
    return grey


def write(grey: Grey, text: str, x: float = 25, y: float = 28, ink: int = 50) -> Grey:
    at = (round(x * SCALE), round(y * SCALE))
    cv2.putText(grey, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.7, ink, 4, cv2.LINE_AA)
    return grey


def cut(grey: Grey, lined: bool = True, page_ink: float | None = 180.0) -> Strip:
    matrix = np.diag([SCALE, SCALE, 1.0])
    (strip,) = cut_strips(grey, matrix, [(BOX, lined)], page_ink)
    return strip


def ink_of(strip: Strip) -> float:
    """How much ink is in a picture, as a number of full pixels."""
    assert strip.picture is not None
    return float(strip.picture.sum()) / 255


@pytest.mark.parametrize("lined", [True, False])
def test_an_empty_box_has_no_picture(lined: bool) -> None:
    assert cut(page(lined), lined).picture is None
    assert cut(page(lined), lined, page_ink=None).picture is None


def test_a_speck_or_a_neighbour_is_not_writing() -> None:
    for spoiled in (
        cv2.circle(page(), (round(50 * SCALE), round(25 * SCALE)), 4, 30, -1),
        write(page(), "1947", y=38.5),
        write(page(), "77", x=83),
    ):
        assert cut(np.asarray(spoiled, np.uint8)).picture is None


def test_lines_and_neighbours_leave_no_trace() -> None:
    alone = cut(write(page(lined=False), "1250"), lined=False)
    assert alone.picture is not None
    crowded = write(write(write(page(), "1250"), "99", x=81.5), "4711", y=37.0)
    strip = cut(crowded)
    assert strip.picture is not None
    assert abs(strip.picture.shape[1] - alone.picture.shape[1]) <= 2
    assert ink_of(strip) == pytest.approx(ink_of(alone), rel=0.05)


def test_a_number_that_runs_over_its_line_stays_whole() -> None:
    over = cut(write(page(), "1250", y=31.0))
    alone = cut(write(page(lined=False), "1250", y=31.0), lined=False)
    assert ink_of(over) == pytest.approx(ink_of(alone), rel=0.12)


def test_a_decimal_point_stays() -> None:
    with_point = cut(write(page(), "12.50"))
    without = cut(write(page(), "12 50"))
    assert ink_of(with_point) > ink_of(without) + 4


def test_a_one_beside_the_box_line_is_no_line() -> None:
    grey = page()
    cv2.line(grey, (184, 175), (182, 225), 50, 4)
    one = cut(write(grey, "25", x=28))
    alone = page(lined=False)
    cv2.line(alone, (184, 175), (182, 225), 50, 4)
    assert ink_of(one) == pytest.approx(ink_of(cut(write(alone, "25", x=28), False)), rel=0.06)


def test_print_behind_the_number_is_not_writing() -> None:
    grey = page()
    for shift in range(-300, 900, 14):
        cv2.line(grey, (shift, 150), (shift + 200, 250), 205, 1, cv2.LINE_AA)
    assert cut(grey).picture is None
    assert cut(write(grey, "33")).picture is not None


@pytest.mark.parametrize("ends", [((22, 21), (78, 29), (78, 21), (22, 29))])
def test_an_x_across_the_box_is_a_cross(ends: tuple[tuple[int, int], ...]) -> None:
    grey = page()
    for start, end in (ends[:2], ends[2:]):
        points = [tuple(round(v * SCALE) for v in point) for point in (start, end)]
        cv2.line(grey, points[0], points[1], 50, 4, cv2.LINE_AA)
    assert cut(grey).crossed
    assert not cut(write(page(), "1250")).crossed


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(lambda grey: grey, id="as it is"),
        pytest.param(lambda grey: cv2.resize(grey, None, fx=3, fy=3), id="fine"),
        pytest.param(
            lambda grey: cv2.resize(grey, None, fx=0.6, fy=0.6, interpolation=3), id="coarse"
        ),
    ],
)
def test_a_number_looks_the_same_at_any_resolution(scale: Callable[[Grey], Grey]) -> None:
    grey = scale(write(page(), "1250"))
    by = SCALE * grey.shape[0] / 500
    (strip,) = cut_strips(grey, np.diag([by, by, 1.0]), [(BOX, True)], 180.0)
    usual = cut(write(page(), "1250"))
    assert strip.picture is not None
    assert usual.picture is not None
    assert abs(strip.picture.shape[1] - usual.picture.shape[1]) <= 4
    assert ink_of(strip) == pytest.approx(ink_of(usual), rel=0.12)


def test_a_number_struck_out_and_written_anew_is_crowded() -> None:
    def small(grey: Grey, text: str, x: float, y: float) -> None:
        at = (round(x * SCALE), round(y * SCALE))
        cv2.putText(grey, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 50, 3, cv2.LINE_AA)

    for x in (28, 40):
        grey = page()
        small(grey, "1947", 30, 28.5)
        cv2.line(grey, (190, 218), (600, 218), 50, 3, cv2.LINE_AA)
        small(grey, "305", x, 24)
        assert cut(grey).crowded
    assert not cut(write(page(), "1250")).crowded
    underlined = write(page(), "12.50-", y=27)
    cv2.line(underlined, (190, 226), (600, 226), 50, 3, cv2.LINE_AA)
    assert not cut(underlined).crowded


def test_a_digit_that_meets_a_rule_below_stays_and_is_doubtful() -> None:
    """One part with the rule, it lies outside for the most part; without it, 125 would be sure."""
    grey = write(page(lined=False), "1250", y=30.4)
    cv2.rectangle(grey, (190, 243), (880, 330), 50, -1)
    strip = cut(grey, lined=False)
    alone = cut(write(page(lined=False), "1250", y=30.4), lined=False)
    assert strip.crowded
    assert not alone.crowded
    assert ink_of(strip) == pytest.approx(ink_of(alone), rel=0.12)


def test_a_number_that_runs_over_the_box_at_its_side_is_doubtful() -> None:
    assert cut(write(page(lined=False), "12508", x=62.5), lined=False).crowded
    assert not cut(write(page(lined=False), "1250", x=56), lined=False).crowded


def test_a_printed_line_across_the_box_is_no_digit() -> None:
    grey = page(lined=False)
    cv2.line(grey, (440, 60), (440, 420), 50, 3)
    assert cut(grey, lined=False).picture is None
    assert not cut(write(grey, "12", x=30), lined=False).crowded
