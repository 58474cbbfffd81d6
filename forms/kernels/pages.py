"""Kernels for a page's overview: what `inkmill.forms.locate.vision.overview` does in OpenCV.

Each is one pass over the picture, row by row, where OpenCV takes several and writes a picture
between them. They count in integers as OpenCV does, and round as it does.

Numba computes in 64 bits; what is stored in an array of fewer is computed in as few, and so in
fewer instructions. Hence rows for values in between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels

Grey = NDArray[np.uint8]
Row = NDArray[np.uint16]
Sums = NDArray[np.int32]

#: OpenCV's weights for a blur of 5 pixels with a standard deviation of 0.8, in 256ths.
_OUTER, _INNER, _MIDDLE = 6, 58, 128


@part_of_kernels
def _mirrored(place: int, count: int) -> int:
    """A place beyond an edge, mirrored at the pixel on the edge."""
    place = abs(place)
    return 2 * (count - 1) - place if place >= count else place


# --- reduced and in even light -------------------------------------------------------------------


@part_of_kernels
def _thirds(line: Grey, out: Row) -> None:
    """Two values for every three pixels, four times as large: between them, 3 to 1 and 1 to 3."""
    for place in range(len(out) // 2):
        one, two, three = line[3 * place], line[3 * place + 1], line[3 * place + 2]
        out[2 * place] = np.uint16(3) * one + two
        out[2 * place + 1] = two + np.uint16(3) * three


@kernel("uint8[:,::1](uint8[:,::1])")
def two_thirds(grey: Grey) -> Grey:
    """The picture at two thirds of its size, as OpenCV interpolates; the rest is dropped."""
    rows, columns = len(grey) // 3, grey.shape[1] // 3
    small = np.empty((2 * rows, 2 * columns), np.uint8)
    first, second, third = (
        np.empty(2 * columns, np.uint16),
        np.empty(2 * columns, np.uint16),
        np.empty(2 * columns, np.uint16),
    )
    for row in range(rows):
        _thirds(grey[3 * row], first)
        _thirds(grey[3 * row + 1], second)
        _thirds(grey[3 * row + 2], third)
        for column in range(2 * columns):
            first[column] = 3 * first[column]
            third[column] = 3 * third[column]
        for column in range(2 * columns):
            middle = (second[column] >> 2) + 2
            first[column] = (first[column] >> 2) + middle
            third[column] = (third[column] >> 2) + middle
        upper, lower = small[2 * row], small[2 * row + 1]
        for column in range(2 * columns):
            upper[column] = first[column] >> 2
            lower[column] = third[column] >> 2
    return small


@kernel("uint8[:,::1](uint8[:,::1])")
def eighths(grey: Grey) -> Grey:
    """The means of squares of 8 pixels, a half rounded to even; the rest is dropped."""
    rows, columns = len(grey) // 8, grey.shape[1] // 8
    small, sums = np.empty((rows, columns), np.uint8), np.empty(8 * columns, np.uint16)
    for row in range(rows):
        sums[:] = 0
        for step in range(8):
            line = grey[8 * row + step]
            for column in range(8 * columns):
                sums[column] += line[column]
        for column in range(columns):
            total = 0
            for step in range(8):
                total += sums[8 * column + step]
            # 31 and the last bit of the whole part: a half goes to the even neighbour.
            small[row, column] = (total + 31 + ((total >> 6) & 1)) >> 6
    return small


@kernel(
    "uint8[:,::1](uint8[:,::1], uint8[:,::1], int64[:,::1], int32[:,::1], int64[:,::1], "
    "int32[:,::1], uint8)"
)
def evened(
    grey: Grey,
    paper: Grey,
    rows: NDArray[np.int64],
    row_weights: Sums,
    columns: NDArray[np.int64],
    column_weights: Sums,
    darkest: int,
) -> Grey:
    """The picture divided by the paper's brightness, at least ``darkest``, so that paper is 255.

    ``paper`` is enlarged to the picture's size, as OpenCV interpolates: ``rows`` int (2, height)
    are the two of its rows between which each row lies, and ``row_weights`` (2, height) their
    weights in 2,048ths; the same for columns.
    """
    height, width = grey.shape
    out, wide = np.empty((height, width), np.uint8), np.empty((len(paper), width), np.int32)
    above, below = np.empty(width, np.int32), np.empty(width, np.int32)
    for row in range(len(paper)):
        line, target = paper[row], wide[row]
        for column in range(width):
            one, other = line[columns[0, column]], line[columns[1, column]]
            sums = one * column_weights[0, column] + other * column_weights[1, column]
            target[column] = sums >> 4
    for row in range(height):
        first, second = wide[rows[0, row]], wide[rows[1, row]]
        upper, lower = row_weights[0, row], row_weights[1, row]
        for column in range(width):
            above[column] = first[column] * upper
            below[column] = second[column] * lower
        for column in range(width):
            above[column] = (above[column] >> 16) + (below[column] >> 16) + 2
        line, target = grey[row], out[row]
        for column in range(width):
            level = max(np.float32(above[column] >> 2), np.float32(darkest))
            part = np.float32(line[column]) * np.float32(255.0) / level
            target[column] = np.uint8(np.int32(min(np.rint(part), np.float32(255.0))))
    return out


# --- noise and lines -----------------------------------------------------------------------------


@kernel("int64[::1](uint8[:,::1])")
def count_grain(grey: Grey) -> NDArray[np.int64]:
    """How many pixels differ by each number of levels from the mean of 3 x 3 around them: (256,).

    The picture, at least two pixels high and wide, is mirrored at its edges.
    """
    height, width = grey.shape
    counts, sums = np.zeros((4, 256), np.int32), np.zeros(width + 2, np.uint16)
    total, off = np.empty(width, np.uint16), np.zeros((width + 3) // 4 * 4, np.uint8)
    for row in range(height):
        above, here = grey[_mirrored(row - 1, height)], grey[row]
        below, middle = grey[_mirrored(row + 1, height)], sums[1 : width + 1]
        for column in range(width):
            middle[column] = np.uint16(above[column]) + here[column] + below[column]
        sums[0], sums[width + 1] = middle[1], middle[width - 2]
        before, after = sums[:width], sums[2:]
        for column in range(width):
            total[column] = 2 * (before[column] + middle[column] + after[column]) + 9
        for column in range(width):
            # Divided by 18, exactly for what 18 bits hold.
            mean = np.uint8((np.uint32(total[column]) * np.uint32(58255)) >> np.uint32(20))
            off[column] = max(mean, here[column]) - min(mean, here[column])
        for column in range(0, len(off), 4):
            counts[0, off[column]] += 1
            counts[1, off[column + 1]] += 1
            counts[2, off[column + 2]] += 1
            counts[3, off[column + 3]] += 1
    found = np.zeros(256, np.int64)
    for each in range(4):
        for level in range(256):
            found[level] += counts[each, level]
    found[0] -= (len(off) - width) * height
    return found


@part_of_kernels
def _window_sums(line: Grey, block: int, sums: Row, twice: Row, out: Row) -> None:
    """Fill ``out`` with the sums of an odd ``block`` of pixels around each one of a row.

    The row is mirrored at its ends; ``sums`` and ``twice``, as long as the row and a block, are for
    use here.
    """
    width, half = len(line), block // 2
    middle = sums[half : half + width]
    for column in range(width):
        middle[column] = line[column]
    for step in range(1, half + 1):
        sums[half - step], sums[half + width - 1 + step] = line[step], line[width - 1 - step]
    for column in range(width):
        out[column] = sums[column]
    # Sums of 2, 4, 8 and so on: those that make up the block are added.
    done, size = 1, 1
    while 2 * size <= block:
        other = sums[size:]
        for column in range(len(other)):
            twice[column] = sums[column] + other[column]
        sums, twice, size = twice, sums, 2 * size
        if block & size:
            part = sums[done : done + width]
            for column in range(width):
                out[column] += part[column]
            done += size


@kernel("void(uint8[:,::1], int64, int64, uint8[:,::1])")
def darker_than_around(grey: Grey, block: int, least: int, lines: Grey) -> None:
    """Fill ``lines`` with 255 where a pixel is darker than the mean around it by ``least``, else 0.

    The mean is that of an odd ``block`` of at most 255 pixels across and down, rounded; the
    picture, larger than half a block, is mirrored at its edges.
    """
    height, width = grey.shape
    half, size, kept = block // 2, np.int32(block * block), block + 2
    limit = np.int32(size * least - size // 2)
    across, work = np.zeros((kept, width), np.uint16), np.zeros((2, width + 2 * half), np.uint16)
    around, over = np.zeros(width, np.int32), np.zeros(width, np.int32)
    for row in range(half + 1):
        _window_sums(grey[row], block, work[0], work[1], across[row])
    for row in range(-half, half + 1):
        line = across[abs(row)]
        for column in range(width):
            around[column] += line[column]
    for row in range(height):
        line, target = grey[row], lines[row]
        for column in range(width):
            over[column] = around[column] - size * line[column]
        for column in range(width):
            target[column] = np.uint8(0) - np.uint8(over[column] >= limit)
        next_row = row + half + 1
        if next_row < height:
            _window_sums(grey[next_row], block, work[0], work[1], across[next_row % kept])
        new, old = across[_mirrored(next_row, height) % kept], across[abs(row - half) % kept]
        for column in range(width):
            around[column] += np.int32(new[column]) - np.int32(old[column])


@part_of_kernels
def _thickened(lines: Grey, row: int, tall: Grey, near: Grey) -> None:
    height, width = lines.shape
    above, here, below = lines[max(row - 1, 0)], lines[row], lines[min(row + 1, height - 1)]
    middle = tall[1 : width + 1]
    for column in range(width):
        middle[column] = above[column] | here[column] | below[column]
    before, after = tall[:width], tall[2:]
    for column in range(width):
        near[column] = (before[column] | middle[column] | after[column]) & np.uint8(1)


@part_of_kernels
def _blurred_across(near: Grey, thick: Grey, out: Row) -> None:
    width = len(near)
    middle = thick[2 : width + 2]
    for column in range(width):
        middle[column] = near[column]
    thick[0], thick[1] = middle[2], middle[1]
    thick[width + 2], thick[width + 3] = middle[width - 2], middle[width - 3]
    one, two, four, five = thick[:width], thick[1:], thick[3:], thick[4:]
    for column in range(width):
        outer, inner = one[column] + five[column], two[column] + four[column]
        out[column] = _OUTER * outer + _INNER * inner + _MIDDLE * middle[column]


@part_of_kernels
def _blurred_down(across: NDArray[np.uint16], row: int, height: int, sums: Sums, out: Grey) -> None:
    one, two = across[_mirrored(row - 2, height) % 5], across[_mirrored(row - 1, height) % 5]
    four, five = across[_mirrored(row + 1, height) % 5], across[_mirrored(row + 2, height) % 5]
    three = across[row % 5]
    for column in range(len(out)):
        outer, inner = one[column] + five[column], two[column] + four[column]
        sums[column] = 255 * (_OUTER * outer + _INNER * inner + _MIDDLE * three[column]) + 32768
    for column in range(len(out)):
        out[column] = np.uint32(sums[column]) >> np.uint32(16)


@kernel("void(uint8[:,::1], uint8[:,::1], uint8[:,::1])")
def near_lines(lines: Grey, near: Grey, blurred: Grey) -> None:
    """Fill ``near`` with 1 on lines and beside them, else 0, and ``blurred`` with their blur.

    ``lines`` are 255, else 0, on at least three rows and columns. ``blurred`` is 255 on lines and
    less within two pixels of them.
    """
    height, width = lines.shape
    tall, thick = np.zeros(width + 2, np.uint8), np.zeros(width + 4, np.uint8)
    across, sums = np.zeros((5, width), np.uint16), np.zeros(width, np.int32)
    for row in range(height + 2):
        if row < height:
            _thickened(lines, row, tall, near[row])
            _blurred_across(near[row], thick, across[row % 5])
        if row >= 2:
            _blurred_down(across, row - 2, height, sums, blurred[row - 2])
