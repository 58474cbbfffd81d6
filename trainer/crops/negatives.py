"""Drawn by the project: letters, scribbles, spoilt digits, dirt, and the marks for none.

All are drawn as ink, uint8 (64, 64), light on dark, and go through the same pen, paper, scanner and
normalisation as the digits. Signs that somebody writes as a digit are left out: a plain stroke is a
1, O is a 0, and Z, S, b, q, g, B are digits in some handwriting. A model that has the marks for
none as classes learns X and dash as such, else as rejects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.crops.stamps import SIDE

Grey = NDArray[np.uint8]
Random = np.random.Generator

LETTERS = "AEFHKLMNPRTVWaehkmw?#@%&*+="
_FONTS = [
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
]
#: Pairs of digits whose union is neither of them, nor another digit.
_SPOILT = ["24", "25", "34", "45", "46", "04", "26", "57", "67", "47", "37", "27"]


@dataclass(frozen=True)
class DigitStamps:
    """Stamps of digits, uint8 (n, 64, 64), and their numbers by label."""

    stamps: Grey
    by_label: dict[str, NDArray[np.int64]]

    @cached_property
    def every(self) -> NDArray[np.int64]:
        """The numbers of all digits' stamps."""
        return np.concatenate([np.zeros(0, np.int64), *self.by_label.values()])

    def draw(self, rng: Random, label: str | None = None) -> Grey:
        """A random stamp, of any digit or of ``label``."""
        chosen = self.by_label.get(label) if label is not None else None
        if chosen is None or not len(chosen):
            chosen = self.every
        return np.asarray(self.stamps[chosen[rng.integers(len(chosen))]])


def _canvas() -> Grey:
    return np.zeros((SIDE, SIDE), np.uint8)


def _pen(rng: Random) -> int:
    return int(rng.integers(2, 6))


def letter(_: DigitStamps, rng: Random) -> Grey:
    """A letter or sign in one of OpenCV's stroke fonts."""
    text = LETTERS[rng.integers(len(LETTERS))]
    font, pen = _FONTS[rng.integers(len(_FONTS))], _pen(rng)
    (width, height), base = cv2.getTextSize(text, font, 1.0, pen)
    scale = 44 / max(width, height + base, 1)
    (width, height), base = cv2.getTextSize(text, font, scale, pen)
    ink = _canvas()
    at = ((SIDE - width) // 2, (SIDE + height - base // 2) // 2)
    cv2.putText(ink, text, at, font, scale, 255, pen, cv2.LINE_AA)
    return ink


def cross(_: DigitStamps, rng: Random) -> Grey:
    """An X as people cross out a cell: two strokes, of any slant, uneven, bent, rarely joined."""
    ink, pen = _canvas(), _pen(rng)
    # Half the angle between the strokes: wide cells get flat crosses.
    opening = np.clip(rng.normal(np.pi / 4, 0.17), 0.3, 1.2)
    tilt, joined = rng.normal(0, 0.14), rng.random() < 0.08
    ends = []
    for way in (1, -1):
        angle = tilt + way * opening + rng.normal(0, 0.08)
        centre = SIDE / 2 + rng.normal(0, 2.6, 2)
        arms = 24 * np.exp(rng.normal(0, 0.19, (2, 1)))
        along = np.array([np.cos(angle), np.sin(angle)])
        bend = rng.normal(0, 3.0, 2)
        points = np.stack([centre - arms[0] * along, centre + bend, centre + arms[1] * along])
        ends.append(points[::way])
        cv2.polylines(ink, [_curve(points, rng)], False, 255, pen, cv2.LINE_AA)
    if joined:
        # The pen was not lifted between the two strokes.
        link = np.stack([ends[0][-1], ends[1][-1]]).round().astype(np.int32)
        cv2.polylines(ink, [link], False, 255, max(1, pen - 1), cv2.LINE_AA)
    return ink


def _curve(points: NDArray[np.float64], rng: Random) -> NDArray[np.int32]:
    """A stroke through three points, bent or with a corner."""
    if rng.random() < 0.7:
        t = np.linspace(0, 1, 9)[:, None]
        points = (1 - t) ** 2 * points[:1] + 2 * t * (1 - t) * points[1:2] + t**2 * points[2:]
    return points.round().astype(np.int32)


def star(_: DigitStamps, rng: Random) -> Grey:
    """A plus sign, or three strokes through one point: neither a digit nor an X."""
    ink, pen = _canvas(), _pen(rng)
    count = 2 if rng.random() < 0.5 else 3
    for number in range(count):
        angle = number * np.pi / count + rng.normal(0, 0.12)
        centre = SIDE / 2 + rng.normal(0, 2, 2)
        arms = 24 * np.exp(rng.normal(0, 0.18, (2, 1)))
        along = np.array([np.cos(angle), np.sin(angle)])
        points = np.stack([centre - arms[0] * along, centre + arms[1] * along])
        cv2.polylines(ink, [points.round().astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    return ink


def scribble(_: DigitStamps, rng: Random) -> Grey:
    """A zigzag, a knot or a blot that makes a box unreadable."""
    ink, pen = _canvas(), _pen(rng)
    kind, count = rng.random(), int(rng.integers(7, 18))
    if kind < 0.45:
        across = np.linspace(10, 54, count) + rng.normal(0, 2, count)
        down = 32 + np.where(np.arange(count) % 2, 1, -1) * rng.uniform(8, 24, count)
        points = np.stack([across, down], axis=1)
        if rng.random() < 0.5:
            points = points[:, ::-1]
    elif kind < 0.9:
        points = rng.uniform(8, 56, (count, 2))
    else:
        corners = int(rng.integers(5, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        spread = rng.uniform(14, 26, (corners, 1))
        points = 32 + spread * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(ink, [points.round().astype(np.int32)], 255, cv2.LINE_AA)
        return ink
    smooth = cv2.resize(points.astype(np.float32), (2, count * 6), interpolation=cv2.INTER_CUBIC)
    line = points if rng.random() < 0.4 else smooth
    cv2.polylines(ink, [line.round().astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    return ink


def dash(_: DigitStamps, rng: Random) -> Grey:
    """A dash or a wave, which means none. Never upright: that is a 1."""
    ink = _canvas()
    _level_stroke(ink, 32, _pen(rng), rng)
    return ink


def dashes(_: DigitStamps, rng: Random) -> Grey:
    """Two or three dashes, one below the other."""
    ink, pen = _canvas(), _pen(rng)
    count = int(rng.integers(2, 4))
    for number in range(count):
        _level_stroke(ink, 32 + 12 * (number - (count - 1) / 2), pen, rng)
    return ink


def _level_stroke(ink: Grey, down: float, pen: int, rng: Random) -> None:
    left, right = rng.uniform((4, 44), (20, 60)).tolist()
    across = np.linspace(left, right, 12)
    wave = rng.uniform(0, 5) * np.sin(across / rng.uniform(5, 9) + rng.uniform(0, 6))
    rise = down + rng.normal(0, 0.13) * (across - 32) + (wave if rng.random() < 0.4 else 0)
    points = np.stack([across, rise], axis=1).round().astype(np.int32)
    cv2.polylines(ink, [points], False, 255, pen, cv2.LINE_AA)


def two_digits(digits: DigitStamps, rng: Random) -> Grey:
    """Two digits side by side in one cell."""
    ink = _canvas()
    for number in (0, 1):
        narrow = int(rng.integers(24, 34))
        small = cv2.resize(digits.draw(rng), (narrow, SIDE), interpolation=cv2.INTER_AREA)
        left = 0 if number == 0 else SIDE - narrow
        target = ink[:, left : left + narrow]
        np.maximum(target, np.roll(small, int(rng.integers(-5, 6)), axis=0), out=target)
    return ink


def overwritten(digits: DigitStamps, rng: Random) -> Grey:
    """One digit written over another, perhaps with a stroke through both."""
    pair = _SPOILT[rng.integers(len(_SPOILT))]
    ink = np.maximum(digits.draw(rng, pair[0]), digits.draw(rng, pair[1]))
    return struck_out(digits, rng, ink) if rng.random() < 0.3 else ink


def struck_out(digits: DigitStamps, rng: Random, ink: Grey | None = None) -> Grey:
    """A digit struck out: with strokes, a large cross, one long stroke, or a scribble."""
    kind = rng.random()
    if ink is None:
        # With one level stroke a 1 is a plus, a 7 stays a 7, and a 0 is one of some hands.
        labels = "2345689" if kind < 0.2 else "0123456789"
        ink = digits.draw(rng, labels[rng.integers(len(labels))])
    if kind < 0.2:
        return _with_strokes(ink, 1, rng)
    if kind < 0.55:
        return _with_strokes(ink, int(rng.integers(2, 5)), rng)
    over = cross if kind < 0.85 else scribble
    return np.maximum(ink, over(digits, rng))


def _with_strokes(ink: Grey, count: int, rng: Random) -> Grey:
    """Ink with level strokes through it, which begin and end beside it."""
    ink, pen = ink.copy(), _pen(rng)
    columns = np.flatnonzero(ink.max(axis=0) > 80)
    left, right = (int(columns[0]), int(columns[-1])) if len(columns) else (20, 44)
    beyond = rng.uniform(0.2, 0.5, 2) * max(right - left, 14)
    ends = max(1, round(left - beyond[0])), min(SIDE - 2, round(right + beyond[1]))
    for number in range(count):
        down = 32 + 9 * (number - (count - 1) / 2) + rng.normal(0, 3, 2)
        slope = rng.normal(0, 6)
        points = (ends[0], round(down[0] - slope)), (ends[1], round(down[1] + slope))
        cv2.line(ink, *points, 255, pen, cv2.LINE_AA)
    return ink


def half(digits: DigitStamps, rng: Random) -> Grey:
    """The left half of a digit."""
    ink = digits.draw(rng, "238"[rng.integers(3)]).copy()
    columns = np.flatnonzero(ink.max(axis=0) > 80)
    if len(columns):
        ink[:, columns[0] + max(4, int(len(columns) * rng.uniform(0.38, 0.5))) :] = 0
    return ink


def box(_: DigitStamps, rng: Random) -> Grey:
    """A closed or heavy box: a square 0 or printed, nobody knows."""
    ink = _canvas()
    pen = int(rng.integers(5, 13))
    _draw_edges(ink, 4 if rng.random() < 0.7 else 3, pen, rng)
    if rng.random() < 0.3:
        down = int(rng.integers(24, 40))
        cv2.line(ink, (10, down), (54, down), 255, pen)
    return ink


Draw = Callable[[DigitStamps, Random], Grey]

#: What is drawn for each mark for none, as a share of the rejects of a model without that class.
_MARKS: dict[str, tuple[float, Draw]] = {"X": (0.17, cross), "-": (0.08, dash)}
_REJECTS: list[tuple[float, Draw]] = [
    (0.30, letter),
    (0.05, star),
    (0.15, scribble),
    (0.03, dashes),
    (0.12, two_digits),
    (0.09, overwritten),
    (0.14, struck_out),
    (0.02, half),
    (0.04, box),
]


def draw_mark(mark: str, digits: DigitStamps, rng: Random) -> Grey:
    """The ink of a mark for none, "X" or "-", uint8 (64, 64)."""
    return _MARKS[mark][1](digits, rng)


def draw_reject(digits: DigitStamps, rng: Random, marks: Sequence[str] = ()) -> Grey:
    """The ink of a random negative, uint8 (64, 64); ``marks`` have classes of their own."""
    kinds = [*_REJECTS, *(each for mark, each in _MARKS.items() if mark not in marks)]
    cuts = np.cumsum([share for share, _ in kinds])
    at = int(np.searchsorted(cuts, rng.random() * cuts[-1]))
    return kinds[at][1](digits, rng)


def draw_blank(_: DigitStamps, rng: Random) -> Grey:
    """The ink of a cell without a digit: dirt and remains of lines that pass normalisation."""
    ink, kind = _canvas(), rng.random()
    if kind < 0.35:
        _stains(ink, rng)
    elif kind < 0.7:
        _frame(ink, rng)
    else:
        side = int(rng.integers(6, 58))
        skew = int(rng.integers(-3, 4))
        cv2.line(ink, (-2, side), (SIDE + 2, side + skew), 255, int(rng.integers(1, 3)))
        _stains(ink, rng)
    return ink


def _stains(ink: Grey, rng: Random) -> None:
    for _ in range(int(rng.integers(1, 7))):
        x, y = rng.integers(4, SIDE - 4, 2)
        axes = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        centre = (int(x), int(y))
        strength = int(rng.integers(90, 256))
        cv2.ellipse(ink, centre, axes, float(rng.uniform(0, 180)), 0, 360, strength, -1)


def _frame(ink: Grey, rng: Random) -> None:
    """Two or three edges of the box inside the cell, as if it was cut at an angle."""
    _draw_edges(ink, int(rng.integers(2, 4)), int(rng.integers(1, 3)), rng)


def _draw_edges(ink: Grey, count: int, pen: int, rng: Random) -> None:
    low, high = rng.integers(2, 14, 2), SIDE - rng.integers(2, 14, 2)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    first = int(rng.integers(4))
    for number in range(first, first + count):
        ends = [corners[number % 4], corners[(number + 1) % 4]]
        points = [(int(x), int(y)) for x, y in ends]
        cv2.line(ink, points[0], points[1], 255, pen)
