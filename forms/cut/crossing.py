"""Cells that are crossed out with an X, as forms ask for in unused places.

The network knows digits; an X drawn from corner to corner is recognised by its geometry alone: no
digit lies entirely on both diagonals of its own box.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels

#: The ink's box is scaled to this size; a stroke is then two to four pixels wide.
_SIDE = 32
#: Half the width of the bands along the diagonals, as a part of the side.
_BAND = 0.14
#: Least share of the ink that lies in the bands, and of each half diagonal that has ink.
_LEAST_IN_BANDS, _LEAST_COVER = 0.80, 0.60
#: An X fills its cell: least size of its box, as a part of the cell's sides.
_LEAST_EXTENT = 0.5


def crossed_out(
    masks: NDArray[np.bool_], boxes: NDArray[np.int64], size: tuple[float, float]
) -> NDArray[np.bool_]:
    """Which cells are crossed out, bool (n,), from the masks of their ink, (n, height, width).

    ``boxes`` are the rectangles of the ink (left, top, right, bottom) and ``size`` the cells' width
    and height, all in pixels.
    """
    crossed = np.zeros(len(masks), np.bool_)
    large = (boxes[:, 2:] - boxes[:, :2] >= _LEAST_EXTENT * np.array(size)).all(axis=1)
    if kernels.enabled() and large.any():
        from inkmill.forms.kernels.crossing import may_cross

        # What a digit leaves blank saves scaling it.
        ink, reach = np.ascontiguousarray(masks.view(np.uint8)), int(_BAND * _SIDE)
        large &= may_cross(ink, boxes, _SIDE, reach, _LEAST_COVER * _SIDE / 2)
    some = np.flatnonzero(large)
    if not len(some):
        return crossed
    small = np.empty((len(some), _SIDE, _SIDE), np.uint8)
    for place, (cell, box) in enumerate(zip(some.tolist(), boxes[some].tolist(), strict=True)):
        left, top, right, bottom = box
        part = masks[cell, top:bottom, left:right].view(np.uint8) * np.uint8(255)
        cv2.resize(part, (_SIDE, _SIDE), dst=small[place], interpolation=cv2.INTER_AREA)
    crossed[some] = _on_diagonals(small > 60)
    return crossed


def _on_diagonals(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pictures, bool (n, side, side), have ink all along both diagonals, and only there."""
    place = (np.arange(_SIDE) + 0.5) / _SIDE
    row, column = place[:, None], place[None, :]
    bands = np.abs(row - column) < _BAND, np.abs(row + column - 1) < _BAND
    on_them = np.count_nonzero(ink & (bands[0] | bands[1]), axis=(1, 2))
    crossed = on_them >= _LEAST_IN_BANDS * np.count_nonzero(ink, axis=(1, 2))
    for band in bands:
        halves = (ink & band).any(axis=2).reshape(len(ink), 2, -1).mean(axis=2)
        crossed &= (halves >= _LEAST_COVER).all(axis=1)
    return np.asarray(crossed, np.bool_)
