"""Crops at another size, for readings that are repeated."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


def resized(crops: Grey, scale: float) -> Grey:
    """Crops, uint8 (n, size, size), with their ink larger or smaller about their centre.

    They keep their shape. Bilinear, one product of matrices for the rows and one for the columns,
    so that all hosts and runtimes get the same pixels.
    """
    steps = _steps(crops.shape[1], scale)
    found = steps @ crops.astype(np.float32) @ steps.T
    return np.asarray(np.rint(found), np.uint8)


@cache
def _steps(size: int, scale: float) -> NDArray[np.float32]:
    """Weights (size, size): how much each pixel of a line, in columns, gives to each new one."""
    middle = (size - 1) / 2
    places = (np.arange(size) - middle) / scale + middle
    distances = np.abs(places[:, None] - np.arange(size))
    return np.asarray(np.clip(1.0 - distances, 0.0, None), np.float32)
