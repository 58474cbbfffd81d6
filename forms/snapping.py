"""Groups of cells moved onto their printed lines: what is left when the whole page is in place.

Paper bends, printers stretch, and a phone looks aslant. Each field's boxes are moved across
and down until their outlines lie on lines; what all fields have in common corrects the page's
transform, and what is left moves the single field.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.evidence import Outlines
from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.overview import Overview

#: Steps between the places that are tried, in overview pixels.
_STEP = 0.5
#: A move must raise the lines' agreement so far above its typical value.
_LEAST_PEAK = 0.18
#: Part of the cell's size that a group may move at most: further is the neighbour's line.
_REACH = 0.3
#: Weight of the marks' own places when groups correct the transform.
_MARK_WEIGHT = 3.0


@dataclass(frozen=True)
class Moves:
    """For each group (field number on the page) how far its lines are from where the transform
    has them, in template units; ``sure`` bool (n,) whether lines were seen in both directions."""

    groups: NDArray[np.int64]
    centres: Points
    moves: Points
    sure: NDArray[np.bool_]


def measure(outlines: Outlines, transform: Matrix, overview: Overview) -> Moves:
    """Find each group's printed lines near where ``transform`` puts them."""
    sides = outlines.sides
    # Thickened, so that a thin line counts as much as a heavy one beside it.
    thick = cv2.dilate(overview.lines, np.ones((3, 3), np.uint8))
    lines = cv2.GaussianBlur(thick, (0, 0), 0.8).astype(np.float32) / 255.0
    groups = np.unique(outlines.group)
    results = np.zeros((len(groups), 2))
    sure = np.ones(len(groups), np.bool_)
    # Left and right sides are moved across, tops and bottoms down.
    for axis, pair in ((0, (2, 3)), (1, (0, 1))):
        chosen = np.isin(sides, pair)
        points, group, side = outlines.edge[chosen], outlines.group[chosen], sides[chosen]
        here, unit, pixel = _along(transform, points, axis)
        reach = _REACH * outlines.extent[group][:, axis] * pixel
        furthest = int(np.ceil(reach.max() / _STEP))
        shifts = np.arange(-furthest, furthest + 1) * _STEP
        places = (here[:, None, :] + unit[:, None, :] * shifts[:, None]).astype(np.float32)
        agreement = cv2.remap(
            lines, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        for row, number in enumerate(groups):
            mine = group == number
            one, other = (agreement[mine & (side == each)].mean(axis=0) for each in pair)
            # Both sides must be met: one alone may be any line nearby.
            both = 0.7 * np.minimum(one, other) + 0.15 * (one + other)
            move, found = _peak(both, shifts, float(reach[mine].mean()))
            results[row, axis] = move / float(pixel[mine].mean())
            sure[row] &= found
    centres = np.array([outlines.edge[outlines.group == number].mean(axis=0) for number in groups])
    return Moves(groups, centres.reshape(-1, 2), results, sure)


def _along(
    transform: Matrix, points: Points, axis: int
) -> tuple[Points, Points, NDArray[np.float64]]:
    """Pixels of ``points``, the direction there of a template axis, and pixels for one unit."""
    ahead = points.copy()
    ahead[:, axis] += 1e-3
    here = apply(transform, points)
    step = (apply(transform, ahead) - here) / 1e-3
    pixel = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
    return here, step / pixel[:, None], pixel


def _peak(
    agreement: NDArray[np.floating], shifts: NDArray[np.floating], limit: float
) -> tuple[float, bool]:
    """The shift where lines agree best, near ones preferred, and whether it stands out."""
    allowed = np.abs(shifts) <= limit
    values = np.where(allowed, agreement - 0.12 * (shifts / max(limit, 1e-9)) ** 2, -1.0)
    best = int(values.argmax())
    typical = float(np.median(agreement[allowed])) if allowed.any() else 0.0
    if agreement[best] - typical < _LEAST_PEAK:
        return 0.0, False
    if not 0 < best < len(shifts) - 1:
        return float(shifts[best]), True
    before, at, after = (float(agreement[best + i]) for i in (-1, 0, 1))
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(shifts[best] + np.clip(offset, -1, 1) * _STEP), True


def corrected(transform: Matrix, moves: Moves, marks: Points) -> Matrix:
    """The transform, bettered by what the groups' moves have in common.

    ``marks`` float64 (k, 2), in template units, are held in place: they keep a few groups in
    one column from turning the page.
    """
    sure = moves.sure
    if sure.sum() < 2:
        return transform
    points = np.vstack([moves.centres[sure], marks.reshape(-1, 2)])
    wanted = np.vstack([moves.moves[sure], np.zeros((len(marks), 2))])
    weight = np.concatenate([np.ones(int(sure.sum())), np.full(len(marks), _MARK_WEIGHT)])
    middle, spread = points.mean(axis=0), np.maximum(np.ptp(points, axis=0), 1e-9)
    terms = np.column_stack([np.ones(len(points)), (points - middle) / spread])
    ridge = np.diag([1e-6, 0.3, 0.3])
    fit = np.zeros((3, 2))
    for _ in range(4):
        left = terms * weight[:, None]
        fit = np.linalg.solve(left.T @ terms + ridge, left.T @ wanted)
        off = np.linalg.norm(wanted - terms @ fit, axis=1)
        # Huber: a group that found a wrong line must not pull the page.
        usual = max(float(np.median(off)), 1e-6)
        weight = weight * np.minimum(1.0, 2.0 * usual / np.maximum(off, 1e-9)) ** 0.5
    linear = (fit[1:] / spread[:, None]).T
    change = np.eye(3)
    change[:2, :2] += linear
    change[:2, 2] = fit[0] - linear @ middle
    return np.asarray(transform @ change, np.float64)


def aslant(transform: Matrix, moves: Moves, marks: Points) -> Matrix:
    """The transform with the page's perspective, where marks were too few to tell it.

    Wants lines seen in at least ten places, spread over the page; else the transform stays.
    """
    sure = moves.sure
    known = np.vstack([moves.centres[sure], marks.reshape(-1, 2)])
    whole = np.ptp(np.vstack([moves.centres, marks.reshape(-1, 2)]), axis=0)
    if sure.sum() < 10 or (np.ptp(known, axis=0) < 0.5 * whole).any():
        return transform
    source = np.vstack([moves.centres[sure], marks.reshape(-1, 2)])
    wanted = np.vstack([moves.centres[sure] + moves.moves[sure], marks.reshape(-1, 2)])
    pixels = apply(transform, wanted)
    found, _ = cv2.findHomography(source, pixels, cv2.RANSAC, 2.0)
    if found is None or not np.isfinite(found).all():
        return transform
    return np.asarray(found, np.float64)
