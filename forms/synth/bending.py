"""Bent paper: a smooth displacement of a page by millimetres, as of creased or curled sheets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Points, apply
from inkmill.forms.synth.degradation import Scan

Grey = NDArray[np.uint8]

#: Waves that are added up, and the length of the shortest, as a part of the page's longer side: on
#: A4, 3 mm of displacement then stretch the paper by at most 4 %.
_WAVES, _SHORTEST = 3, 1.4
#: Steps in which a place is followed from the flat page to the bent one.
_STEPS = 12


@dataclass(frozen=True)
class BentPage:
    """A bent page: ``grey`` uint8 (height, width); ``shown`` float32 (2, height, width) says how
    far from each pixel, across and down, the flat page shows the same; ``flat`` is that page."""

    grey: Grey
    shown: NDArray[np.float32]
    flat: Scan

    def places(self, points: Points) -> Points:
        """Pixels of this page for places in template units, float64 (n, 2) each."""
        flat = apply(self.flat.transform, points)
        bent = flat.copy()
        for _ in range(_STEPS):
            across, down = bent.astype(np.float32).T[:, :, None]
            shift = [
                cv2.remap(each, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                for each in self.shown
            ]
            bent = flat - np.hstack(shift)
        return np.asarray(bent, np.float64)


def bent_page(scan: Scan, millimetres: float, rng: np.random.Generator) -> BentPage:
    """The scan on paper that is bent by at most ``millimetres``, in long waves."""
    height, width = scan.grey.shape
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    shown = np.zeros((2, height, width), np.float32)
    for _ in range(_WAVES):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        turns = 2 * np.pi / (max(height, width) * _SHORTEST * rng.uniform(1.0, 2.0))
        wave = np.sin(turns * (np.cos(angle) * across + np.sin(angle) * down) + phase)
        strength = rng.normal(0, 1, 2)
        shown += (strength[:, None, None] * wave).astype(np.float32)
    shown -= shown.mean(axis=(1, 2), keepdims=True)
    shown *= millimetres * scan.dpi / 25.4 / np.hypot(*shown).max()
    grey = cv2.remap(
        scan.grey, across + shown[0], down + shown[1], cv2.INTER_LINEAR, borderValue=(255,) * 3
    )
    return BentPage(np.asarray(grey, np.uint8), shown, scan)
