"""Proposals from frames: boxes and tables of the template, matched with those of the picture.

One box that is matched with another gives a first transform, which is rough far from it. Then more
boxes are matched where it predicts them, nearest first, and the transform is fitted to them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply, corners
from inkmill.forms.locate.shapes.quads import Quads, printed_quads
from inkmill.forms.locate.vision.evidence import Outlines, near_lines, seen_lines
from inkmill.forms.locate.vision.locators import Proposal
from inkmill.forms.locate.vision.overview import Overview

#: Cells of a block that share lines fill its rectangle up to this part.
_WHOLE = 0.9
#: Frames that begin a match: of the template, of the picture, the largest of each.
_SEEDS = (10, 48)
#: Matches of one frame that are extended to others, and finalists that are verified.
_EXTENDED, _FINALISTS = 24, 6
#: Most frames of the template that are matched, the largest.
_MOST = 160
#: A frame is where it is predicted if its corners are within this part of its size; the nearest
#: few frames are matched first, then twice as many, and so on.
_NEAR, _FIRST = 0.45, 3
#: A page is stretched by at most this ratio of its axes, a little more in a photo; and sides of a
#: frame that are opposite to each other differ by at most this ratio, however oblique it is seen.
_STRETCH, _FORESHORTENED = 1.6, 2.5
#: While the page is not yet in place, a line counts as met within this many overview pixels.
_REACH = 3
#: Proposals with less evidence than this at a first look are not verified.
_LEAST_GLANCE = 0.2
#: Proposals whose places differ by less than this part of a cell are one.
_SAME = 0.25


def by_frames(
    overview: Overview, outlines: Outlines, printed: Quads, aspect: float | None
) -> Iterator[Proposal]:
    """Proposals from frames that the template and the picture share, the most likely first.

    ``printed`` (n, 4, 2) are further frames of the template, in its units, such as those on its
    blank; ``aspect`` is the ratio of a vertical template unit to a horizontal one, None if unknown.
    """
    mine = _by_size(np.concatenate([_frames_of(outlines), printed]))[:_MOST]
    theirs = printed_quads(overview)
    if not len(mine) or not len(theirs):
        return
    near = near_lines(overview, _REACH)
    scored = [
        (seen_lines(outlines.glance, each, near), each)
        for each in _first_looks(mine, theirs, aspect)
    ]
    scored.sort(key=lambda pair: -pair[0])
    finished: list[tuple[float, Matrix]] = []
    for _, start in scored[:_EXTENDED]:
        grown = _extended(start, mine, theirs)
        finished.append((seen_lines(outlines.glance, grown, near), grown))
    finished.sort(key=lambda pair: -pair[0])
    given: list[Points] = []
    for seen, transform in finished:
        if seen < _LEAST_GLANCE:
            return
        places = apply(transform, outlines.middles)
        cell = np.sqrt(np.abs(np.linalg.det(transform[:2, :2])) * outlines.extent.prod(1).min())
        if any(np.linalg.norm(places - each, axis=1).max() < _SAME * cell for each in given):
            continue
        given.append(places)
        yield Proposal(transform, np.empty((0, 2)), 0, "frames", rounds=3)
        if len(given) >= _FINALISTS:
            return


def _frames_of(outlines: Outlines) -> Quads:
    """The rectangles that the template's boxes make: blocks that share lines, else single cells."""
    blocks, middles = outlines.blocks.of, outlines.middles
    half = outlines.extent[outlines.owner] / 2
    rectangles: list[tuple[float, float, float, float]] = []
    for block in np.unique(blocks):
        members = np.flatnonzero(blocks == block)
        low = (middles - half)[members].min(axis=0)
        size = (middles + half)[members].max(axis=0) - low
        if 4 * half[members].prod(axis=1).sum() >= _WHOLE * size.prod():
            rectangles.append((*low.tolist(), *size.tolist()))
        else:
            cells = np.hstack([middles - half, 2 * half])[members]
            rectangles += [(x, y, w, h) for x, y, w, h in cells.tolist()]
    return np.array([corners(each) for each in rectangles]).reshape(-1, 4, 2)


def _by_size(quads: Quads) -> Quads:
    areas = [cv2.contourArea(each.astype(np.float32)) for each in quads]
    return quads[np.argsort(areas)[::-1]]


@dataclass(frozen=True)
class _Shape:
    """Middles (n, 2) and sizes (n,) of quadrilaterals."""

    middles: Points
    sizes: NDArray[np.float64]

    @classmethod
    def of(cls, quads: Quads) -> _Shape:
        diagonals = np.linalg.norm(quads[:, 2:] - quads[:, :2], axis=2)
        return cls(quads.mean(axis=1), np.asarray(diagonals.mean(axis=1), np.float64))


def _first_looks(mine: Quads, theirs: Quads, aspect: float | None) -> Iterator[Matrix]:
    """The transforms that map one frame of the template onto one of the picture, in all turns."""
    for one in mine[: _SEEDS[0]]:
        for other in theirs[: _SEEDS[1]]:
            for turn in range(4):
                found = cv2.getPerspectiveTransform(
                    one.astype(np.float32), np.roll(other, -turn, axis=0).astype(np.float32)
                )
                if _possible(np.asarray(found, np.float64), one, aspect):
                    yield np.asarray(found, np.float64)


def _possible(transform: Matrix, frame: Points, aspect: float | None) -> bool:
    """Whether a camera may see the page so: neither stretched nor tilted beyond measure."""
    if not np.isfinite(transform).all():
        return False
    seen = apply(transform, frame)
    sides = np.linalg.norm(np.roll(seen, -1, axis=0) - seen, axis=1)
    if max(sides[0] / sides[2], sides[1] / sides[3]) > _FORESHORTENED:
        return False
    if min(sides[0] / sides[2], sides[1] / sides[3]) < 1 / _FORESHORTENED:
        return False
    if aspect is None:
        return True
    own = np.linalg.norm(np.roll(frame, -1, axis=0) - frame, axis=1)
    across, down = (sides[:2] + sides[2:]) / (own[:2] + own[2:])
    return bool(1 / _STRETCH < down / across / aspect < _STRETCH)


def _extended(start: Matrix, mine: Quads, theirs: Quads) -> Matrix:
    """The transform fitted to ever more frames, those nearest to the first ones before others."""
    transform, shapes = start, _Shape.of(theirs)
    count = _FIRST
    while True:
        places = apply(transform, mine.reshape(-1, 2)).reshape(-1, 4, 2)
        if not np.isfinite(places).all():
            return start
        pairs = _matched(places, theirs, shapes)
        known = pairs[:count]
        if not known:
            return transform
        source = np.concatenate([mine[one] for one, _, _ in known])
        target = np.concatenate([np.roll(theirs[other], -turn, axis=0) for _, other, turn in known])
        found, _ = cv2.findHomography(source, target, 0 if len(known) == 1 else cv2.RANSAC, 4.0)
        if found is None or not np.isfinite(found).all():
            return transform
        transform = np.asarray(found, np.float64)
        if count >= len(pairs):
            return transform
        count *= 2


def _matched(places: Quads, theirs: Quads, shapes: _Shape) -> list[tuple[int, int, int]]:
    """For each frame of the template that is where it is predicted: it, the picture's, the turn.

    The best matches first.
    """
    predicted = _Shape.of(places)
    away = np.linalg.norm(predicted.middles[:, None] - shapes.middles[None], axis=2)
    ratio = shapes.sizes[None] / np.maximum(predicted.sizes[:, None], 1e-9)
    away = np.where((ratio > 0.7) & (ratio < 1.4), away, np.inf)
    nearest = away.argmin(axis=1)
    found = []
    for number, other in enumerate(nearest.tolist()):
        size = predicted.sizes[number]
        if away[number, other] > _NEAR * size:
            continue
        turned = (np.roll(theirs[other], -turn, axis=0) for turn in range(4))
        turns = [float(np.linalg.norm(each - places[number], axis=1).max()) for each in turned]
        best = int(np.argmin(turns))
        if turns[best] <= _NEAR * size:
            found.append((turns[best] / size, number, other, best))
    return [(number, other, turn) for _, number, other, turn in sorted(found)]
