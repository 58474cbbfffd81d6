"""Strips as the reader gets them: of one height, whatever their size, polarity and lines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.forms.cut.strip import DIGIT_HEIGHT, HEIGHT, MOST_WIDTH, normalise_strip


def written(text: str, height: int = 30, around: int = 20) -> np.ndarray:
    """A number in a stroke font, its digits ``height`` pixels high, dark on grey paper."""
    scale, pen = height / 22, max(1, height // 12)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, pen)
    strip = np.full((height + 2 * around, width + 2 * around), 200, np.uint8)
    at = (around, around + height)
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 60, pen, cv2.LINE_AA)
    return strip


def extent(picture: np.ndarray) -> int:
    """The height of the ink in rows."""
    rows = np.flatnonzero((picture > 127).any(axis=1))
    return int(rows[-1] - rows[0] + 1)


def same(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two strips of about the same width."""
    width = min(one.shape[1], other.shape[1])
    return float(np.corrcoef(one[:, :width].ravel(), other[:, :width].ravel())[0, 1])


@pytest.mark.parametrize("height", [14, 22, 60, 200])
def test_digits_have_one_height_whatever_the_scan_has(height: int) -> None:
    picture = normalise_strip(written("20653", height, around=height // 2))
    assert picture is not None
    assert picture.shape[0] == HEIGHT
    assert abs(extent(picture) - DIGIT_HEIGHT) <= 3


def test_polarity_paper_and_faint_print_do_not_matter() -> None:
    strip = written("4718")
    plain = normalise_strip(strip)
    light = normalise_strip(255 - strip)
    rows = np.arange(strip.shape[0])[:, None]
    printed = np.where(rows % 6 < 2, strip.astype(int) - 18, strip.astype(int))
    ground = normalise_strip(printed.clip(0, 255).astype(np.uint8))
    assert plain is not None
    assert light is not None
    assert ground is not None
    assert same(plain, light) > 0.98
    assert same(plain, ground) > 0.85


def test_a_line_below_the_number_does_not_make_it_smaller() -> None:
    strip = written("3590", around=16)
    ruled = strip.copy()
    cv2.line(ruled, (0, ruled.shape[0] - 4), (ruled.shape[1], ruled.shape[0] - 3), 40, 2)
    plain, with_line = normalise_strip(strip), normalise_strip(ruled)
    assert plain is not None
    assert with_line is not None
    assert abs(plain.shape[1] - with_line.shape[1]) <= 6
    assert same(plain[: HEIGHT - 8], with_line[: HEIGHT - 8]) > 0.85


def test_a_dot_and_a_dash_are_not_enlarged_to_digits() -> None:
    for size in ((2, 2), (2, 40)):
        strip = np.full((60, 160), 230, np.uint8)
        strip[30 : 30 + size[0], 60 : 60 + size[1]] = 30
        picture = normalise_strip(strip)
        assert picture is None or extent(picture) < DIGIT_HEIGHT / 2


def test_strips_without_ink_are_none_and_long_ones_are_compressed() -> None:
    rng = np.random.default_rng(0)
    assert normalise_strip(np.full((40, 200), 255, np.uint8)) is None
    noise = rng.normal(200, 3, (50, 300)).clip(0, 255).astype(np.uint8)
    assert normalise_strip(noise) is None
    long = normalise_strip(written("1234567890 1234567890 1234567890 1234567890"))
    assert long is not None
    assert long.shape == (HEIGHT, MOST_WIDTH)


def test_another_array_is_refused() -> None:
    with pytest.raises(UsageError, match=r"grey image, uint8 \(height, width\): got float64"):
        normalise_strip(np.zeros((10, 10)))  # type: ignore[arg-type]
