"""Numbers without cells, cut from a page: straightened, without the box's lines and other ink.

As for cells, what is not the number goes before it is read: the lines of its box, strokes of its
neighbours, remains of lines. Unlike there, what is left stays in its paper (`normalise_strip`), and
limits are parts of the box's height, since its width says nothing about the digits' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.boxlines import without_lines
from inkmill.forms.cut.cells import (
    Box,
    Cuts,
    cut_cells,
    reduced,
    usual_ink,
)
from inkmill.forms.cut.components import Components, find_components
from inkmill.forms.cut.crossing import crossed_out
from inkmill.forms.cut.inks import darkest, ink_limits
from inkmill.forms.cut.strip import normalise_strip
from inkmill.forms.geometry import Matrix

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: A box's height in pixels when it is cut, at least and at most, and its greatest width.
SHORTEST, _HIGHEST, _WIDEST = 64.0, 120.0, 2000.0
#: A page with this many times the pixels its boxes need is reduced before they are cut.
_TOO_FINE = 2.0
#: Lines of the box are searched for this far from their place. All parts are of the box's height.
_LINE_REACH = 0.09
#: A part belongs to the number if at least this share of it lies inside the box.
_INSIDE = 0.5
#: Of another part, what is so high inside the box may be a digit of the number all the same.
_DIGIT = 0.35
#: Parts all within this distance from the box's edge, and no thicker than that, are remains of its
#: lines.
_EDGE, _THIN = 0.1, 0.07
#: A box is not empty if parts nearer than the gap to each other are together this long, and all
#: have this area (a part of the height's square).
_LEAST_SIDE, _LEAST_AREA, _GAP = 0.16, 0.006, 0.08
#: A stroke this many times as long as the box is high, and at least so wide a part of it, is a line
#: through the writing.
_LINE, _LINE_WIDTH = 1.2, 0.5
#: Parts with this share of the tallest one's height stand in the line of writing; so much of the
#: ink may lie outside it, farther than the reach (a part of its height).
_TALL, _OUTSIDE, _REACH = 0.4, 0.1, 0.15
#: Two parts are one above the other if they share this much of the narrower one's width and both
#: have this share of the tallest one's height: more than pieces of a broken digit do.
_SHARED, _STACKED = 0.5, 0.4
#: What is taken away is painted with the paper around it, up to this distance.
_AROUND = 0.3


@dataclass(frozen=True)
class Strip:
    """A number without cells.

    ``picture`` uint8 (`inkmill.forms.cut.strip.HEIGHT`, width) is its ink for the reader, white on
    black, None where nothing is written; ``grey`` uint8 (height, width) is the same before it was
    normalised, dark on white; ``crossed`` says that an X fills the box from corner to corner;
    ``crowded`` that not all ink need be the number's: there is more than one line of writing, as
    where a number was struck out and written anew above, or something as high as a digit lies for
    the most part outside the box.
    """

    picture: Grey | None
    grey: Grey
    crossed: bool = False
    crowded: bool = False


def cut_strips(
    grey: Grey,
    transform: Matrix,
    boxes: Sequence[tuple[Box, bool]],
    page_ink: float | None = None,
) -> list[Strip]:
    """Cut numbers without cells from a page, one from each box.

    ``grey`` is the page, uint8 (height, width); ``transform`` maps template units to its pixels;
    ``boxes`` are (left, top, width, height) in template units, and whether its lines are printed.
    ``page_ink`` is how dark the ink in the page's cells is, in levels; None if it has none.
    """
    if not boxes:
        return []
    fineness = min(strip_size(transform, box)[1] for box, _ in boxes)
    if fineness >= _TOO_FINE:
        grey, transform = reduced(grey, transform, int(fineness))
    cuts = [
        cut_cells(grey, transform, [box], strip_size(transform, box)[0], lined)
        for box, lined in boxes
    ]
    if page_ink is None:
        page_ink = usual_ink(cuts, darkest)
    return [_strip(each, page_ink) for each in cuts]


def strip_size(transform: Matrix, box: Box) -> tuple[tuple[int, int], float]:
    """Width and height in pixels of a box's cut, and how many times finer the page is."""
    x, y, w, h = box
    points = np.array([[x, y, 1.0], [x + w, y, 1.0], [x, y + h, 1.0]]) @ transform.T
    origin, right, below = points[:, :2] / points[:, 2:]
    width, height = float(np.linalg.norm(right - origin)), float(np.linalg.norm(below - origin))
    height = max(height, 1e-9)
    change = min(max(height, SHORTEST), _HIGHEST) / height
    change = min(change, _WIDEST / max(width, 1.0))
    return (max(1, round(width * change)), max(1, round(height * change))), 1.0 / change


def _strip(cut: Cuts, page_ink: float) -> Strip:
    height = cut.size[1]
    raw = cut.dark > ink_limits(cut, cut.dark, page_ink)[:, None, None]
    kept, lines = raw, np.zeros_like(raw)
    if cut.lined:
        kept, lines = without_lines(raw, cut.box, _LINE_REACH * height)
    parts = find_components(kept.view(np.uint8), cut.box)
    own = _own(parts, cut)
    foreign = ~own
    foreign[0] = False
    # A dot may be a decimal point, and a speck does no harm.
    foreign &= (parts.inside < _INSIDE * parts.area) | _remains(parts, cut)
    shared = _shared(parts, foreign, cut)
    taken = ((parts.drawn(foreign)[0] > 0) & ~shared) | (lines[0] & ~kept[0])
    mask = parts.drawn(own) > 0
    grey = np.invert(_painted(cut.dark[0], taken, mask[0] | shared, round(_AROUND * height)))
    if not shared.any() and _is_empty(parts, own, height):
        return Strip(None, grey)
    crossed = crossed_out(mask, parts.boxes(own), cut.size)
    crowded = bool(shared.any()) or _is_crowded(mask[0], height)
    return Strip(normalise_strip(grey), grey, bool(crossed[0]), crowded)


def _shared(parts: Components, foreign: Mask, cut: Cuts) -> Mask:
    """What may be a digit though most of its part lies outside, bool (height, width).

    A digit that meets a rule, a stamp or a neighbour's stroke is one part with it. Without it, a
    shorter number would be read, and surely. A line across the box is none.
    """
    left, top, right, bottom = cut.box
    height = cut.size[1]
    shared = np.zeros(cut.dark.shape[1:], np.bool_)
    tall = foreign & (parts.inside > 0) & (parts.height >= _DIGIT * height)
    if tall.any():
        inner = parts.drawn(tall)[0, top:bottom, left:right]
        _, labels, stats, _ = cv2.connectedComponentsWithStats(inner, connectivity=8)
        across, down = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
        line = (across <= _EDGE * height) & (down >= (1 - _EDGE) * height)
        digit = (down >= _DIGIT * height) & ~line
        digit[0] = False
        shared[top:bottom, left:right] = digit[labels]
    return shared


def _own(parts: Components, cut: Cuts) -> Mask:
    """The parts that belong to the number; specks are none."""
    own = (parts.inside >= _INSIDE * parts.area) & ~_remains(parts, cut)
    own &= np.maximum(parts.width, parts.height) > 0.04 * cut.size[1]
    own[0] = False
    return np.asarray(own, np.bool_)


def _remains(parts: Components, cut: Cuts) -> Mask:
    """Parts no thicker than a line that lie all along one side of the box, or run through it."""
    left, top, right, bottom = cut.box
    edge = _EDGE * cut.size[1]
    beside = (parts.left + parts.width < left + edge) | (parts.left > right - edge)
    beside &= parts.width <= max(3.0, _THIN * cut.size[1])
    above = (parts.top + parts.height < top + edge) | (parts.top > bottom - edge)
    above &= parts.height <= max(3.0, _THIN * cut.size[1])
    # What is as short as it is thick is a point, if it stands within the box.
    long = np.maximum(parts.width, parts.height) > 3 * np.minimum(parts.width, parts.height)
    through = (parts.top == 0) & (parts.height == cut.dark.shape[1])
    through &= parts.width <= edge
    return np.asarray(((beside | above) & long) | through, np.bool_)


def _is_empty(parts: Components, own: Mask, height: int) -> bool:
    """Whether there is too little ink, or too small pieces, for a number."""
    if parts.area[own].sum() < _LEAST_AREA * height * height:
        return True
    if np.maximum(parts.width, parts.height)[own].max() >= _LEAST_SIDE * height:
        return False
    reach = 2 * round(_GAP * height / 2) + 1
    joined = cv2.dilate(parts.drawn(own)[0], np.ones((reach, reach), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return int(sides.max()) - reach + 1 < _LEAST_SIDE * height


def _is_crowded(mask: Mask, height: int) -> bool:
    """Whether ink, bool (height, width), is more than one line of writing.

    A line through or under it does not count.
    """
    ink = mask.view(np.uint8)
    long = max(round(_LINE * height), round(_LINE_WIDTH * mask.shape[1]))
    if long <= mask.shape[1]:
        thick = cv2.dilate(ink, np.ones((3, 1), np.uint8))
        ink = ink & ~cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, long), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(ink, np.uint8))
    left, top, width, tall, area = stats[1:].T
    if count < 3:
        return False
    upright = tall >= _TALL * tall.max()
    first, last = int(top[upright].min()), int((top + tall)[upright].max())
    reach = round(_REACH * (last - first))
    rows = np.count_nonzero(labels > 0, axis=1)
    outside = int(rows[: max(0, first - reach)].sum() + rows[last + reach :].sum())
    if outside > _OUTSIDE * area.sum():
        return True
    written = np.flatnonzero(tall >= _STACKED * tall.max())
    for place, one in enumerate(written):
        for other in written[place + 1 :]:
            shared = min(left[one] + width[one], left[other] + width[other])
            shared -= max(left[one], left[other])
            apart = max(top[one], top[other]) - min(top[one] + tall[one], top[other] + tall[other])
            if shared >= _SHARED * min(width[one], width[other]) and apart > 0:
                return True
    return False


def _painted(dark: Grey, taken: Mask, ink: Mask, reach: int) -> Grey:
    """Darkness, with the paper's in the places that are taken away: the mean of what is near.

    Their soft edges go as well, but none of the number's ``ink``.
    """
    if not taken.any():
        return dark
    wide = cv2.dilate(taken.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    wide &= ~ink
    side = 2 * max(1, reach) + 1
    left = (~wide).astype(np.float32)
    # Ink near by is no paper: its darkness counts up to that of most of the strip.
    level = np.minimum(dark, np.uint8(np.percentile(dark, 75)))
    around = cv2.blur(level * left, (side, side)) / np.maximum(cv2.blur(left, (side, side)), 1e-3)
    return np.where(wide, around, dark).astype(np.uint8)
