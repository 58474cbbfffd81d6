"""Whether a cell is crossed out: the X that forms ask for where a place is not used.

The network knows digits; an X drawn from corner to corner is told by its geometry alone, and
well before a digit could be: no digit lies wholly on both diagonals of its own box.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: The ink's box is brought to this size; a stroke then is two to four pixels wide.
_SIDE = 32
#: Half the width of the bands along the diagonals, as a part of the side.
_BAND = 0.14
#: The share of ink that lies in the bands, and of each half diagonal that has ink.
_LEAST_IN_BANDS, _LEAST_COVER = 0.80, 0.60
#: An X is as large as a cell allows: its box, as a part of the cell's sides.
_LEAST_EXTENT = 0.5


def crossed_out(mask: NDArray[np.bool_], width: float, height: float) -> bool:
    """Whether the ink ``mask`` (bool, rows by columns) is an X across a cell of that size."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return False
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if part.shape[0] < _LEAST_EXTENT * height or part.shape[1] < _LEAST_EXTENT * width:
        return False
    small = cv2.resize(part.astype(np.uint8) * 255, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    ink = np.asarray(small > 60)
    falling, rising = _bands()
    if float(ink[falling | rising].sum()) < _LEAST_IN_BANDS * float(ink.sum()):
        return False
    return all(
        float(_cover(ink, band, half)) >= _LEAST_COVER
        for band in (falling, rising)
        for half in (slice(0, _SIDE // 2), slice(_SIDE // 2, _SIDE))
    )


def _bands() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    place = (np.arange(_SIDE) + 0.5) / _SIDE
    row, column = place[:, None], place[None, :]
    return np.abs(row - column) < _BAND, np.abs(row + column - 1) < _BAND


def _cover(ink: NDArray[np.bool_], band: NDArray[np.bool_], rows: slice) -> float:
    """The share of a half diagonal's rows that have ink in the band."""
    return float((ink & band)[rows].any(axis=1).mean())
