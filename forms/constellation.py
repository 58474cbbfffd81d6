"""Which candidate is which mark: every way to see three or four of the marks in a page.

Three corner marks fix an affine transform; the fourth, when it is found near where they say,
makes it a perspective one. All ways are listed, in all four orientations, and other evidence
(`inkmill.forms.evidence`) chooses: a text's black blob can look like a mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.form_registration import Marks
from inkmill.forms.geometry import Matrix, Points, apply, fit_affine, fit_perspective
from inkmill.forms.marks import Candidates

#: How far from square a page may be stretched or seen aslant, as a ratio of its axes.
_STRETCH = 1.35
#: The same where the template does not know its frame's aspect.
_UNKNOWN_STRETCH = 3.0
#: Cosine of the angle between the page's axes, at most: 12 degrees of shear.
_SHEAR = 0.21
#: How far a fourth mark may lie from where three put it, as a part of the diagonal.
_PERSPECTIVE = 0.13
#: Marks of one page differ in size by at most this ratio.
_SIZE_RATIO = 1.6
#: The frame spans at least this part of the picture's longer side.
_LEAST_SPAN = 0.3
#: Hypotheses of three or four marks that are looked at closely.
_MOST = 400


@dataclass(frozen=True)
class Hypothesis:
    """One way to see the page: ``transform`` maps template units to overview pixels.

    ``matched`` are the numbers of the marks that were found, ``points`` float64 (k, 2) where;
    ``misfit`` is how far they are from an affine page, as a part of the frame's diagonal.
    """

    transform: Matrix
    matched: tuple[int, ...]
    points: Points
    misfit: float


def hypotheses(
    marks: Marks, candidates: Candidates, aspect: float | None, longest: float
) -> list[Hypothesis]:
    """All plausible ways to see four or three corner marks, the largest pages first.

    ``aspect`` is the length of a vertical template unit by that of a horizontal one: 1 for mm,
    None where it is not known. ``longest`` is the picture's longer side in pixels.
    """
    corners = np.array(marks.at[:4], np.float64)
    found: list[tuple[float, Hypothesis]] = []
    for corner in range(4):
        numbers = (corner, (corner + 1) % 4, (corner - 1) % 4)
        triples = _triples(corners[list(numbers)], candidates, aspect, _LEAST_SPAN * longest)
        for triple, area in triples:
            for each in _completed(corners, numbers, triple, candidates):
                found.append((area * len(each.matched) * (1 - 2 * each.misfit), each))
    found.sort(key=lambda pair: -pair[0])
    return _without_doubles([each for _, each in found])[:_MOST]


def _triples(
    corners: Points, candidates: Candidates, aspect: float | None, span: float
) -> list[tuple[tuple[int, int, int], float]]:
    """Triples of candidates that can be a corner, its next and its previous, with their area."""
    points, sizes = candidates.centres, candidates.sizes
    count = len(points)
    if count < 3:
        return []
    step = points[None, :, :] - points[:, None, :]
    alike = np.maximum(sizes[:, None], sizes) < _SIZE_RATIO * np.minimum(sizes[:, None], sizes)
    usable = alike & (np.hypot(step[..., 0], step[..., 1]) > 0.3 * span)
    basis = np.column_stack([corners[1] - corners[0], corners[2] - corners[0]])
    inverse = np.linalg.inv(basis)
    # Columns of the linear part: where one unit across and one down end up.
    across = step[:, :, None, :] * inverse[0, 0] + step[:, None, :, :] * inverse[1, 0]
    down = step[:, :, None, :] * inverse[0, 1] + step[:, None, :, :] * inverse[1, 1]
    lengths = np.linalg.norm(across, axis=-1), np.linalg.norm(down, axis=-1)
    product = np.maximum(lengths[0] * lengths[1], 1e-12)
    turned = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    shear = np.abs((across * down).sum(axis=-1)) / product
    ratio = lengths[1] / np.maximum(lengths[0], 1e-12) / (aspect or 1.0)
    limit = _STRETCH if aspect else _UNKNOWN_STRETCH
    good = (turned > 0) & (shear < _SHEAR) & (ratio < limit) & (ratio > 1 / limit)
    good &= usable[:, :, None] & usable[:, None, :]
    extent = np.maximum(
        np.linalg.norm(step, axis=-1)[:, :, None], np.linalg.norm(step, axis=-1)[:, None, :]
    )
    good &= extent > span
    where = np.argwhere(good)
    areas = turned[good] * abs(np.linalg.det(basis))
    best = np.argsort(-areas)[:_MOST]
    return [
        ((int(a), int(b), int(c)), float(areas[i]))
        for i, (a, b, c) in zip(best, where[best], strict=True)
    ]


def _completed(
    corners: Points,
    numbers: tuple[int, int, int],
    triple: tuple[int, int, int],
    candidates: Candidates,
) -> list[Hypothesis]:
    """The triple alone, and with each candidate that can be its fourth."""
    points = candidates.centres[list(triple)]
    affine = fit_affine(corners[list(numbers)], points)
    fourth = (numbers[0] + 2) % 4
    predicted = apply(affine, corners[[fourth]])[0]
    diagonal = float(np.linalg.norm(points[1] - points[2]))
    distance = np.linalg.norm(candidates.centres - predicted, axis=1) / diagonal
    size = float(np.median(candidates.sizes[list(triple)]))
    near = [
        int(i)
        for i in np.argsort(distance)[:3]
        if distance[i] < _PERSPECTIVE
        and i not in triple
        and 1 / _SIZE_RATIO < candidates.sizes[i] / size < _SIZE_RATIO
    ]
    ways = [Hypothesis(affine, numbers, points, 0.0)]
    for i in near:
        matched = (*numbers, fourth)
        all_points = np.vstack([points, candidates.centres[i]])
        transform = fit_perspective(corners[list(matched)], all_points)
        ways.append(Hypothesis(transform, matched, all_points, float(distance[i])))
    return ways


def _without_doubles(found: list[Hypothesis]) -> list[Hypothesis]:
    """Four marks are reached from each of their triples: the first of each stays."""
    seen: set[tuple[tuple[int, float, float], ...]] = set()
    kept = []
    for each in found:
        key = tuple(
            sorted(
                (number, round(float(x), 1), round(float(y), 1))
                for number, (x, y) in zip(each.matched, each.points, strict=True)
            )
        )
        if key not in seen:
            seen.add(key)
            kept.append(each)
    return kept


def matches(
    marks: Marks, transform: Matrix, candidates: Candidates, reach: NDArray[np.float64] | float
) -> list[tuple[int, int]]:
    """Marks and candidates that lie within ``reach`` pixels of each other under ``transform``."""
    if not len(candidates):
        return []
    predicted = apply(transform, np.array(marks.at, np.float64))
    distance = np.linalg.norm(predicted[:, None] - candidates.centres[None], axis=-1)
    nearest = distance.argmin(axis=1)
    return [
        (mark, int(candidate))
        for mark, candidate in enumerate(nearest)
        if distance[mark, candidate] < reach
    ]
