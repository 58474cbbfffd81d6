"""Cells cut from a page: straightened, rid of printed lines, specks and the neighbours' ink."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix

Grey = NDArray[np.uint8]
Box = tuple[float, float, float, float]

#: The longer side of a cut cell in pixels: the normaliser reduces it to 20, so more is waste;
#: the shortest it is enlarged to, so that lines can be told from strokes in 110 dpi scans.
_LONGEST, _SHORTEST = 76.0, 56.0
#: What is cut around a cell, as a part of its shorter side: strokes run over the lines.
_MARGIN = 0.22
#: Ink begins at this part of a cell's darkest ink, and at this part of the page's usual ink.
_OWN_INK, _PAGE_INK = 0.42, 0.25
#: A cell whose darkest place is fainter than this part of the page's usual ink holds none: a
#: watermark, a stain, print from the other side.
_LEAST_PEAK = 0.42
#: Levels of 255 below which nothing is ink, whatever the page.
_LEAST_INK = 18
#: A printed line covers at least this part of its side of the cell.
_LINE_COVER = 0.55
#: How far from its place a line is looked for, as a part of the cell's side.
_LINE_BAND = 0.09
#: A part belongs to the cell when so much of it lies inside.
_INSIDE = 0.5
#: A cell holds something when a part is this long, of the cell's height, and has so much of
#: the cell's area; parts nearer than the gap count as one, since faint strokes break.
_LEAST_SIDE, _LEAST_AREA, _GAP = 0.16, 0.004, 0.08
#: Ink over print is darker than the print by this factor and so many levels.
_PRINT_GAIN, _PRINT_OFFSET = 1.35, 12.0


@dataclass(frozen=True)
class Cut:
    """One cell as cut: ``grey`` uint8 with its margin, dark ink on white; ``dark`` how much
    darker than the cell's paper each pixel is; ``left``, ``top``, ``right``, ``bottom`` the
    printed box within it, in its pixels; ``lined`` whether that box is printed."""

    grey: Grey
    dark: Grey
    left: float
    top: float
    right: float
    bottom: float
    lined: bool = True


@dataclass(frozen=True)
class Ink:
    """What is written in a cell: ``grey`` uint8, ink on pure white; ``mask`` bool of the ink;
    ``strength`` its usual darkness in levels; ``empty`` whether there is nothing."""

    grey: Grey
    mask: NDArray[np.bool_]
    strength: float
    empty: bool


def cut_cell(
    grey: Grey, transform: Matrix, box: Box, scale: tuple[float, float], lined: bool = True
) -> Cut:
    """Straighten the cell ``box`` (template units) out of a page.

    ``transform`` maps template units to the page's pixels; ``scale`` is pixels of the cut for one
    template unit across and down, see `cutting_scale`.
    """
    x, y, w, h = box
    across, down = scale
    margin = _MARGIN * min(w * across, h * down)
    width, height = round(w * across + 2 * margin), round(h * down + 2 * margin)
    # Pixel centres of the cut to template units, then to the page.
    into = np.array(
        [
            [1 / across, 0, x - (margin - 0.5) / across],
            [0, 1 / down, y - (margin - 0.5) / down],
            [0, 0, 1],
        ]
    )
    straight = cv2.warpPerspective(
        grey,
        transform @ into,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    cut = np.asarray(straight, np.uint8)
    return Cut(
        cut,
        _darkness(cut),
        margin,
        margin,
        margin + w * across,
        margin + h * down,
        lined,
    )


def cutting_scale(transform: Matrix, box: Box) -> tuple[tuple[float, float], float]:
    """Pixels of a cut for one template unit across and down (a frame's units differ in length),
    and how many times finer the page is."""
    x, y, w, h = box
    points = np.array([[x, y, 1.0], [x + w, y, 1.0], [x, y + h, 1.0]]) @ transform.T
    origin, right, below = points[:, :2] / points[:, 2:]
    width, height = float(np.linalg.norm(right - origin)), float(np.linalg.norm(below - origin))
    longer = max(width, height, 1e-9)
    change = min(max(longer, _SHORTEST), _LONGEST) / longer
    across, down = max(width / w * change, 1e-9), max(height / h * change, 1e-9)
    return (across, down), 1.0 / change


def _darkness(grey: Grey) -> Grey:
    """How much darker than this cell's own paper each pixel is."""
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    # Handwriting and lines cover less than half of a cell, so the upper part is paper.
    paper = int(np.searchsorted(np.cumsum(counts), 0.7 * grey.size))
    return np.asarray(cv2.subtract(np.full_like(grey, paper), grey), np.uint8)


def usual_ink(cuts: list[Cut]) -> float:
    """How dark ink is on this page: the median over the cells that seem to hold some."""
    darkest = []
    for cut in cuts:
        inside = cut.dark[_inner(cut)]
        if inside.size:
            counts = cv2.calcHist([np.ascontiguousarray(inside)], [0], None, [256], [0, 256])
            darkest.append(int(np.searchsorted(np.cumsum(counts.ravel()), 0.97 * inside.size)))
    strong = sorted(darkest)[len(darkest) // 2 :]
    return float(np.median(strong)) if strong else 0.0


def _inner(cut: Cut) -> tuple[slice, slice]:
    across, down = 0.15 * (cut.right - cut.left), 0.15 * (cut.bottom - cut.top)
    return (
        slice(round(cut.top + down), round(cut.bottom - down)),
        slice(round(cut.left + across), round(cut.right - across)),
    )


def find_ink(cut: Cut, page_ink: float, printed: Grey | None = None) -> Ink:
    """The handwriting of a cell, without lines, specks and what reaches in from neighbours.

    ``page_ink`` is `usual_ink` of the page, in levels; ``printed`` what print there is in the
    cell besides its box, in levels of darkness (see `inkmill.forms.guides`).
    """
    dark = cut.dark
    if printed is not None:
        dark = _without_print(dark, printed)
    inside = dark[_inner(cut)]
    own = float(cv2.minMaxLoc(cv2.blur(inside, (3, 3)))[1]) if inside.size else 0.0
    nothing = Ink(np.full_like(cut.grey, 255), np.zeros(dark.shape, np.bool_), 0.0, True)
    if own < max(_LEAST_PEAK * page_ink, _LEAST_INK):
        return nothing
    level = max(_OWN_INK * own, _PAGE_INK * page_ink, _LEAST_INK)
    raw = np.asarray(dark > level)
    lines = _line_mask(raw, cut) if cut.lined else None
    mask, longest = _own_parts(raw if lines is None else _without_lines(raw, lines), cut)
    if not _holds_something(mask, longest, cut):
        return nothing
    about = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if lines is not None:
        # What is left of a line beside a stroke that crosses it must not come back.
        about &= mask | (lines == 0)
    clean = np.where(about, 255 - dark, 255).astype(np.uint8)
    return Ink(clean, mask, float(dark[mask].mean()), False)


def _without_print(dark: Grey, printed: Grey) -> Grey:
    """Darkness where it is more than the print there explains."""
    limit = _PRINT_GAIN * printed.astype(np.float32) + _PRINT_OFFSET
    return np.where((dark > limit) | (printed == 0), dark, 0).astype(np.uint8)


def _holds_something(mask: NDArray[np.bool_], longest: int, cut: Cut) -> bool:
    """Whether there is enough ink, in one piece or nearly, for it to be writing.

    ``longest`` is the longest side of one piece, in pixels.
    """
    height, width = cut.bottom - cut.top, cut.right - cut.left
    if np.count_nonzero(mask) < _LEAST_AREA * height * width:
        return False
    if longest >= _LEAST_SIDE * height:
        return True
    reach = 2 * round(_GAP * height / 2) + 1
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    sides = stats[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return bool(len(sides) and int(sides.max()) - reach + 1 >= _LEAST_SIDE * height)


def _line_mask(mask: NDArray[np.bool_], cut: Cut) -> NDArray[np.uint8]:
    """Columns and rows of the printed box: 1 across upright lines, 2 along level ones."""
    found = np.zeros(mask.shape, np.uint8)
    rows = slice(round(cut.top), round(cut.bottom))
    columns = slice(round(cut.left), round(cut.right))
    ink = mask.view(np.uint8)
    upright = cv2.reduce(ink[rows], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    level = cv2.reduce(ink[:, columns], 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    upright = upright >= _LINE_COVER * (rows.stop - rows.start)
    level = level >= _LINE_COVER * (columns.stop - columns.start)
    for place, size, hits, number in (
        (cut.left, cut.right - cut.left, upright, 1),
        (cut.right, cut.right - cut.left, upright, 1),
        (cut.top, cut.bottom - cut.top, level, 2),
        (cut.bottom, cut.bottom - cut.top, level, 2),
    ):
        band = _band(place, size, hits)
        if band is not None:
            if number == 1:
                found[:, band] |= 1
            else:
                found[band, :] |= 2
    return found


def _band(place: float, size: float, hits: NDArray[np.bool_]) -> slice | None:
    """Where the line about ``place`` lies, a pixel more on either side."""
    reach = max(2.0, _LINE_BAND * size)
    first, last = max(0, round(place - reach)), min(len(hits), round(place + reach) + 1)
    found = np.flatnonzero(hits[first:last])
    if not len(found):
        return None
    return slice(max(0, first + int(found[0]) - 1), min(len(hits), first + int(found[-1]) + 2))


def _without_lines(mask: NDArray[np.bool_], lines: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Line pixels taken out, except where a stroke goes on at both sides of the line."""
    if not lines.any():
        return mask
    left = np.asarray(mask & (lines == 0))
    kept = left.copy()
    for number, axis in ((1, 1), (2, 0)):
        band = np.asarray((lines & number) > 0)
        if band.any():
            kept |= mask & band & _bridged(left, band, axis)
    return np.asarray(kept)


def _bridged(ink: NDArray[np.bool_], band: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Pixels of a band that have ink at both its sides, within a pixel along the line."""
    bridged = np.zeros_like(ink)
    across = np.asarray(band.any(axis=1 - axis))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], across.view(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start == 0 or stop == len(across):
            continue
        before, after = np.take(ink, start - 1, axis), np.take(ink, stop, axis)
        both = _widened(before) & _widened(after)
        if axis == 1:
            bridged[:, start:stop] = both[:, None]
        else:
            bridged[start:stop, :] = both[None, :]
    return bridged


def _widened(row: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = row.copy()
    wide[1:] |= row[:-1]
    wide[:-1] |= row[1:]
    return wide


def _own_parts(mask: NDArray[np.bool_], cut: Cut) -> tuple[NDArray[np.bool_], int]:
    """The parts that belong to this cell and are no specks; the longest side of one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    inner = labels[round(cut.top) : round(cut.bottom), round(cut.left) : round(cut.right)]
    inside = np.bincount(inner.ravel(), minlength=count)
    areas = stats[:, cv2.CC_STAT_AREA]
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    longest, narrowest = sides.max(axis=1), sides.min(axis=1)
    small = 0.02 * (cut.bottom - cut.top)
    keep = (inside >= _INSIDE * areas) & (longest > 2 * small) & (areas > 4 * small * small)
    keep &= ~(_hugs_edge(stats, cut) & (narrowest <= max(3.0, 3 * small)))
    keep[0] = False
    if not keep.any():
        return np.zeros_like(mask), 0
    return np.asarray(keep[labels]), int(longest[keep].max())


def _hugs_edge(stats: NDArray[np.int32], cut: Cut) -> NDArray[np.bool_]:
    """Parts that lie wholly along one side of the box: what is left of its line."""
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right = left + stats[:, cv2.CC_STAT_WIDTH]
    bottom = top + stats[:, cv2.CC_STAT_HEIGHT]
    across, down = 0.1 * (cut.right - cut.left), 0.1 * (cut.bottom - cut.top)
    return np.asarray(
        (right < cut.left + across)
        | (left > cut.right - across)
        | (bottom < cut.top + down)
        | (top > cut.bottom - down)
    )
