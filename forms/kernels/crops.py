"""Kernels for crops: what `inkmill.forms.cut.crops` does in NumPy and OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels
from inkmill.forms.kernels.parts import (
    draw_runs,
    find_runs,
    join_runs,
    measure_parts,
    padded,
    thicken,
    within,
)

Grey = NDArray[np.uint8]

#: What `find_digits` says of a cell: nothing is written; its ink was found; it takes a closer look,
#: as a whole or at what lies along its edges.
EMPTY, FOUND, UNUSUAL, EDGED = range(4)


@part_of_kernels
def _histogram(cell: Grey, counts: NDArray[np.int64]) -> None:
    """Fill ``counts`` (256,) for a cell that is white for the most part."""
    counts[:] = 0
    white = 0
    for row in range(cell.shape[0]):
        line = cell[row]
        for column in range(len(line)):
            if line[column] == 255:
                white += 1
            else:
                counts[line[column]] += 1
    counts[255] = white


@part_of_kernels
def _is_usual(counts: NDArray[np.int64], size: int, crowded: float) -> bool:
    """Whether a cell is dark on light for certain, and not crowded."""
    lowest, highest = 0, 255
    while counts[lowest] == 0:
        lowest += 1
    while counts[highest] == 0:
        highest -= 1
    weight, darker = 0, 0
    for level in range(256):
        weight += level * counts[level]
        if level <= (lowest + highest) // 2:
            darker += counts[level]
    # If the mean equals the middle, the last bit of a float decides: not for certain.
    dark_on_light = weight > ((lowest + highest) / 2 + 1e-6) * size
    return dark_on_light and not darker > crowded * size - 1


@part_of_kernels
def _first(counts: NDArray[np.int64], start: int, least: float) -> int:
    """The first level from ``start`` on up to which so much has been counted.

    ``counts`` are of the cell as it is, levels of its negative.
    """
    seen = 0
    for level in range(start, 256):
        seen += counts[255 - level]
        if seen >= least:
            return level
    return 256


@part_of_kernels
def _levels(
    counts: NDArray[np.int64], size: int, rules: tuple[float, float, float]
) -> tuple[int, int]:
    """The paper's level in a cell's negative, and the level above which pixels are ink.

    ``rules`` are the least contrast, the noise and the ink's least strength.
    """
    contrast, noise, strength = rules
    paper, below = _first(counts, 0, 0.5 * size), _first(counts, 0, 0.16 * size)
    floor = max(contrast, noise * (paper - below))
    start = int(paper + np.floor(floor))
    total = 0
    for level in range(min(start, 256), 256):
        total += counts[255 - level]
    if total == 0:
        return paper, 255
    typical = _first(counts, start, 0.75 * total) - paper
    return paper, int(min(paper + np.floor(max(floor, strength * typical)), 255.0))


@part_of_kernels
def _negative_above(cell: Grey, limit: np.uint8, ink: Grey) -> None:
    height, width = cell.shape
    darker = np.uint8(255 - limit)
    for row in range(height):
        line, target = cell[row], ink[row]
        for column in range(width):
            target[column] = line[column] < darker


@part_of_kernels
def _significant(
    parts: NDArray[np.int32],
    number: int,
    height: int,
    width: int,
    inside: float,
    least_side: float,
    speck: float,
    kept: NDArray[np.bool_],
) -> int:
    """What was found of a cell; ``kept`` is filled with the components that are its digit."""
    longest, largest = 0, 0
    for part in range(number):
        x, y, far, low = parts[part, 0], parts[part, 1], parts[part, 2], parts[part, 3]
        at_edge = x == 0 or y == 0 or far == width or low == height
        if at_edge and parts[part, 5] < inside * parts[part, 4]:
            return 3
        longest = max(longest, far - x, low - y)
        largest = max(largest, parts[part, 4])
    if longest < least_side or number == 0:
        return 0
    for part in range(number):
        kept[part] = parts[part, 4] >= speck * largest
    return 1


@part_of_kernels
def _bounds(
    parts: NDArray[np.int32],
    number: int,
    kept: NDArray[np.bool_],
    half: int,
    ink: Grey,
    drawn: Grey,
    width: int,
    box: NDArray[np.int64],
) -> None:
    """Fill ``box`` with the rectangle of the ink in the kept components, which are thicker."""
    left, top, right, bottom = width, len(ink), 0, 0
    for part in range(number):
        if kept[part]:
            left, top = min(left, parts[part, 0]), min(top, parts[part, 1])
            right, bottom = max(right, parts[part, 2]), max(bottom, parts[part, 3])
    if left == 0 or top == 0 or right == width or bottom == len(ink):
        # Dilation ends at the image's edge, so there the ink itself has to be looked at.
        _extent(ink, drawn, width, box)
        return
    box[0], box[1], box[2], box[3] = left + half, top + half, right - half, bottom - half


@part_of_kernels
def _extent(ink: Grey, drawn: Grey, width: int, box: NDArray[np.int64]) -> None:
    """Fill ``box`` with the rectangle of the ink that is drawn."""
    left, top, right, bottom = width, -1, 0, 0
    for row in range(ink.shape[0]):
        line, near = ink[row], drawn[row]
        first = 0
        while first < width and not (line[first] & near[first]):
            first += 1
        if first == width:
            continue
        last = width - 1
        while not (line[last] & near[last]):
            last -= 1
        left, right, bottom = min(left, first), max(right, last + 1), row + 1
        top = row if top < 0 else top
    box[0], box[1], box[2], box[3] = left, top, right, bottom


@part_of_kernels
def _strength(cell: Grey, drawn: Grey, paper: np.uint8, out: Grey) -> None:
    """Fill ``out`` with how much darker than its paper a cell is, where it is drawn, else 0."""
    height, width = cell.shape
    for row in range(height):
        line, near, target = cell[row], drawn[row], out[row]
        for column in range(width):
            light = ~line[column]
            target[column] = (max(light, paper) - paper) & (np.uint8(0) - near[column])


@kernel("void(uint8[:,:,::1], int64[:,::1], uint8[:,::1], uint8[:,:,::1])")
def place_digits(small: Grey, sides: NDArray[np.int64], stretch: Grey, crops: Grey) -> None:
    """Draw inks, each at the top left of a square, with their centres of mass in the crops' middle.

    ``small`` and ``crops`` (black before) are uint8 (n, size, size), ``sides`` (n, 2) the inks'
    heights and widths; row ``k`` of ``stretch``, uint8 (256, 256), scales levels so that ``k``
    becomes 255.
    """
    size = small.shape[1]
    for number in range(len(small)):
        height, width = sides[number]
        total, down, across, brightest = 0, 0, 0, 1
        for row in range(height):
            for column in range(width):
                level = int(small[number, row, column])
                total += level
                down += row * level
                across += column * level
                brightest = max(brightest, level)
        if total == 0:
            continue
        middle = (size - 1) / 2
        # A very lopsided digit would leave the crop; MNIST's digits never do.
        top = min(max(int(np.rint(middle - down / total)), 0), size - height)
        left = min(max(int(np.rint(middle - across / total)), 0), size - width)
        for row in range(height):
            for column in range(width):
                level = small[number, row, column]
                crops[number, top + row, left + column] = stretch[brightest, level]


@kernel(
    "void(uint8[:,:,::1], int64, UniTuple(int64, 4), UniTuple(float64, 3), UniTuple(float64, 4), "
    "uint8[:,:,::1], int64[:,::1], uint8[::1])"
)
def find_digits(
    cells: Grey,
    half: int,
    inner: tuple[int, int, int, int],
    levels: tuple[float, float, float],
    rules: tuple[float, float, float, float],
    strength: Grey,
    boxes: NDArray[np.int64],
    found: NDArray[np.uint8],
) -> None:
    """The significant ink of cells, uint8 (n, height, width), dark on light.

    ``strength`` (as ``cells``) is filled with the ink, light on black, ``boxes`` (n, 4) with its
    rectangles and ``found`` (n,) with what was found. ``levels`` as `_levels` takes them; ``rules``
    are the share of a crowded cell, of a component inside, the longest component's least side in
    pixels, and a speck's share.
    """
    count, height, width = cells.shape
    crowded, inside, least_side, speck = rules
    mask, across, wide = padded(height, width), padded(height, width), padded(height, width)
    ink, thick = within(mask), within(wide)
    runs = np.zeros((height * (width // 2 + 1), 4), np.int32)
    parts, kept = np.zeros((len(runs), 6), np.int32), np.zeros(len(runs), np.bool_)
    counts, size = np.zeros(256, np.int64), height * width
    for cell in range(count):
        _histogram(cells[cell], counts)
        if not _is_usual(counts, size, crowded):
            found[cell] = 2
            continue
        paper, limit = _levels(counts, size, levels)
        _negative_above(cells[cell], np.uint8(limit), ink)
        thicken(mask, width, half, across, wide)
        seen = find_runs(thick, width, runs)
        number = join_runs(runs, seen)
        measure_parts(runs, seen, number, inner, parts)
        found[cell] = _significant(parts, number, height, width, inside, least_side, speck, kept)
        if found[cell] == 1:
            thick[:] = 0
            draw_runs(runs, seen, kept, thick)
            _bounds(parts, number, kept, half, ink, thick, width, boxes[cell])
            _strength(cells[cell], thick, np.uint8(paper), strength[cell])
