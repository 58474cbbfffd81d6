"""Strips that say no number: empty ones, letters, scribbles, numbers struck out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.models.manifest import REJECT
from inkmill.trainer.strings.compose import SHEET

Ink = NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Written:
    """Ink on a sheet, uint8 (SHEET, width), and the symbols that it is read as."""

    ink: Ink
    symbols: list[str]


def struck(number: Written, above: Callable[[], Written], rng: Random) -> Written:
    """A number that its writer struck out, often with another above it: each digit a reject."""
    left, top, width, height = cv2.boundingRect(number.ink)
    if not width:
        return number
    ink = number.ink.copy()
    pen = int(rng.integers(2, 6))
    kind = rng.random()
    if kind < 0.7:
        for _ in range(int(rng.integers(1, 4))):
            _stroke(ink, _through(left, top, width, height, rng), pen)
    elif kind < 0.9:
        _stroke(ink, _zigzag(left, top, width, height, rng), pen)
    else:
        for way in (0, height):
            ends = [(left, top + way), (left + width, top + height - way)]
            _stroke(ink, np.array(ends, np.float64) + rng.normal(0, 3, (2, 2)), pen)
    if rng.random() < 0.4:
        ink = _with_above(ink, above().ink, top, rng)
    return Written(ink, [REJECT] * max(1, len([s for s in number.symbols if s.isalnum()])))


def _through(left: int, top: int, width: int, height: int, rng: Random) -> NDArray[np.float64]:
    """A level or rising line through the middle, from before the number to behind it."""
    across = np.linspace(left - rng.uniform(0, 14), left + width + rng.uniform(0, 14), 6)
    middle = top + height * rng.uniform(0.35, 0.65)
    rise = rng.normal(0, 0.12) * height
    down = middle + rise * np.linspace(-1, 1, 6) + rng.normal(0, 1.5, 6)
    return np.stack([across, down], axis=1)


def _zigzag(left: int, top: int, width: int, height: int, rng: Random) -> NDArray[np.float64]:
    count = max(5, round(width / rng.uniform(5, 14)))
    across = np.linspace(left, left + width, count) + rng.normal(0, 2, count)
    swing = np.where(np.arange(count) % 2, 1, -1) * rng.uniform(0.25, 0.5, count)
    return np.stack([across, top + height * (0.5 + swing)], axis=1)


def _stroke(ink: Ink, points: NDArray[np.float64], pen: int) -> None:
    line = points.round().astype(np.int32)
    cv2.polylines(ink, [line], False, 255, pen, cv2.LINE_AA)


def _with_above(ink: Ink, other: Ink, top: int, rng: Random) -> Ink:
    """Ink with another number, smaller, above what is struck out."""
    left, up, width, height = cv2.boundingRect(other)
    if not width:
        return ink
    scale = rng.uniform(0.5, 0.9)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(
        other[up : up + height, left : left + width], size, interpolation=cv2.INTER_AREA
    )
    room = max(0, size[1] + 4 - top)
    tall = np.asarray(cv2.copyMakeBorder(ink, room, 0, 0, 0, cv2.BORDER_CONSTANT), np.uint8)
    place = max(0, top + room - size[1] + int(rng.integers(-3, 8)))
    target = tall[place : place + size[1], max(0, (tall.shape[1] - size[0]) // 2) :]
    part = target[:, : size[0]]
    np.maximum(part, small[: part.shape[0], : part.shape[1]], out=part)
    return tall


def empty(rng: Random) -> Written:
    """A sheet with nothing, a speck, or a dot of a pen that rested."""
    ink = np.zeros((SHEET, int(rng.integers(80, 400))), np.uint8)
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            at = (int(rng.integers(ink.shape[1])), int(rng.integers(30, SHEET - 30)))
            cv2.circle(ink, at, int(rng.integers(0, 5)), 255, -1, cv2.LINE_AA)
    return Written(ink, [])
