"""Kernel that scales inks down to MNIST's box, as OpenCV's `resize` does by areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
#: For each pixel of a side the first of those that it covers, and the weights of all (most, n).
Table = tuple[NDArray[np.int32], Floats]

#: OpenCV takes a scale for a whole number that differs from it by less.
_EPSILON = 2.0**-52


@part_of_kernels
def _fill_table(source: int, target: int, table: Table) -> int:
    """Fill a table for a side of ``source`` pixels that becomes ``target``; returns the most."""
    firsts, weights = table
    scale, most = 1.0 / (target / source), 0
    for place in range(target):
        low = place * scale
        high, width = low + scale, min(scale, source - low)
        last = min(int(np.floor(high)), source - 1)
        first = min(int(np.ceil(low)), last)
        firsts[place], seen = first, 0
        if first - low > 1e-3:
            firsts[place], weights[0, place], seen = first - 1, (first - low) / width, 1
        for _ in range(first, last):
            weights[seen, place] = 1.0 / width
            seen += 1
        if high - last > 1e-3:
            weights[seen, place] = min(min(high - last, 1.0), width) / width
            seen += 1
        # What adds nothing lets all pixels have as many.
        for rest in range(seen, len(weights)):
            weights[rest, place] = 0
        most = max(most, seen)
    return most


@part_of_kernels
def _by_whole_squares(ink: Grey, small: Grey) -> None:
    height, width = small.shape
    down, across = len(ink) // height, ink.shape[1] // width
    part = np.float32(1.0 / (down * across))
    for row in range(height):
        for column in range(width):
            total = 0
            for line in range(row * down, (row + 1) * down):
                for place in range(column * across, (column + 1) * across):
                    total += ink[line, place]
            if down == 2 and across == 2:
                small[row, column] = (total + 2) >> 2
            else:
                small[row, column] = np.uint8(np.rint(np.float32(total) * part))


@part_of_kernels
def _by_areas(ink: Grey, rows: Table, columns: Table, work: Floats, small: Grey) -> None:
    """Fill ``small``; ``work`` (2, n), as wide as the ink and more, is for use here."""
    height, width = small.shape
    tall = _fill_table(len(ink), height, rows)
    wide = _fill_table(ink.shape[1], width, columns)
    line, sums, firsts = work[0], work[1, :width], columns[0]
    weights = columns[1]
    for row in range(height):
        for column in range(width):
            sums[column] = 0
        for step in range(tall):
            weight = rows[1][step, row]
            if weight == 0:
                continue
            pixels = ink[rows[0][row] + step]
            for place in range(len(pixels)):
                line[place] = pixels[place]
            for column in range(width):
                first = np.uint32(firsts[column])
                total = line[first] * weights[0, column]
                for place in range(1, wide):
                    total += line[first + place] * weights[place, column]
                sums[column] += weight * total
        target = small[row]
        for column in range(width):
            target[column] = np.uint8(np.int32(np.rint(sums[column])))


@part_of_kernels
def _is_whole(source: int, target: int) -> bool:
    scale = 1.0 / (target / source)
    return bool(abs(scale - np.rint(scale)) < _EPSILON)


@part_of_kernels
def _table(side: int, size: int) -> Table:
    return np.empty(size, np.int32), np.empty((side + 3, size), np.float32)


@kernel("void(uint8[:,:,::1], int64[:,::1], bool_[::1], float64, uint8[:,:,::1], int64[:,::1])")
def scale_down(
    inks: Grey,
    boxes: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    side: float,
    small: Grey,
    sides: NDArray[np.int64],
) -> None:
    """Scale the parts of pictures in ``boxes`` (n, 4), so that the longer side becomes ``side``.

    ``small`` uint8 (n, size, size), zeros before, is filled with them at the top left, ``sides``
    (n, 2) with their heights and widths: where they are ``wanted`` and larger than that.
    """
    count, height, width = inks.shape
    rows, columns = _table(height, small.shape[1]), _table(width, small.shape[1])
    work = np.zeros((2, 2 * (height + width) + 3), np.float32)
    for number in range(count):
        left, top, right, bottom = boxes[number]
        tall, wide = bottom - top, right - left
        if not wanted[number] or max(tall, wide) <= side:
            continue
        scale = side / max(tall, wide)
        low, narrow = max(1, int(np.rint(tall * scale))), max(1, int(np.rint(wide * scale)))
        ink, target = inks[number, top:bottom, left:right], small[number, :low, :narrow]
        if _is_whole(tall, low) and _is_whole(wide, narrow):
            _by_whole_squares(ink, target)
        else:
            _by_areas(ink, rows, columns, work, target)
        sides[number, 0], sides[number, 1] = low, narrow
