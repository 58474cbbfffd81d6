"""Straight runs of dark pixels, joined to lines where print has gaps.

A copy of a copy loses parts of its lines, and the rest of a line counts as the line: runs that
continue each other are joined, if both are longer than the gap between them and both end where
nothing else is. Two tables on one level end at their own corners and stay apart, and so do the
uprights of two open combs, one above the other.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

#: Shortest run of dark pixels that counts as a line, as a part of the page's width.
_RUN = 0.011
#: Runs whose ends differ by more than this aside, as a part of the page's width, do not continue
#: each other: 0.4 mm of A4; and a gap is at most so wide: 16 mm, or 2 mm if one of them ends at
#: another line.
_ASIDE, _WIDEST_GAP, _WIDEST_AT_LINE = 0.002, 0.075, 0.01
#: A run is so many times as long as it is thick; others are the bars of figures.
_LEAST_SLIM = 4


def straight_runs(lines: Grey) -> tuple[Grey, Grey]:
    """The horizontal and the vertical runs of a mask of lines, each as a mask (0 or 255)."""
    run = max(7, round(_RUN * min(lines.shape)))
    # Wider gaps are those of dotted guides, which are not lines.
    closed = 3
    level = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((1, closed), np.uint8))
    level = cv2.morphologyEx(level, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    upright = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((closed, 1), np.uint8))
    upright = cv2.morphologyEx(upright, cv2.MORPH_OPEN, np.ones((run, 1), np.uint8))
    return np.asarray(level, np.uint8), np.asarray(upright, np.uint8)


def joined(level: Grey, upright: Grey, near: int) -> tuple[Grey, Grey]:
    """Both masks of runs with the gaps between runs of one line filled in.

    ``near`` is how far, in pixels, the end of a run may be from the line that it ends at.
    """
    return (
        _bridged(level, upright, near),
        np.ascontiguousarray(_bridged(upright.T, level.T, near).T),
    )


def _bridged(level: Grey, upright: Grey, near: int) -> Grey:
    side = min(level.shape)
    aside = max(2, round(_ASIDE * side))
    ends = _Ends.of(level, upright, near)
    # Each run with all that begin after it ends.
    gap = ends.left[None, :, 0] - ends.right[:, None, 0]
    off = np.abs(ends.left[None, :, 1] - ends.right[:, None, 1])
    shorter = np.minimum(ends.length[:, None], ends.length[None])
    free = ends.right_free.astype(int)[:, None] + ends.left_free.astype(int)[None]
    widest = np.array([0.0, _WIDEST_AT_LINE, _WIDEST_GAP])[free] * side
    fits = (gap > 0) & (gap <= np.minimum(shorter, widest)) & (off <= aside)
    if not fits.any():
        return level
    filled = np.ascontiguousarray(level)
    nearest = np.where(fits, gap, np.inf).argmin(axis=1)
    for one in np.flatnonzero(fits.any(axis=1)).tolist():
        begin, end = ends.right[one], ends.left[nearest[one]]
        cv2.line(filled, begin.tolist(), end.tolist(), 255, 1)
    return np.asarray(filled, np.uint8)


class _Ends:
    """Both ends of the runs of a mask.

    ``left`` and ``right`` int (n, 2) are column and row; ``left_free`` and ``right_free`` bool
    (n,) say that no line of the other direction is there.
    """

    def __init__(self, left: NDArray[np.int64], right: NDArray[np.int64], reached: Grey) -> None:
        self.left, self.right = left, right
        self.length = right[:, 0] - left[:, 0]
        self.left_free = reached[left[:, 1], left[:, 0]] == 0
        self.right_free = reached[right[:, 1], right[:, 0]] == 0

    @classmethod
    def of(cls, level: Grey, upright: Grey, near: int) -> _Ends:
        mask = np.ascontiguousarray(level)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, ltype=4)
        thin = (
            stats[:, cv2.CC_STAT_AREA]
            < stats[:, cv2.CC_STAT_WIDTH] / _LEAST_SLIM * (stats[:, cv2.CC_STAT_WIDTH])
        )
        numbers = 1 + np.flatnonzero(thin[1:])
        left, right = np.zeros((2, len(numbers), 2), np.int64)
        for place, number in enumerate(numbers.tolist()):
            x, y, width, height = stats[number, :4].tolist()
            own = labels[y : y + height, x : x + width] == number
            for table, column in ((left, 0), (right, width - 1)):
                row = round(float(np.flatnonzero(own[:, column]).mean()))
                table[place] = x + column, y + row
        side = 2 * near + 1
        reached = cv2.dilate(np.ascontiguousarray(upright), np.ones((side, side), np.uint8))
        return cls(left, right, np.asarray(reached, np.uint8))
