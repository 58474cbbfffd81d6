"""Augmentation: the same digit by another hand, with another pen.

Geometry (crop, shift, rotation, scale, shear, elastic) and stroke change the ink only; for the
effects of paper and scanner see `inkmill.trainer.crops.paper`. All randomness comes from the
generator that is passed in, so that a block of crops can be reproduced exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.settings.augmentation import Augmentation

Grey = NDArray[np.uint8]
Random = np.random.Generator

_FIELDS = 256


@dataclass(frozen=True, slots=True)
class Warper:
    """Random affine and elastic warps of square images of one size.

    Elastic displacement after Simard et al., Best practices for convolutional neural networks
    (2003): smoothed random fields, here made in advance, since smoothing takes most of the time.
    """

    side: int
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]
    fields: NDArray[np.float32]

    @classmethod
    def make(cls, side: int, seed: int) -> Warper:
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
        rng = np.random.default_rng([seed, side])
        fields = np.empty((_FIELDS, 2, side, side), np.float32)
        for field in fields:
            # Coarse fields bend whole strokes, finer ones make the hand unsteady.
            knots = int(rng.integers(4, 8))
            for axis in (0, 1):
                coarse = rng.normal(0, 1, (knots, knots)).astype(np.float32)
                smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
                field[axis] = smooth / (smooth.std() + 1e-6)
        return cls(side, columns, rows, fields)

    def warp(self, image: Grey, amount: Augmentation, rng: Random, size: float = 1.0) -> Grey:
        """One random warp of an image, uint8 (side, side), black outside; ``size`` scales it."""
        # Python's floats, since NumPy's would turn the maps into float64.
        (xx, xy), (yx, yy) = (_affine(amount, rng) / size).tolist()
        shift_x, shift_y = (rng.normal(0, 1, 2) * amount.translation * self.side).tolist()
        across = xx * self.columns + xy * self.rows
        down = yx * self.columns + yy * self.rows
        if amount.elastic:
            field = self.fields[rng.integers(_FIELDS)]
            strength = amount.elastic * self.side * rng.random()
            across += strength * field[0]
            down += strength * field[1]
        centre = (self.side - 1) / 2
        across += centre + shift_x
        down += centre + shift_y
        return np.asarray(cv2.remap(image, across, down, cv2.INTER_LINEAR), np.uint8)


def _affine(amount: Augmentation, rng: Random) -> NDArray[np.float64]:
    """The inverse map: from output pixels to the source."""
    turn = np.deg2rad(rng.normal(0, amount.rotation))
    shear = rng.normal(0, amount.shear)
    scale = np.exp(rng.normal(0, amount.scale))
    aspect = np.exp(rng.normal(0, amount.aspect))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([aspect, 1 / aspect])
    if rng.random() < amount.flip_horizontal:
        matrix = matrix @ np.diag([-1.0, 1.0])
    if rng.random() < amount.flip_vertical:
        matrix = matrix @ np.diag([1.0, -1.0])
    return np.asarray(matrix / scale)


def crop_out(image: Grey, amount: Augmentation, rng: Random) -> Grey:
    """Random crop: a strip of up to ``amount.crop`` of the side is lost at one edge."""
    side = image.shape[0]
    lost = int(rng.random() * amount.crop * side)
    if not lost:
        return image
    result = image.copy()
    edge = rng.integers(4)
    if edge == 0:
        result[:lost] = 0
    elif edge == 1:
        result[-lost:] = 0
    elif edge == 2:
        result[:, :lost] = 0
    else:
        result[:, -lost:] = 0
    return result


def _kernel(shape: int, width: int, height: int) -> Grey:
    return np.asarray(cv2.getStructuringElement(shape, (width, height)), np.uint8)


_ROUND = [_kernel(cv2.MORPH_ELLIPSE, size, size) for size in range(1, 10)]
#: Broad nibs: thick in one direction, thin in the other.
_NIBS = [
    _kernel(cv2.MORPH_RECT, width, height)
    for width, height in ((1, 3), (3, 1), (2, 4), (4, 2), (1, 4), (2, 2))
]


def stroke(ink: Grey, amount: Augmentation, rng: Random) -> Grey:
    """Make the strokes of a stamp's ink thicker or thinner."""
    if rng.random() >= amount.stroke:
        return ink
    kind = rng.random()
    kernels = _NIBS if kind < 0.3 else _ROUND[1:3]
    kernel = kernels[rng.integers(len(kernels))]
    if rng.random() < 0.5:
        return np.asarray(cv2.dilate(ink, kernel), np.uint8)
    thin = cv2.erode(ink, kernel)
    # Thin strokes would break: keep a part of the original.
    return np.asarray(cv2.addWeighted(thin, 0.75, ink, 0.25, 0), np.uint8)


def redraw(skeleton: Grey, rng: Random) -> Grey:
    """Draw a warped skeleton, uint8 (side, side), with a pen of a random width."""
    line = cv2.threshold(skeleton, 50, 255, cv2.THRESH_BINARY)[1]
    width = int(rng.choice([2, 3, 3, 4, 4, 5, 6, 7]))
    kernel = _ROUND[width - 1] if rng.random() < 0.75 else _NIBS[rng.integers(len(_NIBS))]
    thick = cv2.dilate(line, kernel)
    blurred = cv2.GaussianBlur(thick, (0, 0), 0.5 + 0.7 * rng.random())
    return np.asarray(cv2.convertScaleAbs(blurred, alpha=1.0 + 0.5 * rng.random()), np.uint8)


def pressure(ink: Grey, amount: Augmentation, field: NDArray[np.float32], rng: Random) -> Grey:
    """Uneven ink: a skipping ballpoint, a pencil's grain. ``field`` has mean 0, deviation 1."""
    if rng.random() >= amount.pressure:
        return ink
    factor = np.clip(1.0 - (0.1 + 0.2 * rng.random()) * np.abs(field), 0.4, 1.0)
    if rng.random() < 0.4:
        grain = rng.random(ink.shape, dtype=np.float32)
        factor *= 1.0 - 0.6 * rng.random() * grain
    return np.asarray(ink * factor, np.uint8)


def tone(crop: Grey, amount: Augmentation, rng: Random) -> Grey:
    """Brightness, contrast and noise of a crop; its black stays black."""
    value = crop.astype(np.float32)
    gamma = np.exp(rng.normal(0, amount.contrast))
    value = 255.0 * (value / 255.0) ** gamma
    value *= 1.0 - amount.brightness * rng.random()
    if amount.noise:
        value += rng.normal(0, 255 * amount.noise * rng.random(), crop.shape) * (crop > 0)
    return np.asarray(np.clip(value, 0, 255), np.uint8)
