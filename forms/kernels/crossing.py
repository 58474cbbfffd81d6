"""Kernel that rules out crosses, for `inkmill.forms.cut.crossing`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels

Grey = NDArray[np.uint8]


@part_of_kernels
def _covered(first: int, last: int, length: int, side: int) -> tuple[int, int]:
    """The pixels that are seen in these of a picture with ``side`` pixels, reduced or enlarged."""
    below = max(((last + 1) * length + side - 1) // side, last * length // side + 2)
    return first * length // side, min(length, below)


@part_of_kernels
def _has_ink(ink: Grey, row: int, column: int, reach: int, side: int) -> bool:
    """Whether there is ink where a picture of ``side`` pixels shows a row, about a column."""
    height, width = ink.shape
    top, bottom = _covered(row, row, height, side)
    left, right = _covered(max(0, column - reach), min(side - 1, column + reach), width, side)
    for line in range(top, bottom):
        for place in range(left, right):
            if ink[line, place] != 0:
                return True
    return False


@part_of_kernels
def _may_cross(ink: Grey, side: int, reach: int, least: float) -> bool:
    half = side // 2
    for falling in range(2):
        for first in range(0, side, half):
            blank = 0
            for row in range(first, first + half):
                column = row if falling else side - 1 - row
                if not _has_ink(ink, row, column, reach, side):
                    blank += 1
                    if half - blank < least:
                        return False
    return True


@kernel("bool_[::1](uint8[:,:,::1], int64[:,::1], int64, int64, float64)")
def may_cross(
    masks: Grey, boxes: NDArray[np.int64], side: int, reach: int, least: float
) -> NDArray[np.bool_]:
    """Which cells may have ink in ``least`` rows of each half of both diagonals, bool (n,).

    ``masks`` uint8 (n, height, width) are their ink, not 0, and ``boxes`` its rectangles. These are
    scaled to ``side`` rows and columns, and the diagonals reach as many columns to both sides.
    """
    found = np.zeros(len(masks), np.bool_)
    for cell in range(len(masks)):
        left, top, right, bottom = boxes[cell]
        if right > left and bottom > top:
            found[cell] = _may_cross(masks[cell, top:bottom, left:right], side, reach, least)
    return found
