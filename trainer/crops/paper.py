"""The effects of paper and scanner on a digit: the cell around it, and the scan."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.settings.augmentation import Augmentation

Grey = NDArray[np.uint8]
Ink = NDArray[np.uint8]
Random = np.random.Generator


def lines(ink: Ink, amount: Augmentation, rng: Random) -> None:
    """Draw remains of the cell's box into the ink, in place: edges, corners, complete frames."""
    if rng.random() >= amount.lines:
        return
    side = ink.shape[0]
    strength = int(rng.integers(70, 256))
    whole = rng.random() < 0.2
    for edge in range(4):
        if not whole and rng.random() > 0.4:
            continue
        # Mostly at the very edge; sometimes the cell was cut slightly too large or at an angle.
        depth = abs(rng.normal(0, 0.025)) * side
        start, end = depth + rng.normal(0, 1, 2)
        first, last = (0.0, float(side)) if rng.random() < 0.7 else sorted(rng.random(2) * side)
        points = [(first, start), (last, end)]
        if edge >= 2:
            points = [(x, side - 1 - y) for x, y in points]
        if edge % 2:
            points = [(y, x) for x, y in points]
        ends = [(round(max(-9.0, x)), round(max(-9.0, y))) for x, y in points]
        cv2.line(ink, ends[0], ends[1], strength, int(rng.integers(1, 4)))


def neighbour(ink: Ink, other: Ink, amount: Augmentation, rng: Random) -> None:
    """Draw a stroke of the neighbouring cell's digit that reaches in from one side, in place."""
    if rng.random() >= amount.neighbours:
        return
    side = ink.shape[0]
    reach = int(side * (0.03 + 0.13 * rng.random()))
    columns = np.flatnonzero(other.max(axis=0) > 80)
    if len(columns) < reach:
        return
    down = int(rng.integers(-side // 6, side // 6 + 1))
    rows = np.roll(other, down, axis=0)
    if rng.random() < 0.5:
        piece = rows[:, columns[0] : columns[0] + reach]
        target = ink[:, side - piece.shape[1] :]
    else:
        piece = rows[:, max(0, columns[-1] + 1 - reach) : columns[-1] + 1]
        target = ink[:, : piece.shape[1]]
    np.maximum(target, piece, out=target)


def specks(ink: Ink, amount: Augmentation, rng: Random) -> None:
    """Draw a few specks of dirt, in place."""
    if rng.random() >= amount.specks:
        return
    side = ink.shape[0]
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.integers(0, side, 2)
        cv2.circle(ink, (int(x), int(y)), int(rng.integers(0, 2)), int(rng.integers(80, 256)), -1)


def break_up(ink: Ink, amount: Augmentation, rng: Random) -> None:
    """Make gaps in the strokes, like erased or skipped ink, in place."""
    if rng.random() >= amount.gaps:
        return
    side = ink.shape[0]
    rows, columns = np.nonzero(ink > 100)
    for _ in range(int(rng.integers(1, 4))):
        if not len(rows):
            return
        at = rng.integers(len(rows))
        radius = int(rng.integers(1, max(2, side // 26)))
        cv2.circle(ink, (int(columns[at]), int(rows[at])), radius, 0, -1)


def ground(side: int, rng: Random) -> NDArray[np.float32]:
    """What is printed below the ink, or lies on it: float32 (side, side), 0 none to 1 full."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    angle = rng.uniform(0, np.pi)
    along = np.float32(np.cos(angle)) * columns + np.float32(np.sin(angle)) * rows
    across = np.float32(np.cos(angle)) * rows - np.float32(np.sin(angle)) * columns
    kind, phase = rng.random(), rng.uniform(0, 2 * np.pi)
    if kind < 0.35:  # guilloche: fine lines that wave
        bend = rng.uniform(0, 0.12) * np.sin(2 * np.pi * rng.uniform(1, 4) * across + phase)
        wave = np.sin(2 * np.pi * rng.uniform(4, 16) * (along + bend) + phase)
        return np.asarray(np.clip(wave * rng.uniform(0.7, 2.0), 0, 1), np.float32)
    if kind < 0.6:  # rules, level or nearly so
        pitch = rng.uniform(0.15, 0.6)
        height = rows + np.float32(rng.normal(0, 0.03)) * columns + np.float32(rng.random())
        return np.asarray(np.mod(height, pitch) < rng.uniform(0.015, 0.05), np.float32)
    if kind < 0.8:  # a coarse raster
        count = rng.uniform(6, 20)
        dots = np.sin(2 * np.pi * count * along) * np.sin(2 * np.pi * count * across)
        return np.asarray(np.clip(dots * rng.uniform(0.7, 2.0), 0, 1), np.float32)
    # a shadow: an edge, soft or hard
    edge = (along - rng.uniform(-0.2, 1.0)) / rng.uniform(0.02, 0.5)
    return np.asarray(np.clip(edge, 0, 1), np.float32)


def scan(ink: Ink, field: NDArray[np.float32], amount: Augmentation, rng: Random) -> Grey:
    """Ink, uint8 (side, side), put on paper and scanned: a grey cell, dark on light.

    ``field``, float32 (side, side), is a smooth random field for shading.
    """
    faint = rng.random() < amount.faint
    darkness = rng.uniform(0.16, 0.4) if faint else rng.uniform(0.45, 1.0)
    paper = rng.uniform(200, 255) if faint else rng.uniform(150, 255)
    if rng.random() < amount.blur:
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.4 + 1.1 * rng.random()), np.uint8)
    if rng.random() < amount.low_resolution:
        small = int(rng.integers(26, 44))
        ink = np.asarray(cv2.resize(ink, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
        field = np.asarray(cv2.resize(field, (small, small)), np.float32)
    grey = paper - ink.astype(np.float32) * np.float32(darkness * paper / 255)
    printed = rng.random() < amount.ground
    if printed:
        # Print is fainter than the ink over it, or nobody could read the form.
        grey *= 1 - ground(grey.shape[0], rng) * np.float32(darkness * rng.uniform(0.08, 0.45))
    if rng.random() < 0.4:
        grey += field * np.float32(3 * rng.random())
    noise = 255 * amount.noise * rng.random() * (0.4 if faint else 1.0)
    if noise > 0.5:
        grey += rng.standard_normal(grey.shape, dtype=np.float32) * np.float32(noise)
    cell: Grey = np.clip(grey, 0, 255).astype(np.uint8)
    if not faint and not printed and rng.random() < amount.bilevel:
        level = paper * (1 - darkness * rng.uniform(0.3, 0.6))
        cell = np.asarray(cv2.threshold(cell, level, 255, cv2.THRESH_BINARY)[1], np.uint8)
    elif rng.random() < amount.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        cell = np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", cell, quality)[1], cv2.IMREAD_GRAYSCALE), np.uint8
        )
    return cell
