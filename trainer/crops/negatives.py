"""Negatives, drawn by the project: letters, crosses, scribbles, spoilt digits, dirt.

All are drawn as ink, uint8 (64, 64), light on dark, and go through the same pen, paper, scanner and
normalisation as the digits. Marks that somebody writes as a digit are left out: a plain stroke is a
1, O is a 0, and Z, S, b, q, g, B are digits in some handwriting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.crops.stamps import SIDE

Grey = NDArray[np.uint8]
Random = np.random.Generator

LETTERS = "AEFHKLMNPRTVWXXXaehkmwx?#@%&*+="
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
_SPOILT = ["24", "25", "34", "45", "46", "04", "07", "26", "02", "57", "67", "47", "37", "27"]


@dataclass(frozen=True, slots=True)
class DigitStamps:
    """Stamps of digits, uint8 (n, 64, 64), and their numbers by label."""

    stamps: Grey
    by_label: dict[str, NDArray[np.int64]]

    def draw(self, rng: Random, label: str | None = None) -> Grey:
        """A random stamp, of any digit or of ``label``."""
        chosen = self.by_label.get(label) if label is not None else None
        if chosen is None or not len(chosen):
            return np.asarray(self.stamps[rng.integers(len(self.stamps))])
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
    """A cross, X or +, with uneven arms; sometimes with a third stroke."""
    ink, pen = _canvas(), _pen(rng)
    tilt = np.pi / 4 if rng.random() < 0.75 else 0.0
    for number in range(2 if rng.random() < 0.8 else 3):
        angle = tilt + number * np.pi / 2 + rng.normal(0, 0.14) + (0.5 if number == 2 else 0)
        centre = SIDE / 2 + rng.normal(0, 3, 2)
        arms = 24 * np.exp(rng.normal(0, 0.18, 2))
        way = np.array([np.cos(angle), np.sin(angle)])
        bend = rng.normal(0, 2.5, 2)
        points = np.stack([centre - arms[0] * way, centre + bend, centre + arms[1] * way])
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
    """A dash, a double dash or a wave, which mean none. Never vertical: that is a 1."""
    ink, pen = _canvas(), _pen(rng)
    across = np.linspace(8, 56, 12)
    for number in range(1 if rng.random() < 0.7 else 2):
        wave = rng.uniform(0, 6) * np.sin(across / rng.uniform(5, 9) + rng.uniform(0, 6))
        down = 32 + 12 * number + rng.normal(0, 0.12) * (across - 32) + wave
        points = np.stack([across, down], axis=1).round().astype(np.int32)
        cv2.polylines(ink, [points], False, 255, pen, cv2.LINE_AA)
    return ink


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
    """A digit struck out with two or more strokes."""
    ink = digits.draw(rng).copy() if ink is None else ink.copy()
    pen = _pen(rng)
    for number in range(int(rng.integers(2, 5))):
        down = 20 + 9 * number + rng.normal(0, 3, 2)
        slope = rng.normal(0, 9)
        ends = [(4, round(down[0] - slope)), (60, round(down[1] + slope))]
        cv2.line(ink, ends[0], ends[1], 255, pen, cv2.LINE_AA)
    return ink


def half(digits: DigitStamps, rng: Random) -> Grey:
    """The left half of a digit."""
    ink = digits.draw(rng, "238"[rng.integers(3)]).copy()
    columns = np.flatnonzero(ink.max(axis=0) > 80)
    if len(columns):
        ink[:, columns[0] + max(4, int(len(columns) * rng.uniform(0.38, 0.5))) :] = 0
    return ink


_REJECTS: list[tuple[float, Callable[[DigitStamps, Random], Grey]]] = [
    (0.30, letter),
    (0.17, cross),
    (0.15, scribble),
    (0.08, dash),
    (0.12, two_digits),
    (0.09, overwritten),
    (0.07, struck_out),
    (0.02, half),
]
_CUTS = np.cumsum([share for share, _ in _REJECTS])


def draw_reject(digits: DigitStamps, rng: Random) -> Grey:
    """The ink of a random negative, uint8 (64, 64)."""
    at = int(np.searchsorted(_CUTS, rng.random() * _CUTS[-1]))
    return _REJECTS[at][1](digits, rng)


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
    """Two or more edges of the box inside the cell, as if it was cut at an angle."""
    low, high = rng.integers(2, 14, 2), SIDE - rng.integers(2, 14, 2)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    first, count = int(rng.integers(4)), int(rng.integers(2, 5))
    pen = int(rng.integers(1, 4))
    for number in range(first, first + count):
        ends = [corners[number % 4], corners[(number + 1) % 4]]
        points = [(int(x), int(y)) for x, y in ends]
        cv2.line(ink, points[0], points[1], 255, pen)
