"""Values of a picture at any number of places."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: OpenCV counts the rows of what it maps in 16 bits, and a form may have thousands of boxes.
_ROWS = 16_384


def values_at(
    picture: NDArray[np.uint8],
    across: NDArray[np.float32],
    down: NDArray[np.float32],
    how: int = cv2.INTER_LINEAR,
) -> NDArray[np.uint8]:
    """The picture's values, uint8 (n, k), at columns and rows, float32 (n, k); 0 outside of it.

    ``how`` is OpenCV's interpolation.
    """
    parts = [slice(start, start + _ROWS) for start in range(0, max(1, len(across)), _ROWS)]
    found = [
        cv2.remap(picture, across[each], down[each], how, borderMode=cv2.BORDER_CONSTANT)
        for each in parts
    ]
    return np.asarray(found[0] if len(found) == 1 else np.vstack(found), np.uint8)
