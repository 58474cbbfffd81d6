"""Kernels for the printed lines of one cell's box: what `inkmill.forms.cut.boxlines` does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import part_of_kernels

Grey = NDArray[np.uint8]


@part_of_kernels
def _line_at(hits: NDArray[np.bool_], first: int, last: int) -> tuple[int, int]:
    """The line whose hits lie in a window, a pixel wider: first place and the one after the last.

    Zeros if there is none.
    """
    lowest, highest = -1, -1
    for place in range(first, last):
        if hits[place]:
            if lowest < 0:
                lowest = place
            highest = place
    if lowest < 0:
        return 0, 0
    return max(0, lowest - 1), min(len(hits), highest + 2)


@part_of_kernels
def find_lines(
    raw: Grey,
    width: int,
    box: tuple[int, int, int, int],
    windows: NDArray[np.int64],
    cover: float,
    lines: NDArray[np.int64],
) -> None:
    """Fill ``lines`` (4, 2) with the box's lines: left, right (columns), top, bottom (rows).

    ``raw`` uint8 (height, stride), 0 or 1; ``windows`` (4, 2) are where they are searched for.
    """
    left, top, right, bottom = box
    height = raw.shape[0]
    upright, level = np.zeros(width, np.uint16), np.zeros(height, np.bool_)
    for row in range(top, bottom):
        line = raw[row]
        for column in range(width):
            upright[column] += line[column]
    for row in range(height):
        line = raw[row, left:right]
        ink = 0
        for column in range(len(line)):
            ink += line[column]
        level[row] = ink >= cover * (right - left)
    standing = np.zeros(width, np.bool_)
    for column in range(width):
        standing[column] = upright[column] >= cover * (bottom - top)
    for side in range(4):
        hits = standing if side < 2 else level
        lines[side, 0], lines[side, 1] = _line_at(hits, windows[side, 0], windows[side, 1])


@part_of_kernels
def without_lines(
    raw: Grey, width: int, lines: NDArray[np.int64], keep: Grey, rest: Grey, kept: Grey
) -> None:
    """Fill ``kept`` with the ink without the lines, except where a stroke crosses them.

    All are uint8 (height, stride), 0 or 1; ``rest`` is filled with the ink beside the lines;
    ``keep`` (stride,) is for use here.
    """
    height, stride = raw.shape
    for column in range(stride):
        keep[column] = 1
    for side in range(2):
        for column in range(lines[side, 0], lines[side, 1]):
            keep[column] = 0
    for row in range(height):
        level = np.uint8(1)
        for side in range(2, 4):
            if lines[side, 0] <= row < lines[side, 1]:
                level = np.uint8(0)
        source, one, other = raw[row], rest[row], kept[row]
        for column in range(stride):
            ink = source[column] & keep[column] & level
            one[column] = ink
            other[column] = ink
    for side in range(2):
        first, last = lines[side, 0], lines[side, 1]
        if first > 0 and last < width:
            _bridge_across(raw, rest, kept, first, last)
    for side in range(2, 4):
        first, last = lines[side, 0], lines[side, 1]
        if first > 0 and last < height:
            _bridge_down(raw, rest, kept, first, last, width)


@part_of_kernels
def _bridge_across(raw: Grey, rest: Grey, kept: Grey, first: int, last: int) -> None:
    """Restore the pixels of an upright line that a stroke crosses.

    That is, where there is ink on both sides of the line, within a pixel along it.
    """
    height = raw.shape[0]
    for row in range(height):
        above, below = max(0, row - 1), min(height - 1, row + 1)
        before = rest[above, first - 1] | rest[row, first - 1] | rest[below, first - 1]
        after = rest[above, last] | rest[row, last] | rest[below, last]
        if before & after:
            for column in range(first, last):
                kept[row, column] |= raw[row, column]


@part_of_kernels
def _bridge_down(raw: Grey, rest: Grey, kept: Grey, first: int, last: int, width: int) -> None:
    """The same for a level line."""
    before, after = rest[first - 1], rest[last]
    for column in range(width):
        one, other = max(0, column - 1), min(width - 1, column + 1)
        above = before[one] | before[column] | before[other]
        below = after[one] | after[column] | after[other]
        if above & below:
            for row in range(first, last):
                kept[row, column] |= raw[row, column]


@part_of_kernels
def clear_lines(about: Grey, ink: Grey, width: int, lines: NDArray[np.int64]) -> None:
    """The rest of a line beside a stroke that crosses it must not come back."""
    height = about.shape[0]
    for side in range(4):
        first, last = lines[side]
        if side < 2:
            for row in range(height):
                for column in range(first, last):
                    about[row, column] &= ink[row, column]
        else:
            for row in range(first, last):
                for column in range(width):
                    about[row, column] &= ink[row, column]
