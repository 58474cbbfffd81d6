"""The printed lines of the cells' boxes: found and removed from the ink."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]

#: A printed line covers at least this part of its side of the cell.
LINE_COVER = 0.55
#: How far from its place a line is searched for, as a part of the cell's side.
_LINE_BAND = 0.09


@dataclass(frozen=True)
class _Band:
    """The lines along one side of all cells.

    ``first`` is where the searched window begins; ``inside`` bool (n, window) says which of its
    columns (or rows) the line covers.
    """

    first: int
    inside: Mask


def without_lines(raw: Mask, box: Rectangle, reach: float | None = None) -> tuple[Mask, Mask]:
    """Remove the lines of the boxes from the ink, except where a stroke crosses them.

    ``raw`` is bool (n, height, width), the dark pixels in cells of one size; ``box`` (left, top,
    right, bottom) is their printed box. Returns the remaining ink and the lines, both bool
    (n, height, width); the lines are a pixel wider than found. ``reach`` is how far from its place
    a line is searched for, in pixels, instead of a part of the box's sides.
    """
    left, top, right, bottom = box
    ink = raw.view(np.uint8)
    count, height, width = ink.shape
    upright = np.add.reduce(ink[:, top:bottom], axis=1, dtype=np.uint16)
    sheet = ink.reshape(count * height, width)[:, left:right]
    level = cv2.reduce(sheet, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).reshape(count, height)
    upright_hits = upright >= LINE_COVER * (bottom - top)
    level_hits = level >= LINE_COVER * (right - left)
    beside, above = (reach or _LINE_BAND * side for side in (right - left, bottom - top))
    across = [_band(place, beside, upright_hits) for place in (left, right)]
    down = [_band(place, above, level_hits) for place in (top, bottom)]
    lines = np.zeros_like(raw)
    for band in across:
        lines[:, :, band.first : band.first + band.inside.shape[1]] |= band.inside[:, None]
    for band in down:
        lines[:, band.first : band.first + band.inside.shape[1]] |= band.inside[:, :, None]
    rest = raw & ~lines
    kept = rest.copy()
    for band in across:
        _bridge(kept.swapaxes(1, 2), rest.swapaxes(1, 2), raw.swapaxes(1, 2), band)
    for band in down:
        _bridge(kept, rest, raw, band)
    return kept, lines


def line_windows(box: Rectangle, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where the lines of a box are searched for, int (4, 2): columns of the left and the right one,
    rows of the top and the bottom one, in cells of this ``shape`` (height, width)."""
    left, top, right, bottom = box
    beside, above = (_LINE_BAND * side for side in (right - left, bottom - top))
    across = [_window(place, beside, shape[1]) for place in (left, right)]
    down = [_window(place, above, shape[0]) for place in (top, bottom)]
    return np.array(across + down, np.int64)


def _window(place: int, reach: float, extent: int) -> tuple[int, int]:
    reach = max(2.0, reach)
    return max(0, round(place - reach)), min(extent, round(place + reach) + 1)


def _band(place: int, reach: float, hits: Mask) -> _Band:
    """The lines near ``place``, with a pixel more on either side; ``hits`` bool (n, extent)."""
    extent = hits.shape[1]
    first, last = _window(place, reach, extent)
    window = hits[:, first:last]
    begin, end = max(0, first - 1), min(extent, last + 1)
    places = np.arange(begin, end)
    lowest = first + window.argmax(axis=1) - 1
    highest = last - window[:, ::-1].argmax(axis=1)
    inside = (places >= lowest[:, None]) & (places <= highest[:, None])
    return _Band(begin, inside & np.asarray(window.any(axis=1))[:, None])


def _bridge(kept: Mask, rest: Mask, raw: Mask, band: _Band) -> None:
    """Restore in ``kept`` the pixels of horizontal lines that a stroke crosses.

    That is, where there is ink on both sides of the line, within a pixel along it. All arrays are
    (n, height, width), transposed for vertical lines.
    """
    size = band.inside.shape[1]
    start = band.first + band.inside.argmax(axis=1)
    stop = band.first + size - band.inside[:, ::-1].argmax(axis=1)
    free = (start > 0) & (stop < kept.shape[1])
    cells = np.arange(len(kept))
    before, after = rest[cells, start - 1], rest[cells, np.minimum(stop, kept.shape[1] - 1)]
    both = _widened(before) & _widened(after) & free[:, None]
    window = slice(band.first, band.first + size)
    kept[:, window] |= raw[:, window] & (both[:, None] & band.inside[:, :, None])


def _widened(rows: Mask) -> Mask:
    wide = rows.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide
