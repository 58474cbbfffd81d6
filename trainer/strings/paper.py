"""Strips as they are scanned: lines, neighbours and print around the ink; paper and scanner."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.crops.paper import break_up, specks
from inkmill.trainer.crops.stamps import BOX
from inkmill.trainer.settings.augmentation import Augmentation

Ink = NDArray[np.uint8]
Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Random = np.random.Generator

#: Height of a digit after the scan, in pixels: at 80 to 130 dpi, and otherwise.
_LOW, _USUAL = (13, 22), (20, 56)


def cut_out(ink: Ink, rng: Random) -> Ink:
    """A sheet's ink with as much paper around it as the field of a form leaves."""
    left, top, width, height = cv2.boundingRect(ink)
    if not width:
        return np.zeros((int(rng.integers(50, 90)), int(rng.integers(80, 400))), np.uint8)
    ink = ink[top : top + height, left : left + width]
    tight = rng.random() < 0.3
    above, below = rng.integers(0, 6 if tight else 26, 2).tolist()
    before, after = rng.integers(2, 8 if tight else 70, 2).tolist()
    return np.asarray(
        cv2.copyMakeBorder(ink, above, below, before, after, cv2.BORDER_CONSTANT), np.uint8
    )


def rules(ink: Ink, amount: Augmentation, rng: Random) -> None:
    """Draw printed lines into the ink, in place: under the number, above it, at both ends.

    None is drawn through the middle of the number, as a stroke through it takes it back.
    """
    if rng.random() >= amount.lines:
        return
    height, width = ink.shape
    strength, slope = int(rng.integers(80, 256)), rng.normal(0, 1.5)
    pen = int(rng.integers(1, 4))
    for place, chance in ((height - rng.uniform(1, 20), 0.7), (rng.uniform(0, 9), 0.3)):
        if rng.random() < chance:
            ends = (0, round(place - slope)), (width, round(place + slope))
            dotted = rng.random() < 0.15
            line = np.zeros_like(ink)
            cv2.line(line, *ends, strength, pen)
            if dotted:
                line[:, np.arange(width) % 6 < 3] = 0
            np.maximum(ink, line, out=ink)
    for place in (rng.uniform(0, 4), width - 1 - rng.uniform(0, 4)):
        if rng.random() < 0.3:
            at = round(place)
            cv2.line(ink, (at, 0), (round(place + slope), height), strength, pen)


def neighbours(ink: Ink, other: Callable[[], Ink], amount: Augmentation, rng: Random) -> None:
    """Draw ends of strokes of the fields above, below and beside into the ink, in place.

    ``other`` gives a digit's stamp, uint8 (64, 64).
    """
    if rng.random() >= amount.neighbours:
        return
    height, width = ink.shape
    for _ in range(int(rng.integers(1, 4))):
        stamp, reach = other(), int(rng.integers(2, 11))
        rows = np.flatnonzero(stamp.max(axis=1) > 80)
        if not len(rows) or width < 80:
            return
        at = int(rng.integers(0, width - 64))
        if rng.random() < 0.5:
            piece, target = stamp[rows[-1] + 1 - reach : rows[-1] + 1], ink[:reach]
        else:
            piece, target = stamp[rows[0] : rows[0] + reach], ink[height - reach :]
        piece = piece[: len(target)]
        part = target[: len(piece), at : at + 64]
        np.maximum(part, piece[:, : part.shape[1]], out=part)


def scan(ink: Ink, amount: Augmentation, rng: Random) -> Grey:
    """Ink, uint8 (height, width), digits 46 px high, put on paper and scanned, dark on light."""
    ink = np.asarray(cv2.multiply(ink, _pressure(ink, amount, rng), dtype=cv2.CV_8U), np.uint8)
    break_up(ink, amount, rng)
    specks(ink, amount, rng)
    low = rng.random() < amount.low_resolution
    scale = rng.uniform(*(_LOW if low else _USUAL)) / BOX
    size = [max(8, round(side * scale)) for side in ink.shape[::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    ink = np.asarray(cv2.resize(ink, size, interpolation=how), np.uint8)
    if rng.random() < amount.blur:
        ink = np.asarray(
            cv2.GaussianBlur(ink, (0, 0), (0.4 + 1.1 * rng.random()) * scale), np.uint8
        )
    faint = rng.random() < amount.faint
    darkness = rng.uniform(0.18, 0.4) if faint else rng.uniform(0.4, 1.0)
    paper = rng.uniform(200, 255) if faint else rng.uniform(130, 255)
    grey = paper - ink.astype(np.float32) * np.float32(darkness * paper / 255)
    printed = rng.random() < amount.ground
    if printed:
        # Print is fainter than the ink over it, or nobody could read the form.
        grey *= 1 - ground(ink.shape, scale, rng) * np.float32(darkness * rng.uniform(0.1, 0.5))
    if rng.random() < 0.3:
        grey += _field(ink.shape, rng) * np.float32(6 * rng.random())
    noise = 255 * amount.noise * rng.random() * (0.4 if faint else 1.0)
    if noise > 0.5:
        grey += rng.standard_normal(grey.shape, dtype=np.float32) * np.float32(noise)
    strip: Grey = np.clip(grey, 0, 255).astype(np.uint8)
    if not faint and not printed and rng.random() < amount.bilevel:
        level = paper * (1 - darkness * rng.uniform(0.3, 0.6))
        return np.asarray(cv2.threshold(strip, level, 255, cv2.THRESH_BINARY)[1], np.uint8)
    if rng.random() < amount.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        coded = cv2.imencode(".jpg", strip, quality)[1]
        strip = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return strip


def _pressure(ink: Ink, amount: Augmentation, rng: Random) -> Floats:
    """The share of the ink that reached the paper: float32, like ``ink``."""
    if rng.random() >= amount.pressure:
        return np.full(ink.shape, np.float32(1))
    lost = np.float32(0.1 + 0.2 * rng.random()) * abs(_field(ink.shape, rng))
    return np.asarray(np.clip(1 - lost, 0.4, 1), np.float32)


def _field(shape: tuple[int, ...], rng: Random) -> Floats:
    """A smooth random field of mean 0 and deviation about 1: float32 of this shape."""
    knots = rng.normal(0, 1, (4, max(4, shape[1] // 40))).astype(np.float32)
    return np.asarray(cv2.resize(knots, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def ground(shape: tuple[int, ...], scale: float, rng: Random) -> Floats:
    """What is printed below the ink: float32 of this shape, 0 none to 1 full.

    One or two families of fine lines, straight or waving, or a raster of dots; ``scale`` is the
    scan's.
    """
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    angle = rng.normal(0, 0.35) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    found = _waves(rows, columns, angle, scale, rng)
    kind = rng.random()
    if kind < 0.35:
        other = angle + rng.uniform(0.4, np.pi - 0.4)
        return np.maximum(found, _waves(rows, columns, other, scale, rng))
    if kind < 0.5:
        return found * _waves(rows, columns, angle + np.pi / 2, scale, rng)
    return found


def _waves(rows: Floats, columns: Floats, angle: float, scale: float, rng: Random) -> Floats:
    """A family of lines across an angle, in radians."""
    along = columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))
    across = rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle))
    pitch = max(2.5, rng.uniform(4, 16) * scale)
    if rng.random() < 0.7:
        length = rng.uniform(30, 160) * scale
        bend = np.float32(rng.uniform(0.2, 1.5) * pitch)
        across = across + bend * np.sin(
            along * np.float32(2 * np.pi / length) + np.float32(rng.uniform(0, 6))
        )
    wave = np.sin(across * np.float32(2 * np.pi / pitch))
    sharp = wave * np.float32(rng.uniform(0.7, 2.5)) - np.float32(rng.uniform(0, 0.6))
    return np.asarray(np.clip(sharp, 0, 1), np.float32)
