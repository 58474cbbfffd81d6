"""Kernels for the connected components of one small mask, by runs of ink."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import part_of_kernels

#: Columns of a table of runs: row, first column, column after the last, component.
ROW, START, END, PART = range(4)
#: Columns of a table of components: their rectangle, its right and bottom excluded; their pixels,
#: all and those in the inner rectangle.
LEFT, TOP, RIGHT, BOTTOM, AREA, INSIDE = range(6)
#: Rows of paper above and below a mask that is dilated.
MARGIN = 8


@part_of_kernels
def find_runs(ink: NDArray[np.uint8], width: int, runs: NDArray[np.int32]) -> int:
    """Fill ``runs`` with the runs of ink of a mask, row by row; returns their number.

    ``ink`` uint8 (height, stride), 0 or 1; its columns from ``width`` on, at least one, are paper;
    the stride is a multiple of 8.
    """
    count = 0
    words = ink.view(np.uint64)
    for row in range(ink.shape[0]):
        line, eights = ink[row], words[row]
        column = 0
        while column < width:
            if column & 7 == 0 and eights[column >> 3] == 0:
                column += 8
                continue
            if line[column] == 0:
                column += 1
                continue
            start = column
            while line[column] != 0:
                column += 1
            runs[count, 0], runs[count, 1], runs[count, 2] = row, start, column
            count += 1
    return count


@part_of_kernels
def join_runs(runs: NDArray[np.int32], count: int) -> int:
    """Give each run its component, 8-connected, in ``runs[:, PART]``; returns their number."""
    for run in range(count):
        runs[run, 3] = run
    above = 0
    for run in range(count):
        row, start, end = runs[run, 0], runs[run, 1], runs[run, 2]
        while above < run and (
            runs[above, 0] < row - 1 or (runs[above, 0] == row - 1 and runs[above, 2] < start)
        ):
            above += 1
        other = above
        while other < run and runs[other, 0] == row - 1 and runs[other, 1] <= end:
            _join(runs, other, run)
            other += 1
    number = 0
    for run in range(count):
        # A component's first run leads it, and comes before the others.
        root = runs[run, 3]
        if root == run:
            runs[run, 3] = -1 - number
            number += 1
        else:
            runs[run, 3] = runs[_root(runs, root), 3]
    for run in range(count):
        runs[run, 3] = -1 - runs[run, 3]
    return number


@part_of_kernels
def _root(runs: NDArray[np.int32], run: Any) -> Any:
    while runs[run, 3] >= 0 and runs[run, 3] != run:
        run = runs[run, 3]
    return run


@part_of_kernels
def _join(runs: NDArray[np.int32], one: int, other: int) -> None:
    first, second = _root(runs, one), _root(runs, other)
    if first < second:
        runs[second, 3] = first
    else:
        runs[first, 3] = second


@part_of_kernels
def measure_parts(
    runs: NDArray[np.int32],
    count: int,
    number: int,
    inner: tuple[int, int, int, int],
    parts: NDArray[np.int32],
) -> None:
    """Fill ``parts`` with the components' rectangles and areas.

    ``inner`` is the inner rectangle: left, top, right, bottom.
    """
    left, top, right, bottom = inner
    for part in range(number):
        parts[part, 0], parts[part, 1] = 2**30, 2**30
        parts[part, 2], parts[part, 3] = 0, 0
        parts[part, 4], parts[part, 5] = 0, 0
    for run in range(count):
        row, start, end, part = runs[run, 0], runs[run, 1], runs[run, 2], runs[run, 3]
        parts[part, 0] = min(parts[part, 0], start)
        parts[part, 1] = min(parts[part, 1], row)
        parts[part, 2] = max(parts[part, 2], end)
        parts[part, 3] = max(parts[part, 3], row + 1)
        parts[part, 4] += end - start
        if top <= row < bottom:
            parts[part, 5] += max(0, min(end, right) - max(start, left))


@part_of_kernels
def draw_runs(
    runs: NDArray[np.int32], count: int, kept: NDArray[np.bool_], drawn: NDArray[np.uint8]
) -> None:
    """Draw the runs of the ``kept`` components as ones in ``drawn``, which was cleared before."""
    for run in range(count):
        if kept[runs[run, 3]]:
            line = drawn[runs[run, 0]]
            for column in range(runs[run, 1], runs[run, 2]):
                line[column] = 1


@part_of_kernels
def padded(height: int, width: int) -> NDArray[np.uint8]:
    """An empty mask, uint8 (height + 2 * MARGIN, stride), of which `within` is the part to draw in.

    Its rows are whole words and have at least eight columns of paper at their ends, so that what
    is shifted by less than a word does not reach the next row.
    """
    return np.zeros((height + 2 * MARGIN, (width + 15) // 8 * 8), np.uint8)


@part_of_kernels
def within(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A `padded` mask without its margin."""
    return mask[MARGIN : len(mask) - MARGIN]


@part_of_kernels
def thicken(
    mask: NDArray[np.uint8],
    width: int,
    half: int,
    across: NDArray[np.uint8],
    wide: NDArray[np.uint8],
) -> None:
    """Fill ``wide`` with ``mask`` dilated by a square of side 2 * ``half`` + 1, up to ``width``.

    All are `padded`, ``across`` for use here; ``half`` is less than 8. Eight pixels are shifted at
    once, as the bytes of a word.
    """
    words, target = mask.view(np.uint64).ravel(), across.view(np.uint64).ravel()
    result, line = wide.view(np.uint64).ravel(), mask.shape[1] // 8
    first, count = MARGIN * line, (len(mask) - 2 * MARGIN) * line
    # Slices, since an index that might be negative keeps a loop from being vectorised.
    here, out, end = words[first : first + count], target[first : first + count], first + count
    before, after = words[first - 1 : end - 1], words[first + 1 : end + 1]
    for word in range(count):
        out[word] = here[word]
    for step in range(1, half + 1):
        bits, rest = np.uint64(8 * step), np.uint64(64 - 8 * step)
        for word in range(count):
            left = (here[word] << bits) | (before[word] >> rest)
            right = (here[word] >> bits) | (after[word] << rest)
            out[word] |= left | right
    final = result[first:end]
    for word in range(count):
        final[word] = out[word]
    for step in range(line, (half + 1) * line, line):
        above, below = target[first - step : end - step], target[first + step : end + step]
        for word in range(count):
            final[word] |= above[word] | below[word]
    for row in range(MARGIN, len(wide) - MARGIN):
        for column in range(width, wide.shape[1]):
            wide[row, column] = 0


@part_of_kernels
def copy_columns(mask: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Fill ``out`` (height, width) with the first columns of ``mask``."""
    height, width = out.shape
    for row in range(height):
        line, target = mask[row], out[row]
        for column in range(width):
            target[column] = line[column]
