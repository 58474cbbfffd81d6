"""Digits drawn along printed guides: straight strokes between six points, as on a calculator.

On forms that print a faint box for each stroke, careful people write such digits, which no public
collection of handwriting contains. This module draws the ways of writing each digit, corners that
miss their point, strokes that cross or stop short, and rounded corners. Slant, bend and pen come
from augmentation, as for every digit.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.crops.stamps import BOX, SIDE

Grey = NDArray[np.uint8]
Points = NDArray[np.float64]
Random = np.random.Generator

#: The guides' points: x from 0 at the left to 1, y from 0 at the top to 1.
_POINTS = {
    "a": (0.0, 0.0),
    "b": (1.0, 0.0),
    "c": (0.0, 0.5),
    "d": (1.0, 0.5),
    "e": (0.0, 1.0),
    "f": (1.0, 1.0),
    "g": (0.5, 0.0),
    "h": (0.5, 1.0),
    "i": (0.0, 0.25),
}
#: Ways to write each digit: strokes in order, each a sequence of points.
_WAYS = {
    "0": ("abfea", "aefba", "aef abf"),
    "1": ("bf", "gh", "ae", "igh"),
    "2": ("abdcef",),
    "3": ("abdfe cd", "abdcdfe", "abfe cd"),
    "4": ("acd bf", "acd bdf", "ac cd bf"),
    "5": ("bacdfe", "acdfe ab", "bac cdfe"),
    "6": ("baefdc", "aefdc", "bace cdfe"),
    "7": ("abf", "cabf", "iabf", "abdf", "abh"),
    "8": ("abfea cd", "bacdfecdb", "baefb cd", "abdcefdca"),
    "9": ("dcabfe", "dcabf", "bacd bfe", "bacdb df"),
}
#: Share of digits whose strokes are drawn one by one, with gaps and overshoots at the corners.
_APART = 0.3
#: Share of digits with rounded corners: between square and ordinary handwriting.
_ROUNDED = 0.35


def skeleton(label: str, rng: Random) -> Grey:
    """The skeleton of a square digit: uint8 (64, 64), lines of 255, about one pixel wide."""
    tall = BOX * rng.uniform(0.85, 1.0)
    wide = tall * rng.uniform(0.38, 0.8)
    waist = rng.normal(0, 0.05)
    unsteady = rng.uniform(0.01, 0.06) * tall
    apart, rounded = rng.random() < _APART, rng.random() < _ROUNDED
    ways = _WAYS[label]
    result = np.zeros((SIDE, SIDE), np.uint8)
    for walk in ways[rng.integers(len(ways))].split():
        points = np.array([_POINTS[name] for name in walk])
        points[points[:, 1] == 0.5, 1] += waist
        points = SIDE / 2 + (points - 0.5) * (wide, tall)
        points += rng.normal(0, unsteady, points.shape)
        strokes = [points[at : at + 2] for at in range(len(points) - 1)] if apart else [points]
        for stroke in strokes:
            _draw(result, _ended(stroke, rng), rounded and not apart)
    return result


def _ended(stroke: Points, rng: Random) -> Points:
    """The same stroke with its start and end moved slightly."""
    ended = stroke.copy()
    early, late = rng.normal(0, 0.05, 2)
    ended[0] += early * (stroke[0] - stroke[1])
    ended[-1] += late * (stroke[-1] - stroke[-2])
    return ended


def _draw(canvas: Grey, stroke: Points, rounded: bool) -> None:
    """Draw a stroke in place; rounded by cutting its corners (Chaikin, 1974)."""
    for _ in range(3 if rounded else 0):
        first, second = stroke[:-1], stroke[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1)
        stroke = np.concatenate([stroke[:1], cut.reshape(-1, 2), stroke[-1:]])
    cv2.polylines(canvas, [stroke.round().astype(np.int32)], False, 255, 1)
