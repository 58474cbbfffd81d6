"""Which candidate is which mark: all hypotheses that match three or four corner marks.

Three corner marks define an affine transform; the fourth, if it is found near its predicted place,
makes it a perspective one. All hypotheses in all four orientations are listed, and other evidence
(`inkmill.forms.locate.vision.evidence`) decides, since a black blob in a text can look like a mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.locate.vision.marks import Candidates
from inkmill.template.registration import Marks

#: How much a page may be stretched or seen in perspective, as a ratio of its axes.
_STRETCH = 1.35
#: The same if the template does not have its frame's aspect.
_UNKNOWN_STRETCH = 3.0
#: Largest cosine of the angle between the page's axes: 12 degrees of shear.
_SHEAR = 0.21
#: How far a fourth mark may lie from where the other three predict it, as a part of the diagonal.
_PERSPECTIVE = 0.13
#: Marks of one page differ in size by at most this ratio.
_SIZE_RATIO = 1.6
#: The frame spans at least this part of the picture's longer side.
_LEAST_SPAN = 0.3
#: At most this many hypotheses are examined.
_MOST = 300


@dataclass(frozen=True)
class Hypothesis:
    """One way to match the marks: mark ``matched[i]`` is candidate ``chosen[i]``.

    ``misfit`` is how far they are from an affine page, as a part of the frame's diagonal.
    """

    matched: tuple[int, ...]
    chosen: tuple[int, ...]
    misfit: float = 0.0

    def differs_by_one(self, other: Hypothesis) -> bool:
        """Whether it has four marks, too, three of which are the other's."""
        mine = set(zip(self.matched, self.chosen, strict=True))
        theirs = set(zip(other.matched, other.chosen, strict=True))
        return len(mine) == len(theirs) == 4 and len(mine & theirs) == 3

    def transform(self, corners: Points, candidates: Candidates) -> Matrix:
        """3x3: template units to overview pixels."""
        source = corners[list(self.matched)].astype(np.float32)
        target = candidates.centres[list(self.chosen)].astype(np.float32)
        if len(source) == 4:
            return np.asarray(cv2.getPerspectiveTransform(source, target), np.float64)
        return np.vstack([cv2.getAffineTransform(source, target), [0.0, 0.0, 1.0]])


def hypotheses(
    marks: Marks, candidates: Candidates, aspect: float | None, longest: float
) -> list[Hypothesis]:
    """All plausible matches of four or three corner marks, the largest pages first.

    ``aspect`` is the ratio of a vertical template unit to a horizontal one: 1 for mm, None if
    unknown. ``longest`` is the picture's longer side in pixels.
    """
    corners = np.array(marks.at[:4], np.float64)
    found: dict[tuple[tuple[int, int], ...], tuple[float, Hypothesis]] = {}
    wide = _wide(candidates, _LEAST_SPAN * longest)
    for corner in range(4):
        numbers = _corner(corner)
        triples, areas = _triples(corners[list(numbers)], candidates.centres, wide, aspect)
        ranks = areas.tolist()
        for row, each in _completed(corners, numbers, triples, candidates):
            # Four marks are found from each of their triples: keep one.
            key = tuple(sorted(zip(each.matched, each.chosen, strict=True)))
            rank = ranks[row] * len(each.matched) * (1 - 2 * each.misfit)
            if key not in found or found[key][0] < rank:
                found[key] = (rank, each)
    ranked = sorted(found.values(), key=lambda pair: -pair[0])
    return [each for _, each in ranked[:_MOST]]


def hypothesis_of(
    marks: Marks, candidates: Candidates, aspect: float | None, longest: float
) -> Hypothesis | None:
    """The match of the first four candidates with the corner marks, in their order.

    It is the one that `hypotheses` makes of them, or None if they are no plausible page.
    """
    corners, centres = np.array(marks.at[:4], np.float64), candidates.centres
    best, weights = (0.0, _corner(0), 1.0), _weights(marks)
    for corner in range(4):
        numbers = _corner(corner)
        first, second, third = centres[list(numbers)]
        (x, y), (u, v) = second - first, third - first
        fourth = weights[corner] @ centres[list(numbers)]
        off = float(np.hypot(*(fourth - centres[(corner + 2) % 4])) / np.hypot(x - u, y - v))
        rank = abs(x * v - y * u) * (1 - 2 * off)
        if rank > best[0]:
            best = (rank, numbers, off)
    _, numbers, off = best
    known = Candidates(centres[:4], candidates.sizes[:4], candidates.likeness[:4])
    wide = _wide(known, _LEAST_SPAN * longest)
    mine = wide[(wide == numbers).all(axis=1)]
    alike = known.sizes.max() < _SIZE_RATIO * known.sizes.min()
    triples, _ = _triples(corners[list(numbers)], centres, mine, aspect)
    if not (alike and off < _PERSPECTIVE and len(triples)):
        return None
    all_four = (*numbers, (numbers[0] + 2) % 4)
    return Hypothesis(all_four, all_four, off)


def _corner(number: int) -> tuple[int, int, int]:
    """A corner, the next and the previous one."""
    return number, (number + 1) % 4, (number - 1) % 4


@lru_cache(maxsize=64)
def _weights(marks: Marks) -> list[Points]:
    """`_fourth` for each of the corners: solving takes longer than all the rest."""
    corners = np.array(marks.at[:4], np.float64)
    return [_fourth(corners, _corner(number)) for number in range(4)]


def _fourth(corners: Points, numbers: tuple[int, int, int]) -> Points:
    """The weights (3,) of three corners whose mean is the fourth, which affine maps preserve."""
    system = np.vstack([corners[list(numbers)].T, np.ones(3)])
    return np.asarray(np.linalg.solve(system, np.append(corners[(numbers[0] + 2) % 4], 1.0)))


def _wide(candidates: Candidates, span: float) -> NDArray[np.int64]:
    """Triples of candidates, int (k, 3), of similar size and as far apart as a page is large."""
    points, sizes = candidates.centres, candidates.sizes
    if len(points) < 3:
        return np.empty((0, 3), np.int64)
    step = points[None, :, :] - points[:, None, :]
    distance = np.hypot(step[..., 0], step[..., 1])
    alike = np.maximum(sizes[:, None], sizes) < _SIZE_RATIO * np.minimum(sizes[:, None], sizes)
    usable = alike & (distance > 0.3 * span)
    good = usable[:, :, None] & usable[:, None, :]
    far = distance > span
    good &= far[:, :, None] | far[:, None, :]
    return np.argwhere(good)


def _triples(
    corners: Points, points: Points, wide: NDArray[np.int64], aspect: float | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The triples that can be a corner, the next and the previous one; and their pages' areas.

    int (k, 3) and float64 (k,).
    """
    first = points[wide[:, 0]]
    one, other = points[wide[:, 1]] - first, points[wide[:, 2]] - first
    basis = np.column_stack([corners[1] - corners[0], corners[2] - corners[0]])
    inverse = np.linalg.inv(basis)
    # Columns of the linear part: the images of one unit across and one unit down.
    across = one * inverse[0, 0] + other * inverse[1, 0]
    down = one * inverse[0, 1] + other * inverse[1, 1]
    lengths = np.hypot(across[:, 0], across[:, 1]), np.hypot(down[:, 0], down[:, 1])
    product = np.maximum(lengths[0] * lengths[1], 1e-12)
    turned = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    shear = np.abs(across[:, 0] * down[:, 0] + across[:, 1] * down[:, 1]) / product
    ratio = lengths[1] / np.maximum(lengths[0], 1e-12) / (aspect or 1.0)
    limit = _STRETCH if aspect else _UNKNOWN_STRETCH
    good = (turned > 0) & (shear < _SHEAR) & (ratio < limit) & (ratio > 1 / limit)
    areas = turned[good] * abs(np.linalg.det(basis))
    best = np.argsort(-areas)[:_MOST]
    return wide[good][best], areas[best]


def _completed(
    corners: Points,
    numbers: tuple[int, int, int],
    triples: NDArray[np.int64],
    candidates: Candidates,
) -> Iterator[tuple[int, Hypothesis]]:
    """Each triple alone, and with each candidate that can be its fourth mark."""
    if not len(triples):
        return
    fourth = (numbers[0] + 2) % 4
    weights = _fourth(corners, numbers)
    points = candidates.centres[triples]
    predicted = np.einsum("kij,i->kj", points, weights)
    diagonal = np.linalg.norm(points[:, 1] - points[:, 2], axis=1)
    distance = np.linalg.norm(candidates.centres[None] - predicted[:, None], axis=2)
    distance /= diagonal[:, None]
    nearest = np.argsort(distance, axis=1)[:, :3]
    nearby = np.take_along_axis(distance, nearest, axis=1).tolist()
    sizes = candidates.sizes.tolist()
    for row, (triple, others) in enumerate(zip(triples.tolist(), nearest.tolist(), strict=True)):
        yield row, Hypothesis(numbers, tuple(triple))
        size = sizes[triple[0]]
        for other, off in zip(others, nearby[row], strict=True):
            alike = 1 / _SIZE_RATIO < sizes[other] / size < _SIZE_RATIO
            if off < _PERSPECTIVE and other not in triple and alike:
                yield row, Hypothesis((*numbers, fourth), (*triple, other), off)


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
