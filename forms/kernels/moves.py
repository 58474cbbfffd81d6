"""Kernels for moves onto printed lines: what `inkmill.forms.locate.vision.snapping` does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels


@part_of_kernels
def _middle(values: NDArray[np.float64]) -> float:
    """The median."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[half])
    return float(ordered[half - 1] + ordered[half]) / 2


@kernel(
    "void(float64[:,:,::1], float64[::1], float64[::1], float64, float64, float64[::1], bool_[::1])"
)
def best_shifts(
    met: NDArray[np.float64],
    shifts: NDArray[np.float64],
    limits: NDArray[np.float64],
    step: float,
    least: float,
    best: NDArray[np.float64],
    found: NDArray[np.bool_],
) -> None:
    """Fill ``best`` with the shift at which a group's two sides meet lines, if that stands out.

    ``met`` (groups, 2, shifts) is how near to lines they are at three or more ``shifts``, which are
    ``step`` apart; ``limits`` (groups,) the largest shift of each, and ``least`` how far the best
    rises above the median. ``found`` says whether it does.
    """
    count = len(shifts)
    agreement = np.zeros(count)
    for group in range(len(met)):
        limit, place, most = max(limits[group], 1e-9), 0, -np.inf
        for shift in range(count):
            one, other = met[group, 0, shift], met[group, 1, shift]
            # Both sides must be met: one alone may be another line nearby.
            agreement[shift] = 0.7 * min(one, other) + 0.15 * (one + other)
            value = -1.0
            if abs(shifts[shift]) <= limit:
                part = shifts[shift] / limit
                value = agreement[shift] - 0.12 * (part * part)
            if value > most:
                place, most = shift, value
        found[group] = agreement[place] - _middle(agreement) >= least
        best[group] = 0.0
        if found[group]:
            best[group] = shifts[place]
            if 0 < place < count - 1:
                before, after = agreement[place - 1], agreement[place + 1]
                bend = before - 2 * agreement[place] + after
                if bend < 0:
                    part = 0.5 * (before - after) / bend
                    best[group] += min(max(part, -1.0), 1.0) * step


@part_of_kernels
def _corner(picture: NDArray[np.uint8], row: int, column: int) -> np.uint8:
    """A pixel; 0 outside of the picture."""
    inside = 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]
    return picture[row, column] if inside else np.uint8(0)


@part_of_kernels
def _corners(
    picture: NDArray[np.uint8],
    across: NDArray[np.float32],
    down: NDArray[np.float32],
    levels: NDArray[np.float32],
) -> None:
    """Fill ``levels`` (4, n) with the four pixels around each place, by rows; 0 outside.

    ``across`` and ``down`` (n,), the places, become how far right of the first of the four and
    below it they are.
    """
    height, width = picture.shape
    one, two, three, four = levels[0], levels[1], levels[2], levels[3]
    for place in range(len(across)):
        x, y = across[place], down[place]
        if 0 <= x < width - 1 and 0 <= y < height - 1:
            column, row = np.uint32(x), np.uint32(y)
            upper, lower = picture[row], picture[row + 1]
            one[place], two[place] = upper[column], upper[column + 1]
            three[place], four[place] = lower[column], lower[column + 1]
        elif -1 < x < width and -1 < y < height:
            left, top = int(np.floor(x)), int(np.floor(y))
            one[place], two[place] = _corner(picture, top, left), _corner(picture, top, left + 1)
            three[place] = _corner(picture, top + 1, left)
            four[place] = _corner(picture, top + 1, left + 1)
        else:
            # Far outside, or no number.
            one[place], two[place], three[place], four[place] = 0, 0, 0, 0
            across[place], down[place] = 0, 0
    for place in range(len(across)):
        across[place] -= np.floor(across[place])
        down[place] -= np.floor(down[place])


@kernel("void(uint8[:,::1], float32[:,::1], float32[:,::1], float32[::1], int64, uint16[:,::1])")
def meet_lines(
    near_line: NDArray[np.uint8],
    places: NDArray[np.float32],
    ways: NDArray[np.float32],
    steps: NDArray[np.float32],
    along: int,
    met: NDArray[np.uint16],
) -> None:
    """Fill ``met`` (sides, steps) with the sums of ``near_line`` at the places of each side.

    ``places`` (sides * along, 2) are moved by each of ``steps`` in the direction of ``ways``.
    Between pixels, values are what OpenCV's `remap` interpolates.
    """
    count = len(steps)
    across, down = np.empty(along * count, np.float32), np.empty(along * count, np.float32)
    levels, values = np.empty((4, along * count), np.float32), np.empty(along * count, np.uint8)
    one, two, three, four = levels[0], levels[1], levels[2], levels[3]
    for side in range(len(met)):
        for number in range(along):
            place = side * along + number
            x, y, right, below = places[place, 0], places[place, 1], ways[place, 0], ways[place, 1]
            columns, rows = across[number * count :], down[number * count :]
            for step in range(count):
                columns[step] = x + right * steps[step]
                rows[step] = y + below * steps[step]
        _corners(near_line, across, down, levels)
        for place in range(len(values)):
            # OpenCV multiplies and adds in one step, rounded once: so does this, in more bits.
            part = np.float64(across[place])
            top = np.float32(one[place] + part * (two[place] - one[place]))
            bottom = np.float32(three[place] + part * (four[place] - three[place]))
            value = np.float32(top + np.float64(down[place]) * np.float64(bottom - top))
            values[place] = np.uint8(np.int32(np.rint(value)))
        line = met[side]
        line[:] = 0
        for number in range(along):
            part_values = values[number * count : (number + 1) * count]
            for step in range(count):
                line[step] += part_values[step]
