"""All cells of a page normalised together: `normalise` on stacked arrays.

A page has some sixty cells of one size, with so few pixels that calls cost more than their work
(53 against 114 us a cell). The crops equal those of `normalise` bit by bit, which a test checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.cut.components import Components, extents, find_components, thickened
from inkmill.forms.cut.filters import Filter
from inkmill.forms.cut.normalise import (
    BOX,
    CROWDED,
    EDGE,
    INSIDE,
    LEAST_CONTRAST,
    LEAST_SIDE,
    NOISE,
    SPECK,
    STRENGTH,
    WORKING,
    Grey,
    find_ink,
    normalise,
)

Mask = NDArray[np.bool_]


def normalise_cells(
    cells: Grey, size: int = 28, filters: Sequence[Filter] = ()
) -> tuple[Grey, NDArray[np.bool_]]:
    """`normalise` for cells of one size, uint8 (n, height, width), all at once.

    Returns the crops, uint8 (n, size, size), that `normalise` returns one by one, and bool (n,),
    true where it returns None, for which the crop is black.
    """
    crops = np.zeros((len(cells), size, size), np.uint8)
    empty = np.ones(len(cells), np.bool_)
    if not len(cells):
        return crops, empty
    if kernels.enabled() and not filters and max(cells.shape[1:]) <= size * WORKING:
        return _by_kernels(cells, size, crops, empty)
    counts = _histograms(cells)
    usual = _are_dark_on_light(counts) & ~_may_be_crowded(counts)
    if filters or max(cells.shape[1:]) > size * WORKING:
        usual[:] = False
    for number in np.flatnonzero(~usual):
        crop = normalise(cells[number], size, filters)
        if crop is not None:
            crops[number], empty[number] = crop, False
    numbers = np.flatnonzero(usual)
    if len(numbers) < len(cells):
        cells, counts = cells[numbers], counts[numbers]
    if len(numbers):
        inks = _find_inks(np.invert(cells), counts[:, ::-1])
        written = [number for number, ink in zip(numbers, inks, strict=True) if ink is not None]
        empty[written] = False
        crops[written] = _placed([ink for ink in inks if ink is not None], size)
    return crops, empty


def _histograms(cells: Grey) -> NDArray[np.int64]:
    counts = [cv2.calcHist([cell], [0], None, [256], [0, 256]) for cell in cells]
    return np.stack(counts).reshape(len(cells), 256).astype(np.int64)


def _are_dark_on_light(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where `is_light_on_dark` is certainly false; ``counts`` (n, 256) are histograms."""
    seen = counts > 0
    middle = (seen.argmax(axis=1) + 255 - seen[:, ::-1].argmax(axis=1)) / 2
    # If the mean equals the middle, the last bit of a float decides: not for certain.
    return np.asarray(counts @ np.arange(256) > (middle + 1e-6) * counts.sum(axis=1), np.bool_)


def _may_be_crowded(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where so much is darker than the middle that `normalise` looks closer."""
    seen = counts > 0
    middle = (seen.argmax(axis=1) + 255 - seen[:, ::-1].argmax(axis=1)) // 2
    darker = np.where(np.arange(256) <= middle[:, None], counts, 0).sum(axis=1)
    return np.asarray(darker > CROWDED * counts.sum(axis=1) - 1, np.bool_)


def _find_inks(light: Grey, counts: NDArray[np.int64]) -> list[Grey | None]:
    """`find_ink` for images of one size, uint8 (n, height, width), with their histograms."""
    _, rows, columns = light.shape
    paper, limit = _levels(counts)
    mask = light > limit[:, None, None]
    reach = 2 * round(min(rows, columns) * 0.012) + 3
    down, across = round(EDGE * rows), round(EDGE * columns)
    parts = find_components(
        thickened(mask.view(np.uint8), reach), (across, down, columns - across, rows - down)
    )
    edged = _along_edges(parts, rows, columns)
    kept = _significant(parts, ~edged, min(rows, columns), reach - 1)
    above = light
    if paper.any():
        above = np.maximum(light, paper[:, None, None]) - paper[:, None, None]
    strength = above & parts.drawn(kept)
    inks: list[Grey | None] = [
        strength[number, top:bottom, left:right] if bottom else None
        for number, (left, top, right, bottom) in enumerate(_tight(mask, parts, kept, reach))
    ]
    for number in np.unique(parts.cell[edged]).tolist():
        # Whether that is a line or the digit takes a closer look.
        inks[number] = find_ink(light[number])
    return inks


def _tight(mask: Mask, parts: Components, kept: Mask, reach: int) -> list[list[int]]:
    """For each image the rectangle (left, top, right, bottom) of the ink in its kept components.

    The components are thicker than the ink. Zeros where there is none.
    """
    _, rows, columns = mask.shape
    thicker = reach // 2
    boxes = parts.boxes(kept)
    # Dilation ends at the image's edge, so there the ink itself has to be looked at.
    cut = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2] == columns) | (boxes[:, 3] == rows)
    tight = boxes + np.array([thicker, thicker, -thicker, -thicker])
    for number in np.flatnonzero(cut):
        ink = mask[number] & kept[parts.labels[number]]
        (left, right), (top, bottom) = (
            extents(np.asarray(ink.any(axis=axis))[None])[0] for axis in (0, 1)
        )
        tight[number] = left, top, right, bottom
    return list(tight.tolist())


def _levels(counts: NDArray[np.int64]) -> tuple[Grey, Grey]:
    """For each histogram the paper's level and the level above which pixels are ink; uint8 (n,)."""
    cumulated, size = counts.cumsum(axis=1), counts.sum(axis=1)
    # Noise is estimated on the side without ink, from the 16th percentile of the paper.
    paper, below = _first(cumulated, 0.5 * size), _first(cumulated, 0.16 * size)
    floor = np.maximum(LEAST_CONTRAST, NOISE * (paper - below))
    strong = np.where(np.arange(256) < (paper + np.floor(floor))[:, None], 0, counts)
    total = strong.sum(axis=1)
    # Not the maximum: a speck of dirt may be far darker than a pencil.
    typical = _first(strong.cumsum(axis=1), 0.75 * total) - paper
    above = paper + np.floor(np.maximum(floor, STRENGTH * typical))
    limit = np.where(total > 0, np.minimum(above, 255), 255)
    return paper.astype(np.uint8), limit.astype(np.uint8)


def _first(cumulated: NDArray[np.int64], least: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each row the first place where it reaches ``least``."""
    return np.asarray(np.count_nonzero(cumulated < least[:, None], axis=1), np.int64)


def _along_edges(parts: Components, rows: int, columns: int) -> NDArray[np.bool_]:
    """Which components touch the image's edge and lie along it."""
    touching = (
        (parts.left == 0)
        | (parts.top == 0)
        | (parts.left + parts.width == columns)
        | (parts.top + parts.height == rows)
    )
    touching &= parts.inside < INSIDE * parts.area
    touching[0] = False
    return np.asarray(touching, np.bool_)


def _significant(
    parts: Components, inner: NDArray[np.bool_], side: int, thick: int
) -> NDArray[np.bool_]:
    """Which of the ``inner`` components are the digit, and not specks.

    ``parts`` are components of ink that was dilated by ``thick`` pixels; ``side`` is the images'
    shorter side.
    """
    inner = inner.copy()
    inner[0] = False
    longest = parts.most(np.maximum(parts.width, parts.height), inner)
    largest = parts.most(parts.area, inner)
    digit = longest >= LEAST_SIDE * side + thick
    return np.asarray(
        inner & digit[parts.cell] & (parts.area >= SPECK * largest[parts.cell]), np.bool_
    )


def _placed(inks: Sequence[Grey], size: int) -> Grey:
    """Crops of inks: each scaled to MNIST's box, its centre of mass at the crop's centre."""
    small, sides = _scaled(inks, size)
    # Exact in integers: a crop must not depend on the rest of the stack.
    rows, columns = small.sum(axis=2, dtype=np.int64), small.sum(axis=1, dtype=np.int64)
    total = rows.sum(axis=1)
    places = np.arange(small.shape[1])
    middle = np.column_stack([rows @ places, columns @ places]) / total[:, None]
    # A very lopsided digit would leave the crop; MNIST's digits never do.
    corner = np.clip(np.rint((size - 1) / 2 - middle).astype(np.int64), 0, size - sides)
    brightest = np.maximum(small.max(axis=1).max(axis=1), 1)
    crops = np.zeros((len(inks), size, size), np.uint8)
    for crop, ink, level, (height, width), (top, left) in zip(
        crops, small, brightest.tolist(), sides.tolist(), corner.tolist(), strict=True
    ):
        crop[top : top + height, left : left + width] = _stretch(level)[ink[:height, :width]]
    return crops


def _scaled(inks: Sequence[Grey], size: int) -> tuple[Grey, NDArray[np.int64]]:
    """Each ink scaled to MNIST's box, at the top left of a square; and the inks' sides."""
    small = np.zeros((len(inks), size, size), np.uint8)
    sides = np.empty((len(inks), 2), np.int64)
    for number, ink in enumerate(inks):
        height, width = ink.shape
        scale = size * BOX / max(height, width)
        new = max(1, round(height * scale)), max(1, round(width * scale))
        cv2.resize(
            ink,
            new[::-1],
            dst=small[number, : new[0], : new[1]],
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        sides[number] = new
    return small, sides


@lru_cache(maxsize=256)
def _stretch(brightest: int) -> Grey:
    """A lookup table that scales levels so that ``brightest`` becomes 255."""
    levels = np.arange(256, dtype=np.uint8)
    return np.asarray(cv2.convertScaleAbs(levels, alpha=255.0 / brightest), np.uint8).ravel()


def _by_kernels(
    cells: Grey, size: int, crops: Grey, empty: NDArray[np.bool_]
) -> tuple[Grey, NDArray[np.bool_]]:
    """What `normalise_cells` returns, by compiled kernels."""
    from inkmill.forms.kernels import crops as kernel
    from inkmill.forms.kernels.scaling import scale_down

    _, rows, columns = cells.shape
    reach = 2 * round(min(rows, columns) * 0.012) + 3
    down, across = round(EDGE * rows), round(EDGE * columns)
    strength, found = np.empty_like(cells), np.zeros(len(cells), np.uint8)
    boxes = np.zeros((len(cells), 4), np.int64)
    kernel.find_digits(
        cells,
        reach // 2,
        (across, down, columns - across, rows - down),
        (float(LEAST_CONTRAST), float(NOISE), float(STRENGTH)),
        (CROWDED, INSIDE, float(LEAST_SIDE * min(rows, columns) + reach - 1), SPECK),
        strength,
        boxes,
        found,
    )
    small, sides = np.zeros((len(cells), size, size), np.uint8), np.zeros((len(cells), 2), np.int64)
    usual = found == kernel.FOUND
    scale_down(strength, boxes, usual, size * BOX, small, sides)
    for number in np.flatnonzero((found == kernel.EDGED) | (usual & (sides[:, 0] == 0))).tolist():
        left, top, right, bottom = boxes[number].tolist()
        ink: Grey | None = strength[number, top:bottom, left:right]
        if not usual[number]:
            ink = find_ink(np.invert(cells[number]))
        if ink is not None:
            small[number : number + 1], sides[number : number + 1] = _scaled([ink], size)
    kernel.place_digits(small, sides, _stretches(), crops)
    empty[sides[:, 0] > 0] = False
    for number in np.flatnonzero(found == kernel.UNUSUAL).tolist():
        crop = normalise(cells[number], size)
        if crop is not None:
            crops[number], empty[number] = crop, False
    return crops, empty


@lru_cache(maxsize=1)
def _stretches() -> Grey:
    """`_stretch` for each level, uint8 (256, 256); no ink is black."""
    return np.stack([_stretch(max(1, level)) for level in range(256)])
