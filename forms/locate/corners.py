"""The four solid squares in a page's corners, found without a template."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.marks import Candidates, find_candidates
from inkmill.forms.locate.overview import Overview

#: Marks of a form differ in size by at most this ratio.
MARK_RATIO = 1.25


def corner_squares(overview: Overview) -> NDArray[np.float64] | None:
    """Centres (4, 2) of the solid squares in a page's corners, in overview pixels."""
    candidates = squares(overview)
    found = corners(overview, candidates)
    return None if found is None else candidates.centres[list(found)]


def squares(overview: Overview) -> Candidates:
    """Everything on the page that looks like a solid square mark."""
    longest = max(overview.grey.shape)
    return find_candidates(overview, "square", 0.006 * longest, 0.05 * longest)


def corners(overview: Overview, candidates: Candidates) -> tuple[int, int, int, int] | None:
    """The four similar candidates that span the largest upright frame, clockwise."""
    height, width = overview.grey.shape
    near: list[list[int]] = []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        distance = np.linalg.norm(candidates.centres - (x, y), axis=1)
        order = [int(i) for i in np.argsort(distance)[:4] if distance[i] < 0.3 * height]
        near.append(order)
    best, largest = None, 0.0
    for quad in product(*near):
        if len(set(quad)) < 4:
            continue
        points, sizes = candidates.centres[list(quad)], candidates.sizes[list(quad)]
        if sizes.max() > MARK_RATIO * sizes.min():
            continue
        sides = np.diff(np.vstack([points, points[:1]]), axis=0)
        uneven = np.abs(sides[0] + sides[2]).sum() + np.abs(sides[1] + sides[3]).sum()
        area = abs(float(np.linalg.det(np.column_stack([sides[0], sides[3]]))))
        score = area * (1 - uneven / (height + width))
        if area > 0.3 * height * width and score > largest:
            best, largest = (quad[0], quad[1], quad[2], quad[3]), score
    return best
