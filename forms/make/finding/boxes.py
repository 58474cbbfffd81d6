"""The boxes of a form on one upright page, be it blank or filled in.

Candidates are the areas between four printed lines (`lines`). Those with print inside are headings
(`contents`). Boxes of one size that stand side by side are a row; where a row lacks a box whose
lines are there, it is added. What is left over are wide boxes, for text, and small squares to tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.make.finding.contents import contents
from inkmill.forms.make.finding.lines import Box, Lines, enclosed
from inkmill.forms.make.finding.rows import (
    SIZE_OFF,
    Candidate,
    alone_is_box,
    completed,
    distinct,
    hidden_boxes,
    is_in,
    is_printed,
    missing_boxes,
    one_size,
    rows_of,
    to_fill_in,
)

Grey = NDArray[np.uint8]

#: A box's sides are between these parts of the page's width (2 to 26 mm of A4) ...
_LEAST, _LARGEST = 0.0095, 0.125
#: ... and the ratio of width to height is between these; wider ones are for text ...
_ASPECT = (0.35, 2.2)
#: ... and between these parts of the page's width high (4 to 30 mm).
_WIDE_HEIGHT = (0.019, 0.145)
#: Least share of its rectangle that an area between lines must cover to be a box.
_FILL = 0.5
#: A box in a box covers at least this part of it: guides do. A smaller one is a box to tick.
_GUIDES = 0.3
#: Boxes to tick are at the same place in the cells of a table, up to this part of a cell.
_SAME_PLACE = 0.06
#: A box whose lines are nearer to the picture's edge than this part of its shorter side may be cut
#: off.
_EDGE = 0.002


@dataclass(frozen=True)
class BoxRow:
    """A row of boxes.

    ``boxes`` float64 (n, 4): left, top, width, height in the page's pixels, measured to the middle
    of the printed lines. ``text`` says that it is a single wide box, for words or an amount;
    ``tick`` that these are boxes to tick.
    """

    boxes: NDArray[np.float64]
    text: bool = False
    tick: bool = False

    @property
    def count(self) -> int:
        return len(self.boxes)

    @property
    def small_square(self) -> bool:
        """Whether it is a single square box, like a checkbox."""
        _, _, width, height = self.boxes[0]
        return self.count == 1 and not self.text and bool(0.75 < width / height < 1.33)


def find_rows(page: Grey) -> list[BoxRow]:
    """Rows of boxes on an upright page, uint8 (height, width), from top to bottom.

    The page may be blank or filled in.
    """
    overview = Overview.of(page, longest=max(page.shape))
    lines, solid = Lines.of(page, overview), overview.solid()
    side = lines.side
    areas = [box for box in enclosed(lines, _LEAST * side, _FILL) if is_printed(box, lines)]
    cells = [box for box in areas if _is_cell(box, side) and _fits_with_alike(box, areas)]
    cells = _without_guides([*cells, *hidden_boxes(cells, lines)])
    rows = rows_of([Candidate(box, contents(solid, box)) for box in cells])
    rows = [row for row in to_fill_in(rows, side) if alone_is_box(row, lines)]
    known = [each.box for row in rows for each in row]
    missing = missing_boxes(known, [box for box in cells if box not in known], lines)
    rows = rows_of([Candidate(box, contents(solid, box)) for box in (*known, *missing)])
    whole = [completed([each.box for each in row], lines) for row in rows]
    kept = [BoxRow(np.array(row)) for row in distinct(whole)]
    kept += [BoxRow(np.array([box]), True) for box in _text_boxes(areas, kept, solid, side)]
    return _in_order(kept)


def _is_cell(box: Box, side: int) -> bool:
    _, _, width, height = box
    return max(width, height) < _LARGEST * side and _ASPECT[0] < width / height < _ASPECT[1]


def _fits_with_alike(box: Box, areas: Sequence[Box]) -> bool:
    """Whether most areas of a box's size are no wider than a box: else it is one of a table's."""
    alike = [area[2] / area[3] for area in areas if one_size(area, box)]
    return float(np.median(alike)) < _ASPECT[1]


def _without_guides(boxes: list[Box]) -> list[Box]:
    """Drop the smaller or the larger of two boxes of which one is within the other.

    Guides and loops of figures within a box are not boxes; a cell of a table around a box to tick
    is not one. Figures drawn along guides have loops at the same place of each box, too, but most
    boxes of a form are empty.
    """
    ordered = sorted(boxes, key=lambda box: -box[2] * box[3])
    inner = {
        number: within
        for number, outer in enumerate(ordered)
        if (within := [k for k, box in enumerate(ordered) if k > number and is_in(box, outer)])
    }
    alone = {
        number: _relative(ordered[within[0]], ordered[number])
        for number, within in inner.items()
        if len(within) == 1
        and ordered[within[0]][2] * ordered[within[0]][3]
        < _GUIDES * ordered[number][2] * ordered[number][3]
    }
    dropped: set[int] = set()
    for number, within in inner.items():
        again = number in alone and any(
            other != number and np.abs(place - alone[number]).max() < _SAME_PLACE
            for other, place in alone.items()
        )
        beside = any(_beside(ordered[number], box) for box in boxes)
        alike = [k for k, box in enumerate(ordered) if one_size(box, ordered[number])]
        empty = sum(k not in inner for k in alike)
        around = (again or (number in alone and not beside)) and 2 * empty <= len(alike)
        dropped |= {number} if around else set(within)
    return [box for number, box in enumerate(ordered) if number not in dropped]


def _relative(inner: Box, outer: Box) -> NDArray[np.float64]:
    """Where a box is within another one, in parts of its width and height: (4,)."""
    scale = np.array([outer[2], outer[3]])
    low = (np.array(inner[:2]) - outer[:2]) / scale
    return np.hstack([low, np.array(inner[2:]) / scale])


def _beside(one: Box, other: Box) -> bool:
    """Whether two boxes of one size share a side."""
    steps = abs(one[0] - other[0]) / one[2], abs(one[1] - other[1]) / one[3]
    sizes = abs(one[2] - other[2]) / one[2], abs(one[3] - other[3]) / one[3]
    return max(sizes) < SIZE_OFF and min(steps) < 0.1 and 0.8 < max(steps) < 1.2


# --- boxes for text ------------------------------------------------------------------------------


def _text_boxes(
    areas: Sequence[Box], rows: Sequence[BoxRow], solid: Grey, side: int
) -> Iterator[Box]:
    """Wide boxes without print and without other boxes in them."""
    low, high = (part * side for part in _WIDE_HEIGHT)
    inner = [box for row in rows for box in row.boxes.tolist()]
    for area in areas:
        if not (low < area[3] < high and area[2] > _ASPECT[1] * area[3]):
            continue
        if any(is_in(box, area) for box in inner):
            continue
        inside = contents(solid, area)
        if inside.empty:
            yield area


def _in_order(rows: list[BoxRow]) -> list[BoxRow]:
    """From top to bottom, those at one height from left to right."""
    height = float(np.median([row.boxes[0][3] for row in rows])) if rows else 1.0

    def place(row: BoxRow) -> tuple[int, float]:
        left, top, _, own = row.boxes[0]
        return round((top + own / 2) / (0.7 * height)), left

    return sorted(rows, key=place)


def whole_boxes(rows: Sequence[BoxRow], page: Grey) -> tuple[list[BoxRow], NDArray[np.float64]]:
    """The rows without the boxes that the picture's edge cuts off, and those, float64 (n, 4)."""
    height, width = page.shape
    edge = _EDGE * min(height, width)
    kept, cut = [], [np.empty((0, 4))]
    for row in rows:
        left, top, across, down = row.boxes.T
        whole = (
            (np.minimum(left, top) >= edge)
            & (left + across <= width - 1 - edge)
            & (top + down <= height - 1 - edge)
        )
        cut.append(row.boxes[~whole])
        if whole.any():
            kept.append(replace(row, boxes=row.boxes[whole]))
    return kept, np.vstack(cut)
