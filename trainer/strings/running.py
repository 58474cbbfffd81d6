"""Digits as fast hands run them together, which no public collection of single digits contains.

Zeros are written in one stroke, a one begins with a long upstroke, a five shrinks to a root sign,
a seven is little more than its bar, and the stem of a nine leaves its loop anywhere. This module
draws the pen's path; slant, size and pen come from the habit of the string.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.crops.stamps import BOX, SIDE

Grey = NDArray[np.uint8]
#: Points of a pen's path, float64 (n, 2): x to the right, y down, a digit 1 high.
Path = NDArray[np.float64]
Random = np.random.Generator

#: Digits that a running hand may shape by itself, besides its zeros; how often it does.
SHAPED = "1579"
_OFTEN = 0.45
#: Points of a round: enough for a loop of `BOX` pixels.
_POINTS = 24
#: Half the height of a zero that still fits a stamp.
_HIGHEST = 0.57
#: Deviation of scale and shear between digits of one hand.
_UNSTEADY = 0.06


class RunningHand:
    """How one string's running digits look: the same habits for each of its digits."""

    def __init__(self, rng: Random) -> None:
        self._shapes: dict[str, int] = {
            label: int(rng.integers(1 << 31)) for label in SHAPED if rng.random() < _OFTEN
        }
        self._zeros = int(rng.integers(1 << 31))

    def digit(self, label: str, rng: Random) -> Grey | None:
        """The skeleton of a digit, uint8 (64, 64); None for one that this hand writes plainly."""
        if label not in self._shapes:
            return None
        habit = np.random.default_rng(self._shapes[label])
        bent = np.eye(2) + rng.normal(0, _UNSTEADY, (2, 2))
        return _drawn([_smooth(path) @ bent for path in _PATHS[label](habit)], SIDE)

    def zeros(self, count: int, rng: Random) -> Grey:
        """The skeleton of a run of zeros, written in one stroke: uint8 (64, width)."""
        path = _zeros(count, np.random.default_rng(self._zeros), rng)
        left, right = path[:, 0].min(), path[:, 0].max()
        path[:, 0] -= (left + right) / 2
        return _drawn([path], max(SIDE, round((right - left) * BOX) + SIDE // 2))


def _zeros(count: int, habit: Random, rng: Random) -> Path:
    """Loops from the top to the left and round, each joined to the next without lifting the pen.

    ``habit`` decides how wide the loops are, how far apart, and how well they close; ``rng`` what
    differs between them.
    """
    wide, apart = habit.uniform(0.2, 0.42), habit.uniform(-0.1, 0.3)
    start, turned = habit.uniform(-0.5, 0.9), habit.uniform(0.9, 1.1)
    grows, sag = habit.normal(0, 0.08), habit.uniform(-0.03, 0.12)
    parts: list[Path] = []
    middle = 0.0
    for at in range(count):
        high = min(_HIGHEST, 0.5 * float(np.exp(grows * at + rng.normal(0, 0.08))))
        across = wide * float(np.exp(rng.normal(0, 0.12)))
        middle += across if at else 0.0
        first = start + rng.normal(0, 0.15)
        turns = np.linspace(first, first + 2 * np.pi * turned + rng.normal(0, 0.2), _POINTS)
        loop = np.stack([-across * np.sin(turns), -high * np.cos(turns) + 0.5 - high], axis=1)
        loop += (middle, 0.0)
        if parts:
            last = parts[-1][-1]
            halfway = ((last[0] + loop[0, 0]) / 2, (last[1] + loop[0, 1]) / 2 + sag)
            parts.append(_curve(last, halfway, loop[0]))
        parts.append(loop)
        middle += across + apart + rng.normal(0, 0.04)
    if (flourish := habit.uniform(-0.3, 0.6)) > 0:
        end = parts[-1][-1]
        ahead = np.array([[flourish / 2, 0.1], [flourish, habit.normal(0, 0.1)]])
        parts.append(_curve(end, *(end + ahead)))
    return _smooth(np.concatenate(parts))


def _smooth(path: Path) -> Path:
    """A path without corners: each point the mean of its neighbours."""
    padded = np.concatenate([path[:1], path[:1], path, path[-1:], path[-1:]])
    return np.asarray(np.mean([padded[at : at + len(path)] for at in range(5)], axis=0))


def _one(habit: Random) -> list[Path]:
    """A long upstroke, in a curve, and a straight stem."""
    reach, low = habit.uniform(0.15, 0.65), habit.uniform(0.25, 1.0)
    bend = habit.normal(0.05, 0.12)
    up = _curve((-reach, low - 0.5), (-reach / 2 + bend, low / 2 - 0.5 + bend), (0.0, -0.5))
    foot = habit.normal(-0.05, 0.08)
    stem = _curve((0.0, -0.5), (foot / 2 + habit.normal(0, 0.03), 0.0), (foot, 0.5))
    return [np.concatenate([up, stem])]


def _five(habit: Random) -> list[Path]:
    """A root sign: a hook, a stroke upwards, and the bar; the belly has gone."""
    hook = (habit.uniform(-0.35, -0.08), habit.uniform(-0.05, 0.42))
    foot = (habit.uniform(-0.1, 0.05), 0.5)
    top = (foot[0] + habit.uniform(0.05, 0.35), habit.uniform(-0.5, -0.4))
    bar = (top[0] + habit.uniform(0.25, 0.7), top[1] + habit.normal(0, 0.06))
    belly = (foot[0] + habit.uniform(0.0, 0.3), 0.15)
    path = [_curve(hook, (foot[0] - 0.08, 0.5), foot), _curve(foot, belly, top)]
    return [np.concatenate(path), _curve(top, ((top[0] + bar[0]) / 2, top[1] + 0.03), bar)]


def _seven(habit: Random) -> list[Path]:
    """A short hook for its head, a stem, and a bar that is longer than the head."""
    head, foot = habit.uniform(0.05, 0.4), habit.uniform(-0.3, 0.0)
    start = (-head, habit.uniform(-0.45, -0.2))
    corner = (habit.uniform(0.0, 0.15), -0.5)
    stem = _curve(corner, (corner[0] / 2 + habit.normal(0, 0.06), 0.0), (foot, 0.5))
    top = _curve(start, (-head / 2, -0.5 + habit.normal(0, 0.05)), corner)
    level, half = habit.uniform(-0.15, 0.12), habit.uniform(0.15, 0.4)
    middle, tilt = foot / 2 + habit.normal(0, 0.05), habit.normal(-0.04, 0.06)
    bar = _curve((middle - half, level - tilt), (middle, level), (middle + half, level + tilt))
    return [np.concatenate([top, stem]), bar]


def _nine(habit: Random) -> list[Path]:
    """A loop and a stem that leaves it at its right, below, or even at its left, like a P."""
    wide, high = habit.uniform(0.16, 0.34), habit.uniform(0.18, 0.32)
    leaves = habit.uniform(-0.3, np.pi + 0.2)
    round_ = leaves - np.linspace(2 * np.pi * habit.uniform(0.85, 1.02), 0, _POINTS)
    loop = np.stack([wide * np.cos(round_), high - 0.5 + high * np.sin(round_)], axis=1)
    foot = loop[-1, 0] + habit.normal(-0.12, 0.12)
    bend = (loop[-1, 0] + habit.normal(0, 0.06), 0.0)
    return [np.concatenate([loop, _curve(loop[-1], bend, (foot, 0.5))])]


_PATHS = {"1": _one, "5": _five, "7": _seven, "9": _nine}


def _curve(
    start: Sequence[float] | Path, middle: Sequence[float] | Path, end: Sequence[float] | Path
) -> Path:
    """A quadratic Bezier curve with this control point."""
    along = np.linspace(0, 1, _POINTS // 2)[:, None]
    first, second, third = (np.asarray(each, np.float64) for each in (start, middle, end))
    curve: Path = (1 - along) ** 2 * first + 2 * along * (1 - along) * second + along**2 * third
    return curve


def _drawn(paths: Sequence[Path], width: int) -> Grey:
    """Paths as lines about one pixel wide, in the middle of a stamp: uint8 (64, width)."""
    result = np.zeros((SIDE, width), np.uint8)
    for path in paths:
        points = np.round(path * BOX + (width / 2, SIDE / 2)).astype(np.int32)
        cv2.polylines(result, [points], False, 255, 1)
    return result
