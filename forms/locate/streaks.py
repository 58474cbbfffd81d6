"""Streaks: what dirt on a feeder's glass draws down the whole page.

A streak through an empty cell looks like a 1 and makes a 4 of a 3, for the same cells of every
page that was fed: such errors come together, and no model's confidence tells them. So the cells
that a streak runs through are known, and what is read there is doubted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Points

Grey = NDArray[np.uint8]

#: The broadest streak, as a part of the page's side: 1.4 mm of an A4 page.
_BROADEST = 1 / 150
#: Levels of 255 that a streak is darker than both sides of it, over this part of the page.
#: A form's own lines are shorter, and hardly ever so upright.
_DARKER, _LENGTH = 24, 0.8
#: Lines of the page that are looked at: a streak is on all of them.
_LINES = 160
#: Part of a cell's side next to its border that no streak is sought in: the border is there.
_BORDER = 0.12


@dataclass(frozen=True)
class Streaks:
    """Where streaks run: ``columns`` bool (width,) from top to bottom, ``rows`` bool (height,)."""

    columns: NDArray[np.bool_]
    rows: NDArray[np.bool_]

    @classmethod
    def of(cls, grey: Grey) -> Streaks:
        """The streaks of a page, dark ink on white: a scan may have been turned since."""
        return cls(_columns(grey), _columns(grey.T))

    @property
    def any(self) -> bool:
        return bool(self.columns.any() or self.rows.any())

    def run_through(self, points: Points) -> bool:
        """Whether one runs through a cell, given its corners on the page, float64 (4, 2)."""
        low, high = points.min(axis=0), points.max(axis=0)
        inset = _BORDER * (high - low)
        (left, top), (right, bottom) = np.rint([low + inset, high - inset]).astype(int).tolist()
        across, down = self.columns[max(0, left) : right], self.rows[max(0, top) : bottom]
        return bool(across.any() or down.any())


def _columns(grey: Grey) -> NDArray[np.bool_]:
    lines = np.ascontiguousarray(grey[:: max(1, len(grey) // _LINES)])
    broadest = np.ones((1, max(5, round(_BROADEST * grey.shape[1]))), np.uint8)
    darker = cv2.morphologyEx(lines, cv2.MORPH_BLACKHAT, broadest) > _DARKER
    return np.asarray(darker.mean(axis=0) > _LENGTH, np.bool_)
