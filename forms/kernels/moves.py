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
