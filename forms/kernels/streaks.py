"""Kernels that look for streaks: what `inkmill.forms.cut.streaks` does in OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels
from inkmill.forms.kernels.levels import touch

Grey = NDArray[np.uint8]
Counts = NDArray[np.uint16]

#: Lines that are looked at before it is asked whether there can still be a streak.
_LINES = 16
#: Rows that are fetched into the cache together.
_ROWS = 64


@part_of_kernels
def _largest(levels: Grey, work: Grey, window: int) -> tuple[Grey, Grey]:
    """For each level the largest of a ``window`` of levels that begins with it.

    Where the window does not fit, it is anything. Returns the result and the other array.
    """
    covered = 1
    while covered < window:
        more = min(covered, window - covered)
        here, there = levels[: len(levels) - more], levels[more:]
        for place in range(len(there)):
            work[place] = max(here[place], there[place])
        levels, work = work, levels
        covered += more
    return levels, work


@part_of_kernels
def _fill(levels: Grey) -> None:
    for place in range(len(levels)):
        levels[place] = 0


@part_of_kernels
def _count_darker(line: Grey, window: int, least: int, work: Grey, counts: Counts) -> None:
    """Count pixels of a line that are darker than both sides by more than ``least``.

    That is, than the line's closing with a ``window``. ``work`` (3, n) is for use here.
    """
    width = len(line)
    before = window // 2
    after = window - 1 - before
    size = width + 2 * (before + after)
    levels, other, dark = work[0, :size], work[1, :size], work[2, :width]
    # Beyond the ends nothing counts: black for the largest level, white for the smallest.
    _fill(levels[: 2 * before])
    _fill(levels[2 * before + width :])
    inner = levels[2 * before : 2 * before + width]
    for place in range(width):
        inner[place] = line[place]
    levels, other = _largest(levels, other, window)
    inner = levels[before : before + width]
    for place in range(width):
        inner[place] = ~inner[place]
    _fill(levels[:before])
    _fill(levels[before + width :])
    closed, _ = _largest(levels, other, window)
    for place in range(width):
        light = ~closed[place]
        dark[place] = light - min(light, line[place])
    limit = np.uint8(least)
    for place in range(width):
        counts[place] += dark[place] > limit


@part_of_kernels
def _gather(page: Grey, start: int, step: int, lines: Grey) -> None:
    """Fill ``lines`` (n, height) with columns, row by row: a row's pixels lie near together."""
    count, height = lines.shape
    for first in range(0, height, _ROWS):
        last = min(first + _ROWS, height)
        lines[0, first] = touch(page, start, first, start + (count - 1) * step + 1, last) & 255
        for place in range(first, last):
            row = page[place, start:]
            for line in range(count):
                lines[line, place] = row[line * step]


@part_of_kernels
def _most(counts: Counts) -> np.uint16:
    most = np.uint16(0)
    for place in range(len(counts)):
        most = max(most, counts[place])
    return most


@kernel("bool_[::1](uint8[:,::1], int64, int64, int64, int64, int64)")
def find_streaks(
    page: Grey, axis: int, step: int, window: int, least: int, enough: int
) -> NDArray[np.bool_]:
    """Which places are darker than both sides in ``enough`` lines, bool (width,) or (height,).

    The lines are each ``step``-th row (``axis`` 0) or column (1). A place is darker by more than
    ``least``, within a ``window``. As soon as no place can have enough, the rest is not looked at.
    """
    count, places = (page.shape[axis] + step - 1) // step, page.shape[1 - axis]
    counts, found = np.zeros(places, np.uint16), np.zeros(places, np.bool_)
    work = np.empty((3, places + 2 * window), np.uint8)
    # With fewer, none can be ruled out.
    first, some = 0, min(count, count - enough + _LINES)
    lines = np.empty((some if axis == 1 else 0, places), np.uint8)
    while some > 0:
        if axis == 1:
            _gather(page, first * step, step, lines[:some])
        for line in range(some):
            pixels = lines[line] if axis == 1 else page[(first + line) * step]
            _count_darker(pixels, window, least, work, counts)
        first += some
        if _most(counts) + count - first < enough:
            return found
        some = min(_LINES, count - first)
    for place in range(places):
        found[place] = counts[place] >= enough
    return found
