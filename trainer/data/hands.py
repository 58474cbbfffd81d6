"""A character as another hand might write it: changes to the pen's path, not to its image.

Writers differ in where the pen sets down and lifts, whether a loop closes, and how strokes meet. To
bend an image cannot make a loop at the top of a zero, or open a four; to change the path can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.data.strokes import draw

Stroke = NDArray[np.float64]
Random = np.random.Generator

#: Lengths are shares of the character's larger side; angles are in radians.
_ENDS = 0.4  # share of the ends of strokes that are drawn on
_SHORTEST, _LONGEST = 0.05, 0.3
_TURN = 1.6  # standard deviation of how far such an end turns
_KINK = 0.4  # standard deviation of its first direction against the stroke's own
_DRIFT = 0.045  # standard deviation of the end of a stroke against its beginning
_APART = 0.03  # standard deviation of the place of a stroke of several
#: Share of a stroke that gives the direction of its end.
_TANGENT = 0.12
_STEPS = 8


def rewritten(samples: Sequence[Sample], config: Config) -> list[Sample]:
    """Recorded characters as other hands might write them, as often as their source says.

    The same for the same samples and seed.
    """
    times = {source.name or source.kind: source.rewritten for source in config.sources}
    rng = np.random.default_rng([config.training.seed, 6])
    return [
        replace(sample, image=draw(rewrite(sample.strokes, rng, sample.whole), sample.whole))
        for sample in samples
        if sample.strokes
        for _ in range(times[sample.source])
    ]


def rewrite(character: Sequence[Stroke], rng: Random, by_height: bool = False) -> list[Stroke]:
    """The character as another hand might write it: as many strokes, each float64 (n, 2).

    Changes are as large as its larger side, those of a string, ``by_height``, as its height.
    Ends of strokes are drawn on in a curve, the end of a stroke drifts against its beginning, which
    opens or closes loops, and strokes move against each other.
    """
    points = np.concatenate(character)
    sides = points.max(axis=0) - points.min(axis=0)
    size = max(float(sides[1] if by_height else sides.max()), 1.0)
    return [_rewritten(stroke, size, rng, alone=len(character) == 1) for stroke in character]


def _rewritten(stroke: Stroke, size: float, rng: Random, alone: bool) -> Stroke:
    if len(stroke) < 2:
        return stroke  # a dot
    along = _lengths(stroke)
    if along[-1] < size * _TANGENT:
        return stroke
    place = along[:, None] / along[-1] - 0.5
    moved: Stroke = stroke + place * rng.normal(0, _DRIFT * size, 2)
    if not alone:
        moved = moved + rng.normal(0, _APART * size, 2)
    if rng.random() < _ENDS:
        moved = np.concatenate([moved, _curve(moved, size, rng)])
    if rng.random() < _ENDS:
        moved = np.concatenate([_curve(moved[::-1], size, rng)[::-1], moved])
    return moved


def _lengths(stroke: Stroke) -> NDArray[np.float64]:
    """The length of the path up to each point."""
    steps = np.hypot(*np.diff(stroke, axis=0).T)
    return np.asarray(np.concatenate([[0.0], np.cumsum(steps)]))


def _curve(stroke: Stroke, size: float, rng: Random) -> Stroke:
    """Points that continue a stroke beyond its end, in a curve that starts in its direction."""
    along = _lengths(stroke)
    before = stroke[np.searchsorted(along, along[-1] - size * _TANGENT, "right") - 1]
    ahead = stroke[-1] - before
    angle = np.arctan2(ahead[1], ahead[0]) + rng.normal(0, _KINK)
    length = rng.uniform(_SHORTEST, _LONGEST) * size
    angles = angle + rng.normal(0, _TURN) * np.linspace(0, 1, _STEPS)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (length / _STEPS)
    continued: Stroke = stroke[-1] + np.cumsum(steps, axis=0)
    return continued
