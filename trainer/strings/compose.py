"""A text in one hand: its characters side by side, with one pen, slant and spacing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.models.strips import DASH, SEPARATOR
from inkmill.trainer.crops.augment import Warper
from inkmill.trainer.crops.stamps import BOX, SIDE
from inkmill.trainer.settings.augmentation import Augmentation
from inkmill.trainer.settings.strings import Strings
from inkmill.trainer.strings.running import RunningHand
from inkmill.trainer.strings.texts import GAP

Ink = NDArray[np.uint8]
Random = np.random.Generator

#: Height of the sheet that a string is written on, and where the middle of its digits is.
SHEET, MIDDLE = 128, 64
#: Shares of neighbours that a hand joins which joins any; the sag of the joining stroke.
_ZEROS_JOINED, _OTHERS_JOINED, _SAG = 0.7, 0.1, 0.25
#: Share of dashes that begin with a hook from below, as after a point.
_HOOKED = 0.15
_INK = 60
#: Room at both ends, for slant.
_ENDS = 48
_ROUND = [
    np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    for size in range(1, 10)
]


@dataclass(frozen=True, slots=True)
class Habit:
    """How one string is written: lengths in pixels where a digit is 46 px high.

    ``pen`` 0 keeps the strokes as they are; ``gap`` is between two characters, ``spread`` its
    deviation; ``rise`` moves the line up or down for each pixel along it, ``wander`` its deviation.
    ``zeros`` is the size of zeros after another digit, which many write smaller, ``uneven`` the
    deviation of all sizes. ``joins`` says whether the pen stays down between zeros, ``running`` how
    a fast hand shapes them and some other digits.
    """

    pen: int
    gap: float
    spread: float
    slant: float
    rise: float
    wander: float
    aspect: float
    zeros: float = 1.0
    uneven: float = 0.0
    joins: bool = False
    running: RunningHand | None = None

    @classmethod
    def draw(cls, strings: Strings, redraw: float, rng: Random) -> Habit:
        """The habit of a string."""
        close = rng.random() < strings.close
        running = bool(strings.running and rng.random() < strings.running)
        redrawn = running or rng.random() < redraw
        return cls(
            pen=int(rng.choice([2, 3, 3, 4, 4, 5, 6, 7])) if redrawn else 0,
            gap=float(rng.uniform(-5, 4) if close else rng.gamma(2.2, 4.0)),
            spread=float(rng.uniform(0.5, 4)),
            slant=float(rng.normal(0.05, strings.slant)),
            rise=float(rng.normal(0, 0.025)),
            wander=float(rng.uniform(0, 3)),
            aspect=float(np.exp(rng.normal(0, 0.14))),
            zeros=float(rng.uniform(0.5, 0.9)) if rng.random() < 0.3 else 1.0,
            uneven=float(rng.uniform(0, 0.12)),
            joins=bool(strings.joined and rng.random() < strings.joined),
            running=RunningHand(rng) if running else None,
        )


class Writer:
    """Writes strings on a sheet: ink, uint8 (SHEET, width), light on dark."""

    def __init__(self, amount: Augmentation, seed: int) -> None:
        self._amount = amount
        self._warp = Warper.make(SIDE, seed)

    def write(self, text: str, stamps: list[Ink | None], habit: Habit, rng: Random) -> Ink:
        """Write a text; ``stamps`` has a stamp for each symbol that is no separator or dash.

        A stamp is uint8 (64, 64), a skeleton where the habit has a pen; one that is wider holds a
        run of its symbol, as a running hand wrote it.
        """
        pieces = [self._piece(s, each, habit, rng) for s, each in zip(text, stamps, strict=True)]
        pieces[1:] = [
            _sized(piece, habit.zeros if symbol == "0" else 1.0, habit, rng)
            if symbol.isdigit()
            else piece
            for symbol, piece in zip(text[1:], pieces[1:], strict=True)
        ]
        width = sum(piece.shape[1] + 24 for piece in pieces) + 2 * _ENDS
        sheet = np.zeros((SHEET, width), np.uint8)
        right = float(_ENDS)
        before = ("", (0, 0))
        for symbol, piece in zip(text, pieces, strict=True):
            gap = habit.gap + rng.normal(0, habit.spread)
            if symbol in (SEPARATOR, DASH):
                gap = max(gap, rng.uniform(-2, 6))
            left = max(0, round(right + (gap if right > _ENDS else 0)))
            drift = habit.rise * (left - width / 2) + rng.normal(0, habit.wander)
            top = round(MIDDLE + drift + _drop(symbol, piece, rng))
            right = left + piece.shape[1]
            _put(sheet, piece, left, top)
            if habit.joins and _are_joined(before[0], symbol, rng):
                _join(sheet, before[1], _upper(piece, left, top, first=True), habit.pen or 4)
            before = (symbol, _upper(piece, left, top, first=False))
        used = sheet[:, : round(right) + _ENDS]
        return _slanted(used, habit)

    def _piece(self, symbol: str, stamp: Ink | None, habit: Habit, rng: Random) -> Ink:
        """One character, cut to its columns: uint8 (64, width)."""
        if symbol == GAP:
            return np.zeros((SIDE, int(rng.integers(8, 30))), np.uint8)
        if stamp is None:
            return _small(symbol, habit.pen or int(rng.integers(2, 6)), rng)
        ink = self._warp.warp(stamp, self._amount, rng) if stamp.shape[1] == SIDE else stamp
        if habit.pen:
            ink = _drawn(ink, habit.pen, rng)
        columns = np.flatnonzero(ink.max(axis=0) > _INK)
        return ink[:, columns[0] : columns[-1] + 1] if len(columns) else ink


def _sized(piece: Ink, size: float, habit: Habit, rng: Random) -> Ink:
    """A digit made smaller or larger, standing on the same line: uint8 (64, width)."""
    scale = min(1.25, max(0.4, size * float(np.exp(rng.normal(0, habit.uneven)))))
    if abs(scale - 1) < 0.03:
        return piece
    width = max(1, round(piece.shape[1] * scale))
    foot = (SIDE + BOX) / 2
    matrix = np.array([[scale, 0, 0], [0, scale, foot - scale * foot]], np.float64)
    return np.asarray(cv2.warpAffine(piece, matrix, (width, SIDE)), np.uint8)


def _drawn(skeleton: Ink, pen: int, rng: Random) -> Ink:
    line = cv2.threshold(skeleton, 50, 255, cv2.THRESH_BINARY)[1]
    thick = cv2.dilate(line, _ROUND[pen - 1])
    return np.asarray(cv2.GaussianBlur(thick, (0, 0), 0.5 + 0.7 * rng.random()), np.uint8)


def _small(symbol: str, pen: int, rng: Random) -> Ink:
    """A point, a comma, a dash or two above each other: uint8 (64, width), ink in the middle."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    middle = SIDE // 2
    if symbol == SEPARATOR:
        length, angle = rng.choice([0.0, rng.uniform(4, 16)]), rng.normal(2.0, 0.3)
        end = (middle + length * np.cos(angle), middle + length * np.sin(angle))
        cv2.line(
            ink, (middle, middle), _whole(end), 255, pen + int(rng.integers(0, 3)), cv2.LINE_AA
        )
    else:
        half = rng.uniform(6, 26)
        both = rng.random() < 0.35
        for down in (-rng.uniform(4, 8), rng.uniform(3, 8)) if both else (0.0,):
            bend, tilt = rng.normal(0, 1.5), rng.normal(0, 2.5)
            points = [(-half, tilt), (0, bend), (half, -tilt)]
            if rng.random() < _HOOKED:
                points.insert(0, (-half - rng.uniform(-2, 5), tilt + rng.uniform(4, 14)))
            line = np.array([_whole((middle + x, middle + down + y)) for x, y in points], np.int32)
            cv2.polylines(ink, [line], False, 255, pen, cv2.LINE_AA)
    columns = np.flatnonzero(ink.max(axis=0))
    return ink[:, columns[0] : columns[-1] + 1]


def _drop(symbol: str, piece: Ink, rng: Random) -> float:
    """How far a piece's upper edge is from the middle of the line."""
    top = -piece.shape[0] / 2
    if symbol == SEPARATOR:
        # On the line; some write it half way up.
        low = rng.normal(0.85, 0.15) if rng.random() < 0.85 else rng.uniform(-0.1, 0.6)
        return float(top + BOX / 2 * low)
    return float(top + rng.normal(0, 5)) if symbol == DASH else top


def _are_joined(left: str, right: str, rng: Random) -> bool:
    """Whether a hand that joins zeros joins these two symbols."""
    if not (left.isdigit() and right.isdigit()):
        return False
    return rng.random() < (_ZEROS_JOINED if left == right == "0" else _OTHERS_JOINED)


def _upper(piece: Ink, left: int, top: int, first: bool) -> tuple[int, int]:
    """Where the ink of the first or last third of a piece is highest, on the sheet."""
    third = max(1, piece.shape[1] // 3)
    start = 0 if first else piece.shape[1] - third
    row, column = np.unravel_index(
        int((piece[:, start : start + third] > _INK).argmax()), (piece.shape[0], third)
    )
    return left + start + int(column), top + int(row)


def _join(sheet: Ink, start: tuple[int, int], end: tuple[int, int], pen: int) -> None:
    """Draw the pen's way from one digit to the next: a curve that sags a little."""
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + _SAG * (end[0] - start[0]))
    along = np.linspace(0, 1, 9)[:, None]
    points = (1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end
    cv2.polylines(sheet, [np.round(points).astype(np.int32)], False, 255, pen, cv2.LINE_AA)


def _put(sheet: Ink, piece: Ink, left: int, top: int) -> None:
    rows, columns = piece.shape
    first = max(0, -top)
    target = sheet[max(0, top) : top + rows, left : left + columns]
    np.maximum(target, piece[first : first + target.shape[0], : target.shape[1]], out=target)


def _slanted(sheet: Ink, habit: Habit) -> Ink:
    height, width = sheet.shape
    across = round(width * habit.aspect)
    matrix = np.array(
        [[habit.aspect, -habit.slant, habit.slant * MIDDLE], [0.0, 1.0, 0.0]], np.float64
    )
    return np.asarray(cv2.warpAffine(sheet, matrix, (across, height)), np.uint8)


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])
