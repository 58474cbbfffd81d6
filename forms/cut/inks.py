"""The handwriting in cut cells: without printed lines, specks and the neighbours' ink.

All cells of one size are processed together: as stacked arrays, or by compiled kernels in processes
that use them (`inkmill.forms.kernels`). Both find the same, bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.cut.boxlines import LINE_COVER, line_windows, without_lines
from inkmill.forms.cut.cells import Cuts
from inkmill.forms.cut.components import Components, find_components, thickened

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: Pixels darker than this part of a cell's darkest ink, and of the page's usual ink, are ink.
_OWN_INK, _PAGE_INK = 0.42, 0.25
#: A cell whose darkest place is fainter than this part of the page's usual ink has no ink, but a
#: watermark, a stain or print from the other side.
_LEAST_PEAK = 0.42
#: Levels of 255 below which nothing is ink, on any page.
_LEAST_INK = 18
#: A component belongs to the cell if at least this share of it lies inside.
_INSIDE = 0.5
#: Size of the corners in which the lines' remains are dropped, as a part of the box.
_CORNER = 0.15
#: A cell is not empty if a component is this long, as a part of the cell's height, and has this
#: part of its area; components nearer than the gap count as one, since faint strokes break.
_LEAST_SIDE, _LEAST_AREA, _GAP = 0.16, 0.004, 0.08
#: Ink over print is darker than the print by this factor and this many levels.
_PRINT_GAIN, _PRINT_OFFSET = 1.35, 12.0


@dataclass(frozen=True)
class Inks:
    """The handwriting in cells of one size.

    ``grey`` uint8 (n, height, width), ink on pure white; ``mask`` bool, where the ink is; ``boxes``
    int (n, 4), the ink's rectangle (left, top, right, bottom); ``empty`` bool (n,), cells without
    ink, whose rectangle is zeros.
    """

    grey: Grey
    mask: Mask
    boxes: NDArray[np.int64]
    empty: Mask


def find_ink(cuts: Cuts, page_ink: float, printed: Grey | None = None) -> Inks:
    """The handwriting in cells, without lines, specks and strokes of neighbours.

    ``page_ink`` is `usual_ink` of the page, in levels; ``printed`` uint8 (height, width) is the
    print in each cell besides its box, in levels of darkness (see `inkmill.forms.cut.guides`).
    """
    if kernels.enabled():
        return _found_by_kernels(cuts, page_ink, printed)
    dark = cuts.dark if printed is None else _without_print(cuts.dark, printed)
    raw, lines = dark > ink_limits(cuts, dark, page_ink)[:, None, None], None
    if cuts.lined:
        raw, lines = without_lines(raw, cuts.box)
    parts = find_components(raw.view(np.uint8), cuts.box)
    kept = _own_parts(parts, cuts)
    areas = np.bincount(parts.cell[kept], parts.area[kept], len(cuts)).astype(np.int64)
    longest = parts.most(np.maximum(parts.width, parts.height), kept)
    empty = _empty(parts, kept, areas, longest, cuts)
    kept &= ~empty[parts.cell]
    drawn = parts.drawn(kept)
    about, mask = thickened(drawn, 5), drawn > 0
    if lines is not None:
        # The rest of a line beside a stroke that crosses it must not come back.
        np.copyto(about, 0, where=lines & ~mask)
    return Inks(np.invert(dark & about), mask, parts.boxes(kept), empty)


def ink_limits(cuts: Cuts, dark: Grey, page_ink: float) -> Grey:
    """The levels of darkness above which pixels of each cell are ink, uint8 (n,).

    ``dark`` are the cells, perhaps without print; in one without writing nothing is above it.
    """
    own = darkest(np.ascontiguousarray(dark[cuts.within(0.15)]))
    return _limits(own, page_ink)


def _limits(own: NDArray[np.float64], page_ink: float) -> Grey:
    written = own >= max(_LEAST_PEAK * page_ink, _LEAST_INK)
    level = np.maximum(_OWN_INK * own, max(_PAGE_INK * page_ink, _LEAST_INK))
    return np.where(written, np.minimum(level, 255), 255).astype(np.uint8)


def _without_print(dark: Grey, printed: Grey) -> Grey:
    """Darkness, where the print does not explain it."""
    return np.where(dark > _print_limit(printed), dark, 0).astype(np.uint8)


def _print_limit(printed: Grey) -> Grey:
    """The darkness up to which print explains a pixel."""
    limit = _PRINT_GAIN * printed.astype(np.float32) + _PRINT_OFFSET
    return np.where(printed == 0, 0, np.minimum(limit, 255)).astype(np.uint8)


def darkest(inside: Grey) -> NDArray[np.float64]:
    """The darkest place of each picture, uint8 (n, height, width), after smoothing."""
    count, height, width = inside.shape
    if not inside.size:
        return np.zeros(count)
    # Each is smoothed as if alone: its rows are mirrored, as OpenCV does at edges.
    rows = np.concatenate([[min(1, height - 1)], np.arange(height), [max(0, height - 2)]])
    smooth = cv2.blur(inside[:, rows].reshape(-1, width), (3, 3)).reshape(count, -1, width)
    return np.asarray(smooth[:, 1:-1].max(axis=1).max(axis=1), np.float64)


def _own_parts(parts: Components, cuts: Cuts) -> Mask:
    """The components that belong to their cells and are not specks."""
    longest = np.maximum(parts.width, parts.height)
    narrowest = np.minimum(parts.width, parts.height)
    small = 0.02 * cuts.size[1]
    keep = (parts.inside >= _INSIDE * parts.area) & (longest > 2 * small)
    keep &= parts.area > 4 * small * small
    keep &= ~(_hugs_edge(parts, cuts) & (narrowest <= max(3.0, 3 * small)))
    keep &= ~_fills_corner(parts, cuts)
    keep[0] = False
    return np.asarray(keep, np.bool_)


def _hugs_edge(parts: Components, cuts: Cuts) -> Mask:
    """Components that lie entirely along one side of the box: remains of its line."""
    left, top, right, bottom = cuts.box
    across, down = (0.1 * side for side in cuts.size)
    return np.asarray(
        (parts.left + parts.width < left + across)
        | (parts.left > right - across)
        | (parts.top + parts.height < top + down)
        | (parts.top > bottom - down)
    )


def _fills_corner(parts: Components, cuts: Cuts) -> Mask:
    """Components that lie entirely in a corner of the box: remains of two lines that meet.

    In a coarse scan the lines' blurred edges add up there, beyond what is taken for a line.
    """
    if not cuts.lined:
        return np.zeros(len(parts), np.bool_)
    left, top, right, bottom = cuts.box
    across, down = (_CORNER * side for side in cuts.size)
    return np.asarray(
        ((parts.left + parts.width <= left + across) | (parts.left >= right - across))
        & ((parts.top + parts.height <= top + down) | (parts.top >= bottom - down))
    )


def _empty(
    parts: Components, kept: Mask, areas: NDArray[np.int64], longest: NDArray[np.int64], cuts: Cuts
) -> Mask:
    """Cells with too little ink, or too small pieces, for writing.

    ``areas`` is each cell's ink in pixels, ``longest`` the longest side of a piece of it.
    """
    width, height = cuts.size
    empty = areas < max(_LEAST_AREA * height * width, 1)
    for cell in np.flatnonzero(~empty & (longest < _LEAST_SIDE * height)):
        empty[cell] = _are_specks(kept[parts.labels[cell]].astype(np.uint8), cuts)
    return np.asarray(empty, np.bool_)


def _are_specks(mask: Grey, cuts: Cuts) -> bool:
    """Whether small pieces, uint8 (height, width), do not make a stroke together."""
    height = cuts.size[1]
    reach = 2 * round(_GAP * height / 2) + 1
    joined = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    sides = stats[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return not len(sides) or int(sides.max()) - reach + 1 < _LEAST_SIDE * height


def _found_by_kernels(cuts: Cuts, page_ink: float, printed: Grey | None) -> Inks:
    """What `find_ink` returns, by compiled kernels."""
    from inkmill.forms.kernels import inks, levels

    dark = cuts.dark.copy() if printed is None else np.empty_like(cuts.dark)
    if printed is not None:
        levels.drop_print(cuts.dark, _print_limit(printed), dark)
    _, rows, columns = cuts.within(0.15)
    own = levels.darkest_places(dark, rows.start, rows.stop, columns.start, columns.stop)
    mask, boxes = np.zeros(dark.shape, np.uint8), np.zeros((len(dark), 4), np.int64)
    empty, doubtful = np.zeros(len(dark), np.bool_), np.zeros(len(dark), np.bool_)
    width, height = cuts.size
    least = _LEAST_SIDE * height, max(_LEAST_AREA * height * width, 1.0)
    inks.find_inks(
        dark,
        _limits(own.astype(np.float64), page_ink),
        cuts.box,
        cuts.lined,
        line_windows(cuts.box, dark.shape[1:]),
        (LINE_COVER, _INSIDE, _CORNER, *least),
        mask,
        boxes,
        empty,
        doubtful,
    )
    for cell in np.flatnonzero(doubtful):
        if _are_specks(mask[cell], cuts):
            empty[cell], mask[cell], boxes[cell], dark[cell] = True, 0, 0, 255
    return Inks(dark, mask.view(np.bool_), boxes, empty)
