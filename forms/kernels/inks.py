"""Kernels for the handwriting in cells: what `inkmill.forms.cut.inks` does in NumPy and OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels
from inkmill.forms.kernels.lines import clear_lines, find_lines, without_lines
from inkmill.forms.kernels.parts import (
    copy_columns,
    draw_runs,
    find_runs,
    join_runs,
    measure_parts,
    padded,
    thicken,
    within,
)

Grey = NDArray[np.uint8]


@part_of_kernels
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


@part_of_kernels
def above(dark: Grey, limit: np.uint8, raw: Grey) -> None:
    """Fill ``raw`` with 1 where a cell is darker than a limit, else 0."""
    height, width = dark.shape
    for row in range(height):
        line, target = dark[row], raw[row]
        for column in range(width):
            target[column] = line[column] > limit


@part_of_kernels
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


@part_of_kernels
def _paint(dark: Grey, about: Grey) -> None:
    """The darkness in and about the ink as ink on pure white, in place."""
    height, width = dark.shape
    for row in range(height):
        line, near = dark[row], about[row]
        for column in range(width):
            line[column] = ~(line[column] & (np.uint8(0) - near[column]))


@kernel(
    "void(uint8[:,:,::1], uint8[::1], UniTuple(int64, 4), bool_, int64[:,::1], "
    "UniTuple(float64, 5), uint8[:,:,::1], int64[:,::1], bool_[::1], bool_[::1])"
)
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
    drawn, across, thick = padded(height, width), padded(height, width), padded(height, width)
    rest, about = within(drawn), within(thick)
    raw, ink = np.zeros_like(rest), np.zeros_like(rest)
    runs = np.zeros((height * (width // 2 + 1), 4), np.int32)
    parts, kept = np.zeros((len(runs), 6), np.int32), np.zeros(len(runs), np.bool_)
    lines, keep = np.zeros((4, 2), np.int64), np.zeros(rest.shape[1], np.uint8)
    for cell in range(count):
        above(dark[cell], limits[cell], raw)
        if lined:
            find_lines(raw, width, box, windows, cover, lines)
            without_lines(raw, width, lines, keep, rest, ink)
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
        thicken(drawn, width, 2, across, thick)
        if lined:
            clear_lines(about, rest, width, lines)
        _paint(dark[cell], about)
