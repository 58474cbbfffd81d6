"""Move groups of cells onto their printed lines, once the page is roughly in place.

Paper bends, printers stretch, and phones see a page in perspective. Each field's boxes are moved
across and down until their outlines lie on lines; the moves' common part corrects the page's
transform, and the rest moves the single field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.geometry import Matrix, Points, apply, contiguous
from inkmill.forms.locate.vision.evidence import Outlines
from inkmill.forms.locate.vision.lookup import values_at
from inkmill.forms.locate.vision.overview import Overview

#: Step between the shifts that are tried, in overview pixels.
_STEP = 0.8
#: A move must raise the lines' agreement this far above the median.
_LEAST_PEAK = 0.18
#: Largest move of a group, as a part of the cell's size: further is the neighbour's line.
_REACH = 0.3
#: Largest move, as a part of the picture's longer side. If four specks in a row passed for marks,
#: a cell may be as large as a hundred pages.
_FURTHEST = 0.1
#: Largest move of a single field on a located page, as a part of the cell's shorter side.
_OWN_MOVE = 0.12
#: With fewer fields than this, none has neighbours to compare its move with.
_COMPARED = 3
#: Weight of the marks' places when groups correct the transform.
_MARK_WEIGHT = 3.0


@dataclass(frozen=True)
class Moves:
    """For each group (field number) how far its lines are from where the transform puts them.

    In template units; ``sure`` bool (n,) says whether lines were found in both directions.
    """

    groups: NDArray[np.int64]
    centres: Points
    moves: Points
    sure: NDArray[np.bool_]

    @cached_property
    def own(self) -> Points:
        """The moves, 0 for groups whose lines were not found: float64 (n, 2)."""
        return np.asarray(self.moves * self.sure[:, None], np.float64)

    def of(self, group: int) -> Points:
        """The move of one group, float64 (2,); 0 if its lines were not found."""
        places = np.flatnonzero(self.groups == group)
        return self.own[places[0]] if len(places) else np.zeros(2)


def plausible_moves(moves: Moves, outlines: Outlines) -> Moves:
    """The moves with ``sure`` only for those small enough for single fields of a located page.

    A field that is far off, unlike the others, has found a streak or another form's line.
    """
    off = np.linalg.norm(moves.moves, axis=1)
    limit = _OWN_MOVE * outlines.extent[moves.groups].min(axis=1)
    if len(off) < _COMPARED and moves.sure.any():
        limit = np.maximum(limit, 3 * float(np.median(off[moves.sure])))
    return Moves(moves.groups, moves.centres, moves.moves, moves.sure & (off <= limit))


def measure(
    outlines: Outlines, transform: Matrix, overview: Overview, furthest: float = np.inf
) -> Moves:
    """Find each group's printed lines near where ``transform`` puts them.

    ``furthest`` is the largest move that is tried, in overview pixels.
    """
    rings = outlines.rings
    groups = outlines.groups
    moves, sure = np.zeros((len(groups), 2)), np.ones(len(groups), np.bool_)
    # Left and right sides are moved horizontally, tops and bottoms vertically.
    for axis, sides in ((0, slice(2, 4)), (1, slice(0, 2))):
        here, unit, pixel = _along(transform, rings[:, sides].reshape(-1, 2), axis)
        scale = outlines.means(pixel.reshape(len(rings), -1).mean(axis=1))
        reach = _REACH * outlines.means(outlines.extent[outlines.owner, axis]) * scale
        reach = np.minimum(reach, min(furthest, _FURTHEST * max(overview.grey.shape)))
        steps = int(np.ceil(reach.max() / _STEP))
        shifts = np.arange(-steps, steps + 1, dtype=np.float64) * _STEP
        by_cell = _met(overview, here, unit, shifts, rings.shape[2])
        met = outlines.means(by_cell.reshape(len(rings), 2, -1))
        shift, found = _peaks(met, shifts, reach)
        moves[:, axis] = shift / scale
        sure &= found
    centres = outlines.means(rings.mean(axis=(1, 2)))
    return Moves(groups, centres, moves, sure)


def _met(
    overview: Overview,
    here: NDArray[np.float32],
    unit: NDArray[np.float32],
    shifts: NDArray[np.float64],
    along: int,
) -> NDArray[np.float64]:
    """How near a line each side is, moved by each of the shifts: 0 to 1, (sides, shifts).

    ``here`` float32 (places, 2) are the places on the sides, ``along`` on each, and ``unit`` the
    ways they are moved.
    """
    steps = shifts.astype(np.float32)
    if kernels.enabled():
        from inkmill.forms.kernels.moves import meet_lines

        sums = np.empty((len(here) // along, len(steps)), np.uint16)
        meet_lines(overview.near_line, here, unit, steps, along, sums)
        return sums / (255.0 * along)
    across, down = (here[:, axis, None] + unit[:, axis, None] * steps for axis in (0, 1))
    met = values_at(overview.near_line, across, down).reshape(-1, along, len(steps))
    return np.asarray(np.add.reduce(met, axis=1, dtype=np.uint16) / (255.0 * along), np.float64)


def _along(
    transform: Matrix, points: Points, axis: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Pixels of ``points``, a template axis's direction there, and pixels per unit along it."""
    if kernels.enabled():
        from inkmill.forms.kernels.places import directions

        here, unit = np.empty(points.shape, np.float32), np.empty(points.shape, np.float32)
        pixel = np.empty(len(points))
        directions(*contiguous(transform, points), axis, here, unit, pixel)
        return here, unit, pixel
    ahead = points.copy()
    ahead[:, axis] += 1e-3
    at = apply(transform, points)
    step = (apply(transform, ahead) - at) / 1e-3
    pixel = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
    return at.astype(np.float32), (step / pixel[:, None]).astype(np.float32), pixel


def _peaks(
    met: NDArray[np.float64], shifts: NDArray[np.float64], limits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each group the shift at which its lines are met best, and if that stands out.

    ``met`` (groups, 2, shifts) is for its two sides; small shifts are preferred.
    """
    if kernels.enabled() and len(shifts) > 2:
        from inkmill.forms.kernels.moves import best_shifts

        best, stands_out = np.empty(len(met)), np.empty(len(met), np.bool_)
        best_shifts(met, shifts, limits, _STEP, _LEAST_PEAK, best, stands_out)
        return best, stands_out
    one, other = np.moveaxis(met, 1, 0)
    # Both sides must be met: one alone may be another line nearby.
    agreement = 0.7 * np.minimum(one, other) + 0.15 * (one + other)
    return _standing_out(agreement, shifts, limits)


def _standing_out(
    agreement: NDArray[np.float64], shifts: NDArray[np.float64], limits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each group (row of ``agreement``) the shift of the best one, and if it stands out."""
    limit = np.maximum(limits, 1e-9)[:, None]
    allowed = np.abs(shifts)[None] <= limit
    values = np.where(allowed, agreement - 0.12 * (shifts[None] / limit) ** 2, -1.0)
    best = values.argmax(axis=1)
    rows = np.arange(len(best))
    found = agreement[rows, best] - np.median(agreement, axis=1) >= _LEAST_PEAK
    inner = np.clip(best, 1, len(shifts) - 2)
    before, at, after = (agreement[rows, inner + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    part = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    fine = shifts[best] + np.where(best == inner, np.clip(part, -1, 1), 0.0) * _STEP
    return np.where(found, fine, 0.0), np.asarray(found, np.bool_)


def corrected(transform: Matrix, moves: Moves, marks: Points) -> Matrix:
    """The transform, corrected by the common part of the groups' moves.

    ``marks`` float64 (k, 2), in template units, are held in place: they keep a few groups in one
    column from turning the page.
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
        # Huber weights: a group that found a wrong line must not move the page.
        usual = max(_median(off), 1e-6)
        weight = weight * np.minimum(1.0, 2.0 * usual / np.maximum(off, 1e-9)) ** 0.5
    linear = (fit[1:] / spread[:, None]).T
    change = np.eye(3)
    change[:2, :2] += linear
    change[:2, 2] = fit[0] - linear @ middle
    return np.asarray(transform @ change, np.float64)


def _median(values: NDArray[np.float64]) -> float:
    """The median of a few values, in a tenth of the time that `np.median` takes for them."""
    ordered, half = np.sort(values), len(values) // 2
    return float(ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def with_perspective(transform: Matrix, moves: Moves, marks: Points) -> Matrix:
    """The transform with the page's perspective, if too few marks were found to determine it.

    Needs lines found in at least ten places spread over the page; else the transform is returned
    unchanged.
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
