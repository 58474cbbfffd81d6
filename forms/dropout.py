"""Lines in a dropout colour, removed from a colour scan as a lamp of that colour would."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

#: A pixel has the colour if its hue differs by fewer degrees than this ...
_HUE = 24.0
#: ... and its chroma in CIE Lab is above this. Blue ballpoint on red lines stays, since the ink's
#: hue prevails where it lies over a line; grey pencil and black ink have no chroma.
_CHROMA = 12.0


def without_colours(grey: Grey, colour: Colour, dropped: Sequence[str]) -> Grey:
    """``grey`` with every pixel of a dropped colour ("#e08080") turned into paper.

    ``colour`` is the same page, uint8 (height, width, 3), blue green red.
    """
    lab = cv2.cvtColor(colour, cv2.COLOR_BGR2LAB).astype(np.int16)
    across, up = lab[..., 1] - 128, lab[..., 2] - 128
    chroma = np.hypot(across, up)
    hue = np.degrees(np.arctan2(up, across))
    coloured = np.zeros(grey.shape, np.bool_)
    for text in dropped:
        off = np.abs((hue - _hue_of(text) + 180) % 360 - 180)
        coloured |= (off < _HUE) & (chroma > _CHROMA)
    # The line's pale rim has too little chroma to be recognised: take a pixel more on each side,
    # but nothing dark, which is ink.
    wide = cv2.dilate(coloured.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    paper = int(np.percentile(grey[::4, ::4], 70))
    rim = wide & (grey > 0.6 * paper)
    return np.where(coloured | rim, np.maximum(grey, paper), grey).astype(np.uint8)


def _hue_of(text: str) -> float:
    """The hue of "#rrggbb" in degrees of CIE Lab."""
    red, green, blue = (int(text[place : place + 2], 16) for place in (1, 3, 5))
    pixel = np.array([[[blue, green, red]]], np.uint8)
    _, across, up = cv2.cvtColor(pixel, cv2.COLOR_BGR2LAB)[0, 0].astype(float)
    return float(np.degrees(np.arctan2(up - 128, across - 128)))
