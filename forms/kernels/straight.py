"""Kernel that cuts cells from a page: what `inkmill.forms.cut.cells` does in NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels
from inkmill.forms.kernels.fused import fused
from inkmill.forms.kernels.levels import count_levels, quantile, touch

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Region = tuple[int, int, int, int]
Work = tuple[Floats, Floats, Floats, NDArray[np.int32], NDArray[np.uint32], Grey]

#: OpenCV calculates so many places of a row at once, and those that are left over one by one, which
#: rounds in another order: twice what a register holds, with AVX2 (its number for it is 11) or not.
_AT_ONCE = 16 if cv2.checkHardwareSupport(11) else 8
#: Rows for which intermediate values are kept: few, so that they stay in the cache, but together
#: long enough for loops.
_ROWS = 4
#: Pixels beyond which nothing is near the page.
_FAR = 2.0**30


@part_of_kernels
def _region(matrix: Floats, height: int, width: int, page: Grey) -> Region:
    """The places of a page among which a cell's pixels are: left, top, right, bottom, included.

    A place is named by the first of the four pixels around it, -1 before the page's edge.
    """
    rows, columns = page.shape
    left, top, right, bottom = columns - 1, rows - 1, -1, -1
    for corner in range(4):
        x, y = (corner & 1) * (width - 1), (corner >> 1) * (height - 1)
        scale = matrix[6] * x + matrix[7] * y + matrix[8]
        across = (matrix[0] * x + matrix[1] * y + matrix[2]) / scale
        down = (matrix[3] * x + matrix[4] * y + matrix[5]) / scale
        if not (scale > 0 and abs(across) < _FAR and abs(down) < _FAR):
            # They may be anywhere on the page.
            return -1, -1, columns - 1, rows - 1
        # In the middle they lie between the corners, but may be rounded otherwise.
        left, right = min(left, int(across) - 2), max(right, int(across) + 2)
        top, bottom = min(top, int(down) - 2), max(bottom, int(down) + 2)
    return max(left, -1), max(top, -1), min(right, columns - 1), min(bottom, rows - 1)


@part_of_kernels
def _fours(page: Grey, region: Region, fours: NDArray[np.uint32]) -> None:
    """Fill ``fours`` with the four pixels around each place of a region, as the bytes of a number.

    Beyond the page, the pixels at its edge are repeated.
    """
    rows, columns = page.shape
    left, top, right, bottom = region
    stride, first = right - left + 1, max(left, 0)
    count = min(right, columns - 2) + 1 - first
    for row in range(top, bottom + 1):
        above, below = page[max(row, 0)], page[min(row + 1, rows - 1)]
        line = fours[(row - top) * stride : (row - top + 1) * stride]
        inner = line[first - left :]
        one, two = above[first:], above[first + 1 :]
        three, four = below[first:], below[first + 1 :]
        for place in range(count):
            upper = np.uint32(one[place]) | np.uint32(two[place]) << np.uint32(8)
            lower = np.uint32(three[place]) | np.uint32(four[place]) << np.uint32(8)
            inner[place] = upper | lower << np.uint32(16)
        if left < 0:
            line[0] = np.uint32(257) * (np.uint32(above[0]) | np.uint32(below[0]) << np.uint32(16))
        if right == columns - 1:
            upper, lower = np.uint32(above[columns - 1]), np.uint32(below[columns - 1])
            line[stride - 1] = np.uint32(257) * (upper | lower << np.uint32(16))


@part_of_kernels
def _places(
    row: int,
    at: Floats,
    whole: np.float32,
    matrix: Floats,
    region: Region,
    across: Floats,
    down: Floats,
    numbers: NDArray[np.int32],
) -> None:
    """Fill ``numbers`` with the places of a row's pixels in a region, numbered row by row.

    ``across`` and ``down`` are filled with how far the pixels are right of their places and below;
    ``at`` are the columns, of which OpenCV calculates those below ``whole`` many at once.
    """
    y, zero = np.float32(row), np.float32(0)
    left, top = np.float32(region[0]), np.float32(region[1])
    right, bottom = np.float32(region[2]), np.float32(region[3])
    stride = right - left + np.float32(1)
    x0, x1, x2 = matrix[0], matrix[1], matrix[2]
    y0, y1, y2 = matrix[3], matrix[4], matrix[5]
    w0, w1, w2 = matrix[6], matrix[7], matrix[8]
    x_part, y_part, w_part = x1 * y, y1 * y, w1 * y
    x_sum, y_sum, w_sum = x_part + x2, y_part + y2, w_part + w2
    for place in range(len(at)):
        # The constant is added before the column's product or after it.
        x, many = at[place], at[place] < whole
        scale = fused(w0, x, w_sum if many else w_part) + (zero if many else w2)
        to_right = (fused(x0, x, x_sum if many else x_part) + (zero if many else x2)) / scale
        to_bottom = (fused(y0, x, y_sum if many else y_part) + (zero if many else y2)) / scale
        column, line = np.floor(to_right), np.floor(to_bottom)
        across[place], down[place] = to_right - column, to_bottom - line
        # What is no number goes to the left and top.
        column = column if column > left else left
        line = line if line > top else top
        column, line = min(column, right), min(line, bottom)
        # Exact up to 2**24 places, and a product of integers would be one of 64 bits.
        numbers[place] = np.int32(fused(line - top, stride, column - left))


@part_of_kernels
def _between(fours: NDArray[np.uint32], across: Floats, down: Floats, levels: Grey) -> None:
    """Fill ``levels`` with what is between four pixels each, rounded to even."""
    byte = np.uint32(255)
    for place in range(len(levels)):
        four = fours[place]
        one = np.float32(np.int32(four & byte))
        two = np.float32(np.int32(four >> np.uint32(8) & byte))
        three = np.float32(np.int32(four >> np.uint32(16) & byte))
        last = np.float32(np.int32(four >> np.uint32(24)))
        upper = fused(across[place], two - one, one)
        lower = fused(across[place], last - three, three)
        levels[place] = np.uint8(np.int32(np.rint(fused(down[place], lower - upper, upper))))


@part_of_kernels
def _straighten(
    matrix: Floats, region: Region, fours: NDArray[np.uint32], work: Work, cell: Grey
) -> None:
    """Fill ``cell`` with its pixels; ``fours`` are the pixels of a region of the page."""
    at, across, down, numbers, found, levels = work
    height, width = cell.shape
    stride, whole = len(at), np.float32(width // _AT_ONCE * _AT_ONCE)
    for first in range(0, height, _ROWS):
        rows = min(_ROWS, height - first)
        size = rows * stride
        for row in range(rows):
            one, end = row * stride, (row + 1) * stride
            beside = across[one:end], down[one:end]
            _places(first + row, at, whole, matrix, region, *beside, numbers[one:end])
        for place in range(size):
            found[place] = fours[np.uint32(numbers[place])]
        _between(found[:size], across[:size], down[:size], levels[:size])
        for row in range(rows):
            line, target = levels[row * stride :], cell[first + row]
            for column in range(width):
                target[column] = line[column]


@kernel("void(uint8[:,::1], float32[:,::1], float64, uint8[:,:,::1])")
def cut_straight(page: Grey, matrices: Floats, part: float, dark: Grey) -> None:
    """Fill ``dark`` (n, height, width) with cells: how much darker than its paper each pixel is.

    ``matrices`` (n, 9) map pixels of the cells to the page's, row by row. Beyond the page, the
    pixels at its edge are repeated. The paper's level is what this ``part`` of a cell's pixels do
    not exceed.
    """
    count, height, width = dark.shape
    stride = (width + _AT_ONCE - 1) // _AT_ONCE * _AT_ONCE
    size, counts = _ROWS * stride, np.zeros((4, 256), np.int32)
    work = (
        np.arange(stride).astype(np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.int32),
        np.empty(size, np.uint32),
        np.empty(size, np.uint8),
    )
    regions = [_region(matrices[cell], height, width, page) for cell in range(count)]
    most = 0
    for left, top, right, bottom in regions:
        most = max(most, (right - left + 1) * (bottom - top + 1))
    fours = np.empty(most + 8, np.uint32)
    for cell in range(count):
        _fours(page, regions[cell], fours)
        # The next cell's part of the page comes into the cache meanwhile.
        left, top, right, bottom = regions[(cell + 1) % count]
        work[3][0] = touch(page, left, top, right + 1, bottom + 2)
        _straighten(matrices[cell], regions[cell], fours, work, dark[cell])
        flat = dark[cell].ravel()
        count_levels(flat, counts)
        level = np.uint8(quantile(counts, part * len(flat)))
        for place in range(len(flat)):
            flat[place] = level - min(flat[place], level)
