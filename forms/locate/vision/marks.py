"""Candidates for registration marks: everything on the page that looks like one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.arms import LONGEST_ASPECT, measure_drawn
from inkmill.forms.locate.vision.overview import Grey, Overview, Points
from inkmill.template.registration import Shape

#: A part of a picture: its rows and columns.
Window = tuple[slice, slice]

#: Least share of its rectangle that a mark fills: a square fills all of it, a disc pi/4.
_LEAST_FILL = {"square": 0.78, "circle": 0.66}
#: Marks of a form differ in size by at most this ratio.
MARK_RATIO = 1.25
#: Inner and outer side of the ring around a mark, in parts of its size, and the largest share of
#: ink in it.
_RING, _MOST_AROUND = (1.3, 1.8), 0.5
#: At most this many candidates are kept, the most mark-like; all their triples are tried.
_MOST = 36


@dataclass(frozen=True)
class Candidates:
    """Places that look like a mark.

    ``centres`` float64 (n, 2) in overview pixels; ``sizes`` (n,) the side or diameter in overview
    pixels; ``likeness`` (n,) 1 for a perfect mark.
    """

    centres: Points
    sizes: NDArray[np.float64]
    likeness: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sizes)

    def only(self, chosen: NDArray[np.integer]) -> Candidates:
        """Those with these numbers, int (k,)."""
        return Candidates(self.centres[chosen], self.sizes[chosen], self.likeness[chosen])


def find_candidates(
    overview: Overview,
    shape: Shape,
    smallest: float,
    largest: float,
    darkness: float = 0.5,
    windows: Sequence[Window] = (),
) -> Candidates:
    """All candidates of a ``shape`` with a side between ``smallest`` and ``largest`` pixels.

    ``darkness`` is how dark a mark is, as a part of the page's darkest print. With ``windows``,
    only there: what a window cuts off may pass for a smaller candidate at its edge.
    """
    found: list[tuple[float, float, float, float]] = []
    solid = overview.solid(darkness)
    # Removes text and lines, and separates squares that touch at a corner.
    eroded = max(2, int(smallest * 0.55)) if shape in _LEAST_FILL else 0
    mask = _parts(solid, eroded, windows)
    for contour in _contours(mask, windows):
        _, _, width, height = cv2.boundingRect(contour)
        side = max(width, height) + max(0, eroded - 1)
        if side < smallest * 0.8 or side > largest * 1.5:
            continue
        each = _solid(contour, shape, eroded) if eroded else measure_drawn(mask, contour, shape)
        if (
            each is not None
            and smallest * 0.8 <= each[2] <= largest * 1.2
            and _surroundings(solid, *each[:3]) <= _MOST_AROUND
        ):
            found.append(each)
    found.sort(key=lambda each: -each[3])
    table = np.array(found[:_MOST], np.float64).reshape(-1, 4)
    centres = table[:, :2]
    if shape in _LEAST_FILL:
        # The centre of mass of an L, or of a cross that lost an arm, is off its middle.
        centres = np.array([_centroid(overview, x, y, size) for x, y, size, _ in table])
    return Candidates(centres.reshape(-1, 2), table[:, 2], table[:, 3])


def _parts(solid: Grey, eroded: int, windows: Sequence[Window]) -> Grey:
    """The solid print, in parts that may each be a mark; nothing outside of ``windows``, if any."""

    def parted(part: Grey) -> Grey:
        if eroded:
            return np.asarray(cv2.erode(part, np.ones((eroded, eroded), np.uint8)), np.uint8)
        # Thin arms break where the print is pale.
        return np.asarray(cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((3, 3))), np.uint8)

    if not windows:
        return parted(solid)
    mask = np.zeros_like(solid)
    for window in windows:
        mask[window] = parted(solid[window])
    return mask


def _contours(mask: Grey, windows: Sequence[Window]) -> Iterator[NDArray[np.int32]]:
    """The outlines of the parts of a mask; of those in ``windows`` alone, if any are given."""
    for rows, columns in windows or [(slice(0, len(mask)), slice(0, mask.shape[1]))]:
        contours, nesting = cv2.findContours(
            mask[rows, columns],
            cv2.RETR_CCOMP,
            cv2.CHAIN_APPROX_SIMPLE,
            offset=(columns.start, rows.start),
        )
        for number, contour in enumerate(contours):
            # Holes have a parent. Outer contours alone would miss a page on a dark background.
            if nesting[0][number][3] < 0:
                yield np.asarray(contour, np.int32)


def _surroundings(solid: Grey, x: float, y: float, size: float) -> float:
    """The share of ink in a ring around a mark: print has paper around it, a texture has not."""
    counts = []
    for side in _RING:
        half = 0.5 * side * size
        rows = slice(max(0, round(y - half)), round(y + half) + 1)
        part = solid[rows, max(0, round(x - half)) : round(x + half) + 1]
        counts.append((cv2.countNonZero(part), part.size))
    (inner, inside), (outer, whole) = counts
    return float(outer - inner) / max(1, whole - inside)


def _solid(
    contour: NDArray[np.int32], shape: Shape, eroded: int
) -> tuple[float, float, float, float] | None:
    """Centre, size and likeness of a filled square or disc, eroded by ``eroded`` pixels."""
    (x, y), (across, down), _ = cv2.minAreaRect(contour)
    # A contour runs through pixel centres: half a pixel is missing on each side.
    across, down = across + 1, down + 1
    fill = (cv2.contourArea(contour) + (across + down) - 1) / (across * down)
    # The little that erosion leaves of a small mark has no shape.
    if fill < _LEAST_FILL[shape] and min(across, down) > 4:
        return None
    across, down = across + eroded - 1, down + eroded - 1
    aspect = max(across, down) / min(across, down)
    if aspect > LONGEST_ASPECT:
        return None
    wanted = 1.0 if shape == "square" else np.pi / 4
    likeness = 1.0 - min(1.0, abs(fill - wanted)) - 0.5 * (aspect - 1)
    return x, y, float(np.sqrt(across * down)), float(likeness)


def _centroid(overview: Overview, x: float, y: float, size: float) -> tuple[float, float]:
    """The centre of mass of a mark's ink: more precise than its outline."""
    reach = size * 0.5 + 1.0
    height, width = overview.grey.shape
    left, right = max(0, round(x - reach)), min(width, round(x + reach) + 1)
    top, bottom = max(0, round(y - reach)), min(height, round(y + reach) + 1)
    window = cv2.bitwise_not(overview.grey[top:bottom, left:right])
    # Pixels less dark than a quarter of the page's print are paper.
    paper = float(np.ceil(0.25 * overview.darkness)) - 1
    ink = cv2.moments(cv2.threshold(window, paper, 0, cv2.THRESH_TOZERO)[1])
    total = ink["m00"]
    if not total:
        return x, y
    columns, rows = left + ink["m10"] / total, top + ink["m01"] / total
    # Other ink in the window may shift the centre: the outline is then more reliable.
    if abs(columns - x) > 0.15 * size + 0.5 or abs(rows - y) > 0.15 * size + 0.5:
        return x, y
    return columns, rows


# --- without a template --------------------------------------------------------------------------


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
