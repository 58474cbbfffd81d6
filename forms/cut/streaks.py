"""Streaks: lines that dirt on a feeder's glass draws down the whole page.

A streak through an empty cell looks like a 1, and turns a 3 into a 4, in the same cells of every
page that was fed. Such errors come together, and no model's confidence shows them; so cells with a
streak are detected, and their readings get less confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.geometry import Points

Grey = NDArray[np.uint8]

#: Width of the broadest streak, as a part of the page's side: 1.4 mm of an A4 page.
_BROADEST = 1 / 150
#: A streak is darker than both its sides by this many levels of 255, over this part of the page. A
#: form's own lines are shorter, and hardly ever so exactly vertical.
_DARKER, _LENGTH = 24, 0.8
#: Number of the page's pixel rows that are examined: a streak is in all of them.
_LINES = 160
#: Of these rows, every so many-th is examined first: where too few of them are darker, the others
#: cannot make a streak.
_FEWER = 4
#: Strip along a cell's border without a search for streaks, as a part of its side.
_BORDER = 0.12


@dataclass(frozen=True)
class Streaks:
    """Where streaks run: ``columns`` bool (width,) from top to bottom, ``rows`` bool (height,)."""

    columns: NDArray[np.bool_]
    rows: NDArray[np.bool_]

    @classmethod
    def of(cls, grey: Grey) -> Streaks:
        """The streaks of a page, dark ink on white, in both directions: it may be turned."""
        return cls(_along(grey, 0), _along(grey, 1))

    @property
    def any(self) -> bool:
        return bool(self.columns.any() or self.rows.any())

    def run_through(self, points: Points) -> bool:
        """Whether a streak runs through a cell with these corners on the page, float64 (4, 2)."""
        low, high = points.min(axis=0), points.max(axis=0)
        inset = _BORDER * (high - low)
        (left, top), (right, bottom) = np.rint([low + inset, high - inset]).astype(int).tolist()
        across, down = self.columns[max(0, left) : right], self.rows[max(0, top) : bottom]
        return bool(across.any() or down.any())


def _along(grey: Grey, axis: int) -> NDArray[np.bool_]:
    """Where streaks run along an axis: 0 down the page, 1 across."""
    height, width = grey.shape
    across, along = (width, height) if axis == 0 else (height, width)
    step, broadest = max(1, along // _LINES), max(5, round(_BROADEST * across))
    if kernels.enabled():
        return _along_by_kernels(grey, axis, step, broadest)
    lines = grey[::step] if axis == 0 else grey[:, ::step]
    count = lines.shape[axis]
    few = lines[::_FEWER] if axis == 0 else lines[:, ::_FEWER]
    most = _darker(few, axis, broadest) + (count - few.shape[axis])
    if not (most / count > _LENGTH).any():
        return np.zeros(across, np.bool_)
    return np.asarray(_darker(lines, axis, broadest) / count > _LENGTH, np.bool_)


def _along_by_kernels(grey: Grey, axis: int, step: int, broadest: int) -> NDArray[np.bool_]:
    """What `_along` returns, by compiled kernels."""
    from inkmill.forms.kernels.streaks import find_streaks

    count = -(-grey.shape[axis] // step)
    enough = int(np.argmax(np.arange(count + 1) / count > _LENGTH))
    return find_streaks(np.ascontiguousarray(grey), axis, step, broadest, _DARKER, enough)


def _darker(lines: Grey, axis: int, broadest: int) -> NDArray[np.int32]:
    """How many pixels along an axis are darker than both their sides: int (pixels across,)."""
    window = np.ones((1, broadest) if axis == 0 else (broadest, 1), np.uint8)
    hat = cv2.morphologyEx(np.ascontiguousarray(lines), cv2.MORPH_BLACKHAT, window)
    darker = cv2.threshold(hat, _DARKER, 1, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.reduce(darker, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)).ravel()
