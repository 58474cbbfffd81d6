"""Stamps: a digit's ink alone, at a size from which cells can be drawn again.

Augmentation moves ink, not pixels of paper: each digit is cut out of its paper once, brought to
one size, and thinned to its skeleton, so that any pen can draw it again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.normalise import find_ink, is_light_on_dark

Grey = NDArray[np.uint8]

#: Side of a stamp, and of the box that its ink fills, in pixels. A form cell at 150 dpi has
#: about this size, so that most scans are drawn by reduction.
SIDE = 64
BOX = 46


def stamp(grey: Grey) -> Grey | None:
    """The ink of a grey image, uint8 (64, 64), light on dark, its strongest ink 255.

    None where the image holds no ink.
    """
    light = grey if is_light_on_dark(grey) else np.asarray(cv2.bitwise_not(grey), np.uint8)
    if min(light.shape) <= 32:
        # Already a crop: paper and specks are gone, and its faint pixels are part of its edges.
        left, top, width, height = cv2.boundingRect(light)
        ink: Grey | None = light[top : top + height, left : left + width] if width else None
    else:
        ink = find_ink(light)
    return None if ink is None else _fit(ink)


def _fit(ink: Grey) -> Grey:
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(ink, size, interpolation=how)
    small = cv2.convertScaleAbs(small, alpha=255.0 / max(cv2.minMaxLoc(small)[1], 1.0))
    result = np.zeros((SIDE, SIDE), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    result[top : top + size[1], left : left + size[0]] = small
    return result


def skeletons(stamps: Grey, batch: int = 2048) -> NDArray[np.uint8]:
    """Skeletons of stamps (n, 64, 64): bits packed along the last axis, (n, 64, 8).

    Thinning as Zhang and Suen (1984) define it, on many images at once.
    """
    parts = [_thin(stamps[start : start + batch]) for start in range(0, len(stamps), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE // 8), np.uint8)


def _thin(stamps: Grey) -> NDArray[np.uint8]:
    ink = np.pad(stamps > 100, ((0, 0), (1, 1), (1, 1)))
    while True:
        before = int(ink.sum())
        for first in (True, False):
            ink[:, 1:-1, 1:-1] &= ~_removable(ink, first)
        if int(ink.sum()) == before:
            return np.packbits(ink[:, 1:-1, 1:-1], axis=-1)


def _removable(ink: NDArray[np.bool_], first: bool) -> NDArray[np.bool_]:
    """Pixels that one half-step of the thinning takes away."""
    around = [ink[:, :-2, 1:-1], ink[:, :-2, 2:], ink[:, 1:-1, 2:], ink[:, 2:, 2:]]
    around += [ink[:, 2:, 1:-1], ink[:, 2:, :-2], ink[:, 1:-1, :-2], ink[:, :-2, :-2]]
    neighbours = np.zeros(around[0].shape, np.uint8)
    changes = np.zeros(around[0].shape, np.uint8)
    for number, pixel in enumerate(around):
        neighbours += pixel
        changes += ~pixel & around[(number + 1) % 8]
    north, east, south, west = around[0], around[2], around[4], around[6]
    if first:
        keeps = (north & east & south) | (east & south & west)
    else:
        keeps = (north & east & west) | (north & south & west)
    result: NDArray[np.bool_] = (
        ink[:, 1:-1, 1:-1] & (neighbours >= 2) & (neighbours <= 6) & (changes == 1) & ~keeps
    )
    return result
