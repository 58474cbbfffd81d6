"""Kernels for the handwriting in cells: what `inkmill.forms.cut.cells` does in NumPy and OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import compiled
from inkmill.forms.kernels.parts import (
    copy_columns,
    draw_runs,
    find_runs,
    inside_mask,
    join_runs,
    measure_parts,
    thicken,
)

Grey = NDArray[np.uint8]


@compiled
def quantiles(cells: Grey, part: float) -> NDArray[np.int64]:
    """For each cell the level that ``part`` of its pixels do not exceed, int (n,)."""
    found = np.zeros(len(cells), np.int64)
    # Equal levels side by side would wait for each other in one table.
    counts = np.zeros((4, 256), np.int32)
    for number in range(len(cells)):
        counts[:] = 0
        flat = cells[number].ravel()
        whole = len(flat) // 4 * 4
        for pixel in range(0, whole, 4):
            counts[0, flat[pixel]] += 1
            counts[1, flat[pixel + 1]] += 1
            counts[2, flat[pixel + 2]] += 1
            counts[3, flat[pixel + 3]] += 1
        for pixel in range(whole, len(flat)):
            counts[0, flat[pixel]] += 1
        seen, level, least = 0, -1, part * len(flat)
        while level < 255 and (level < 0 or seen < least):
            level += 1
            seen += counts[0, level] + counts[1, level] + counts[2, level] + counts[3, level]
        found[number] = level
    return found


@compiled
def darken(cells: Grey, paper: NDArray[np.int64]) -> None:
    """Turn brightness into darkness, in place: how much darker than its paper each pixel is."""
    for number in range(len(cells)):
        level = np.uint8(paper[number])
        flat = cells[number].ravel()
        for pixel in range(len(flat)):
            flat[pixel] = level - min(flat[pixel], level)


@compiled
def drop_print(cells: Grey, limit: Grey, out: Grey) -> None:
    """Fill ``out`` with the cells' darkness where it is above ``limit`` (height, width), else 0."""
    flat_limit = limit.ravel()
    for number in range(len(cells)):
        flat, target = cells[number].ravel(), out[number].ravel()
        for pixel in range(len(flat)):
            target[pixel] = flat[pixel] if flat[pixel] > flat_limit[pixel] else 0


@compiled
def darkest_places(cells: Grey, top: int, bottom: int, left: int, right: int) -> NDArray[np.int64]:
    """For each cell the largest mean of 3 x 3 pixels in a rectangle, mirrored at its edges: (n,).

    The rectangle has at least one pixel.
    """
    found = np.zeros(len(cells), np.int64)
    height, width = bottom - top, right - left
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


@compiled
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


@compiled
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


@compiled
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
        if 0 < first and last < width:
            _bridge_across(raw, rest, kept, first, last)
    for side in range(2, 4):
        first, last = lines[side, 0], lines[side, 1]
        if 0 < first and last < height:
            _bridge_down(raw, rest, kept, first, last, width)


@compiled
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


@compiled
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


@compiled
def keep_own(
    parts: NDArray[np.int32],
    number: int,
    box: tuple[int, int, int, int],
    lined: bool,
    inside: float,
    corner: float,
    kept: NDArray[np.bool_],
) -> None:
    """Fill ``kept`` with which components belong to the cell and are not specks."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    small, thin = 0.02 * height, max(3.0, 3 * (0.02 * height))
    across, down, beside, above = 0.1 * width, 0.1 * height, corner * width, corner * height
    for part in range(number):
        x, y, far, low = parts[part, 0], parts[part, 1], parts[part, 2], parts[part, 3]
        longest, narrowest = max(far - x, low - y), min(far - x, low - y)
        area = parts[part, 4]
        own = parts[part, 5] >= inside * area and longest > 2 * small and area > 4 * small * small
        if own and narrowest <= thin:
            own = not (
                far < left + across or x > right - across or low < top + down or y > bottom - down
            )
        if own and lined:
            own = not (
                (far <= left + beside or x >= right - beside)
                and (low <= top + above or y >= bottom - above)
            )
        kept[part] = own


@compiled
def find_inks(
    dark: Grey,
    limits: Grey,
    box: tuple[int, int, int, int],
    lined: bool,
    windows: NDArray[np.int64],
    rules: tuple[float, float, float, float, float],
    mask: Grey,
    boxes: NDArray[np.int64],
    empty: NDArray[np.bool_],
    doubtful: NDArray[np.bool_],
) -> None:
    """Find the handwriting in cells, uint8 (n, height, width); see `find_ink` of ``forms.cut``.

    ``dark`` becomes the ink on pure white; ``mask`` (zeros before), ``boxes``, ``empty`` and
    ``doubtful`` are filled: doubtful are cells whose pieces are small and may yet be writing.
    ``rules`` are the line's cover, the part inside, the corner, the least side and area in pixels.
    """
    count, height, width = dark.shape
    cover, inside, corner, least_side, least_area = rules
    room = inside_mask(height, width)
    raw, rest, ink = np.zeros_like(room), np.zeros_like(room), np.zeros_like(room)
    across, about = np.zeros_like(room), np.zeros_like(room)
    runs = np.zeros((height * (width // 2 + 1), 4), np.int32)
    parts, kept = np.zeros((len(runs), 6), np.int32), np.zeros(len(runs), np.bool_)
    lines = np.zeros((4, 2), np.int64)
    for cell in range(count):
        above(dark[cell], limits[cell], raw)
        if lined:
            find_lines(raw, width, box, windows, cover, lines)
            without_lines(raw, width, lines, across[0], rest, ink)
        runs_seen = find_runs(ink if lined else raw, width, runs)
        number = join_runs(runs, runs_seen)
        measure_parts(runs, runs_seen, number, box, parts)
        keep_own(parts, number, box, lined, inside, corner, kept)
        longest = _bounds(parts, number, kept, least_area, boxes[cell])
        empty[cell] = longest == 0
        doubtful[cell] = 0 < longest < least_side
        if longest == 0:
            dark[cell] = 255
            continue
        rest[:] = 0
        draw_runs(runs, runs_seen, kept, rest)
        copy_columns(rest, mask[cell])
        thicken(rest, 2, room, across, about)
        if lined:
            _clear_lines(about, rest, width, lines)
        _paint(dark[cell], about)


@compiled
def above(dark: Grey, limit: np.uint8, raw: Grey) -> None:
    """Fill ``raw`` with 1 where a cell is darker than a limit, else 0."""
    height, width = dark.shape
    for row in range(height):
        line, target = dark[row], raw[row]
        for column in range(width):
            target[column] = line[column] > limit


@compiled
def _bounds(
    parts: NDArray[np.int32],
    number: int,
    kept: NDArray[np.bool_],
    least_area: float,
    box: NDArray[np.int64],
) -> int:
    """The longest side of a kept component, and in ``box`` the rectangle around all of them.

    0 and zeros if there is too little ink.
    """
    area, longest = 0, 0
    left, top, right, bottom = 2**30, 2**30, 0, 0
    for part in range(number):
        if not kept[part]:
            continue
        x, y, far, low = parts[part, 0], parts[part, 1], parts[part, 2], parts[part, 3]
        area += parts[part, 4]
        longest = max(longest, far - x, low - y)
        left, top, right, bottom = min(left, x), min(top, y), max(right, far), max(bottom, low)
    if area < least_area:
        box[:] = 0
        return 0
    box[0], box[1], box[2], box[3] = left, top, right, bottom
    return longest


@compiled
def _clear_lines(about: Grey, ink: Grey, width: int, lines: NDArray[np.int64]) -> None:
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


@compiled
def _paint(dark: Grey, about: Grey) -> None:
    """The darkness in and about the ink as ink on pure white, in place."""
    height, width = dark.shape
    for row in range(height):
        line, near = dark[row], about[row]
        for column in range(width):
            line[column] = ~(line[column] & (np.uint8(0) - near[column]))
