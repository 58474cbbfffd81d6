"""Blocks of boxes: rows and columns of one size, side by side, that look the same one step away.

A comb of eight boxes that is moved by one box, or a table that is moved by one row, still meets
nearly all printed lines. So it is compared with itself one step away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Points

#: Boxes are of one block if their middles are less than this apart, in boxes, across and down, and
#: their sizes differ by at most this part.
_BESIDE, _ALIKE = 2.2, 0.15
#: The next box in line is further off than this along it, and not as far aside, in boxes.
_IN_LINE = 0.5


@dataclass(frozen=True)
class Blocks:
    """The block of each cell.

    ``of`` int (cells,) is its number; ``steps`` float64 (cells, 2) is the distance from one box of
    the block to the next, across and down, in template units; 0 where there is only one.
    """

    of: NDArray[np.int64]
    steps: Points


def find_blocks(middles: Points, sizes: Points) -> Blocks:
    """The blocks of cells with these ``middles`` and ``sizes``, float64 (cells, 2) each."""
    of, steps = np.full(len(middles), -1), np.zeros((len(middles), 2))
    number = 0
    for start in range(len(middles)):
        if of[start] < 0:
            members = _grown(start, middles, sizes)
            of[members], steps[members] = number, _steps(middles[members], sizes[start])
            number += 1
    return Blocks(of, steps)


def _grown(start: int, middles: Points, sizes: Points) -> NDArray[np.int64]:
    """The cells that are beside ``start``, beside those, and so on."""
    alike = (np.abs(sizes - sizes[start]) <= _ALIKE * sizes[start]).all(axis=1)
    reached = np.zeros(len(middles), np.bool_)
    reached[start], waiting = True, [start]
    while waiting:
        away = np.abs(middles - middles[waiting.pop()])
        new = alike & ~reached & (away < _BESIDE * sizes[start]).all(axis=1)
        reached |= new
        waiting += np.flatnonzero(new).tolist()
    return np.flatnonzero(reached)


def _steps(middles: Points, size: Points) -> Points:
    """The least distance between boxes in a row, and between boxes in a column."""
    least = np.full(2, np.inf)
    for middle in middles:
        away = np.abs(middles - middle) / size
        for axis in (0, 1):
            line = (away[:, axis] > _IN_LINE) & (away[:, 1 - axis] < _IN_LINE)
            if line.any():
                least[axis] = min(least[axis], away[line, axis].min())
    return np.where(np.isfinite(least), least, 0.0) * size
