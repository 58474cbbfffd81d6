"""Kernels that look at levels of pages, uint8 (height, width), and cells, (n, height, width)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels

Grey = NDArray[np.uint8]


@part_of_kernels
def touch(page: Grey, left: int, top: int, right: int, bottom: int) -> int:
    """Read a pixel of each line of the cache in a rectangle, so that all are fetched at once.

    Their sum is to be kept somewhere, or nothing would be read.
    """
    total = 0
    for row in range(max(top, 0), min(bottom, len(page))):
        line = page[row, max(left, 0) : right]
        for column in range(0, len(line), 64):
            total += line[column]
        # A cell beyond the page's left edge has none: nothing checks an index here.
        if len(line) > 0:
            total += line[len(line) - 1]
    return total


@part_of_kernels
def count_levels(flat: Grey, counts: NDArray[np.int32]) -> None:
    """Fill ``counts`` (4, 256) with how many pixels have each level, in four parts.

    Equal levels side by side would wait for each other in one table.
    """
    counts[:] = 0
    whole = len(flat) // 4 * 4
    for pixel in range(0, whole, 4):
        counts[0, flat[pixel]] += 1
        counts[1, flat[pixel + 1]] += 1
        counts[2, flat[pixel + 2]] += 1
        counts[3, flat[pixel + 3]] += 1
    for pixel in range(whole, len(flat)):
        counts[0, flat[pixel]] += 1


@part_of_kernels
def quantile(counts: NDArray[np.int32], least: float) -> int:
    """The level up to which so many pixels have been counted."""
    seen, level = 0, -1
    while level < 255 and (level < 0 or seen < least):
        level += 1
        seen += counts[0, level] + counts[1, level] + counts[2, level] + counts[3, level]
    return level


@kernel("int64[::1](uint8[:,:,::1], float64)")
def quantiles(cells: Grey, part: float) -> NDArray[np.int64]:
    """For each cell the level that ``part`` of its pixels do not exceed, int (n,)."""
    found, counts = np.zeros(len(cells), np.int64), np.zeros((4, 256), np.int32)
    for number in range(len(cells)):
        flat = cells[number].ravel()
        count_levels(flat, counts)
        found[number] = quantile(counts, part * len(flat))
    return found


@kernel("float32[::1](uint8[:,::1], int64)")
def histogram(picture: Grey, step: int) -> NDArray[np.float32]:
    """How many pixels of each ``step``-th row and column have each level, as OpenCV counts them."""
    counts = np.zeros((4, 256), np.int32)
    for row in range(0, len(picture), step):
        line = picture[row]
        whole = (len(line) - 1) // (4 * step) * 4 * step
        for pixel in range(0, whole, 4 * step):
            counts[0, line[pixel]] += 1
            counts[1, line[pixel + step]] += 1
            counts[2, line[pixel + 2 * step]] += 1
            counts[3, line[pixel + 3 * step]] += 1
        for pixel in range(whole, len(line), step):
            counts[0, line[pixel]] += 1
    total = np.zeros(256, np.float32)
    for level in range(256):
        total[level] = counts[0, level] + counts[1, level] + counts[2, level] + counts[3, level]
    return total


@kernel("void(uint8[:,:,::1], uint8[:,::1], uint8[:,:,::1])")
def drop_print(cells: Grey, limit: Grey, out: Grey) -> None:
    """Fill ``out`` with the cells' darkness where it is above ``limit`` (height, width), else 0."""
    flat_limit = limit.ravel()
    for number in range(len(cells)):
        flat, target = cells[number].ravel(), out[number].ravel()
        for pixel in range(len(flat)):
            target[pixel] = flat[pixel] if flat[pixel] > flat_limit[pixel] else 0


@kernel("int64[::1](uint8[:,:,::1], int64, int64, int64, int64)")
def darkest_places(cells: Grey, top: int, bottom: int, left: int, right: int) -> NDArray[np.int64]:
    """For each cell the largest mean of 3 x 3 pixels in a rectangle, mirrored at its edges: (n,).

    0 in a rectangle without pixels.
    """
    found = np.zeros(len(cells), np.int64)
    height, width = bottom - top, right - left
    if height <= 0 or width <= 0:
        return found
    sums = np.zeros(width + 2, np.uint16)
    for number in range(len(cells)):
        most = np.uint16(0)
        for row in range(height):
            above = top + (row - 1 if row > 0 else min(1, height - 1))
            below = top + (row + 1 if row < height - 1 else max(0, height - 2))
            one = cells[number, above, left:right]
            two = cells[number, top + row, left:right]
            three = cells[number, below, left:right]
            middle = sums[1 : width + 1]
            for column in range(width):
                middle[column] = np.uint16(one[column]) + two[column] + three[column]
            sums[0] = middle[min(1, width - 1)]
            sums[width + 1] = middle[max(0, width - 2)]
            before, after = sums[:width], sums[2:]
            for column in range(width):
                most = max(most, np.uint16(before[column] + middle[column] + after[column]))
        found[number] = (2 * np.int64(most) + 9) // 18
    return found


@kernel("void(uint8[:,:,::1], int64, int64, int64, uint8[:,::1])")
def common_print(thick: Grey, rank: int, least: int, most: int, guide: Grey) -> None:
    """Fill ``guide`` with what cells have in common: the ``rank``-th smallest level at each place.

    0 where fewer than all but ``rank`` cells reach the level ``least``, or if it is above ``most``.
    """
    count = len(thick)
    target, levels = guide.ravel(), np.zeros(count, np.uint8)
    shown = np.zeros(len(target), np.uint8)
    for cell in range(count):
        flat = thick[cell].ravel()
        for pixel in range(len(flat)):
            shown[pixel] += flat[pixel] >= least
    cells = thick.reshape(count, len(target))
    for pixel in range(len(target)):
        target[pixel] = 0
        if shown[pixel] >= count - rank:
            # The smallest ones so far, in order.
            held = 0
            for cell in range(count):
                level = cells[cell, pixel]
                if held <= rank:
                    held += 1
                elif level >= levels[rank]:
                    continue
                place = held - 1
                while place > 0 and levels[place - 1] > level:
                    levels[place] = levels[place - 1]
                    place -= 1
                levels[place] = level
            if levels[rank] <= most:
                target[pixel] = levels[rank]
