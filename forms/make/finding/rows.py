"""Boxes of one size side by side are a row, which becomes a field of the template.

Rows of print are left out; where a row lacks a box whose lines are there, it is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.make.finding.contents import Contents, repeated
from inkmill.forms.make.finding.lines import Box, Lines

#: Boxes of a row differ in size, and in height on the page, by at most these parts of the size.
SIZE_OFF, _LEVEL_OFF = 0.18, 0.25
#: Largest gap between two boxes of a row, as a part of their width.
_GAP = 0.75
#: A step between boxes that differs by this much from the one before begins another field.
_PITCH_OFF = 0.2
#: How much of each side must be a straight line, and of all four: loops of figures are not boxes.
_SIDE_SEEN, _SIDES_SEEN = 0.7, 0.85
#: Where fewer of the boxes of one size have ink, nobody wrote in them: ink in a short row is print.
_FILLED_IN = 0.25
_SHORT_ROW = 5
#: Ink in a single box smaller than this part of the page's width is a tick, not a heading.
_TICK = 0.033
#: If a larger part of the boxes had print of one height in them, it is what was filled in.
_FEW_HEADINGS = 0.35
#: Fewer boxes of a size are no rows and columns.
_LEAST_ALIKE = 3


@dataclass(frozen=True)
class Candidate:
    box: Box
    contents: Contents


def is_in(inner: Box, outer: Box) -> bool:
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return outer[0] < x < outer[0] + outer[2] and outer[1] < y < outer[1] + outer[3]


# --- rows ----------------------------------------------------------------------------------------


def rows_of(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Rows of boxes of one size, side by side at an even step."""
    rows: list[list[Candidate]] = []
    for each in sorted(candidates, key=lambda each: each.box[:2]):
        fitting = [row for row in rows if _continues([one.box for one in row[-2:]], each.box)]
        if fitting:
            # The nearest row: a grid has others above and below.
            min(fitting, key=lambda row: abs(row[-1].box[1] - each.box[1])).append(each)
        else:
            rows.append([each])
    return rows


def _continues(row: Sequence[Box], box: Box) -> bool:
    left, top, width, height = row[-1]
    step = box[0] - left
    if not one_size(box, row[-1]) or abs(box[1] - top) > _LEVEL_OFF * height:
        return False
    if not 0.8 * width < step < (1 + _GAP) * width:
        return False
    return len(row) < 2 or abs(step - (left - row[-2][0])) < _PITCH_OFF * width


def to_fill_in(rows: list[list[Candidate]], side: int) -> Iterator[list[Candidate]]:
    """The rows without those that hold print."""
    printed = _printed(rows)
    left = [
        [each for each in row if each.box not in printed or _between_others(each, row, printed)]
        for row in rows
    ]
    everything = [each for row in left for each in row]
    for row in left:
        if not row:
            continue
        tick = len(row) == 1 and row[0].box[2] < _TICK * side and row[0].box[3] < _TICK * side
        heading = len(row) < _SHORT_ROW and not any(each.contents.empty for each in row)
        alike = [each for each in everything if one_size(each.box, row[0].box)]
        # Of few boxes of a size, it is the page's others that say whether it was filled in.
        judged = alike if len(alike) >= _SHORT_ROW else everything
        inked = sum(not each.contents.empty for each in judged)
        if tick or not (heading and inked < _FILLED_IN * len(judged)):
            yield row


def one_size(one: Box, other: Box) -> bool:
    return all(abs(one[k] - other[k]) < SIZE_OFF * other[k] for k in (2, 3))


def _between_others(each: Candidate, row: Sequence[Candidate], printed: set[Box]) -> bool:
    """Whether a row's other boxes are to be filled in: then this one is, too, or it has a hint."""
    others = [one for one in row if one is not each]
    return sum(one.box not in printed for one in others) > len(others) / 2


def _printed(rows: list[list[Candidate]]) -> set[Box]:
    """The boxes with print in them."""
    found: set[Box] = set()
    everything = [each for row in rows for each in row]
    for each in everything:
        inside = each.contents
        if inside.line and inside.bottom - inside.top < 0.5 and inside.glyphs > 1:
            found.add(each.box)
    again = {
        each.box
        for group in (*rows, *_columns(everything))
        if repeated([each.contents for each in group])
        for each in group
        if not each.contents.empty
    }
    # A form whose boxes are nearly all headings is one that a machine filled in.
    return found | again if len(again) < _FEW_HEADINGS * len(everything) else found


def _columns(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    columns: list[list[Candidate]] = []
    for each in candidates:
        for column in columns:
            if _above(column[0].box, each.box):
                column.append(each)
                break
        else:
            columns.append([each])
    return columns


def _above(one: Box, other: Box) -> bool:
    """Whether two boxes of one size are in one column."""
    return abs(one[0] - other[0]) < _LEVEL_OFF * one[2] and one_size(other, one)


# --- what is missing -----------------------------------------------------------------------------


def alone_is_box(row: list[Candidate], lines: Lines) -> bool:
    """Whether a box that stands alone has corners: the inside of a large letter has none."""
    return len(row) > 1 or lines.corners(row[0].box)


def missing_boxes(kept: list[Box], dropped: Sequence[Box], lines: Lines) -> list[Box]:
    """Boxes whose lines are there, in the rows and columns of others of their size.

    Ink hides a box where it runs into the lines: a heavy cross, a figure that touches two sides.
    None of them is where a ``dropped`` one was.
    """
    table = np.array(kept, np.float64).reshape(-1, 4)
    found: list[Box] = []
    left = list(range(len(kept)))
    while left:
        size = table[left[0], 2:]
        alike = [k for k in left if (np.abs(table[k, 2:] - size) < SIZE_OFF * size).all()]
        left = [k for k in left if k not in alike]
        if len(alike) >= _LEAST_ALIKE:
            headings = [box for box in dropped if one_size(box, kept[alike[0]])]
            there = [*kept, *headings, *found]
            found += _crossings(table[alike], there, lines)
    return found


def _crossings(boxes: NDArray[np.float64], there: list[Box], lines: Lines) -> list[Box]:
    """Where a row and a column of boxes of one size cross, and a box is printed but not known."""
    size = np.median(boxes[:, 2:], axis=0)
    rows = _clusters(boxes[:, 1], _LEVEL_OFF * size[1])
    columns = _clusters(boxes[:, 0], _LEVEL_OFF * size[0])
    taken = np.array(there)
    found: list[Box] = []
    for row in rows:
        for column in columns:
            if set(row) & set(column):
                continue
            # Where the page is a little bent, the nearest ones know best.
            x, y = float(np.median(boxes[column, 0])), float(np.median(boxes[row, 1]))
            x = float(boxes[column[int(np.abs(boxes[column, 1] - y).argmin())], 0])
            y = float(boxes[row[int(np.abs(boxes[row, 0] - x).argmin())], 1])
            near = np.abs(taken[:, :2] - (x, y)) < 0.5 * np.maximum(taken[:, 2:], size)
            box = (x, y, float(size[0]), float(size[1]))
            if not near.all(axis=1).any() and is_printed(box, lines):
                found.append(box)
    return found


def _clusters(values: NDArray[np.float64], apart: float) -> list[list[int]]:
    """Numbers of values that are closer together than ``apart``, step by step."""
    order = np.argsort(values)
    cuts = np.flatnonzero(np.diff(values[order]) > apart) + 1
    return [part.tolist() for part in np.split(order, cuts)]


def hidden_boxes(boxes: Sequence[Box], lines: Lines) -> list[Box]:
    """Boxes beside these, in a row with them, whose lines are there.

    A stroke that runs from line to line cuts a box in two, and a row of them in pieces.
    """
    found: list[Box] = []
    for row in rows_of([Candidate(box, Contents(True)) for box in boxes]):
        own = [each.box for each in row]
        found += [
            box
            for box in completed(own, lines)
            if not any(_same(box, other) for other in (*boxes, *found))
        ]
    return found


def _same(one: Box, other: Box) -> bool:
    return is_in(one, other) and one_size(one, other)


def completed(row: list[Box], lines: Lines) -> list[Box]:
    """The row with the boxes beside its own whose lines are there."""
    starts = np.array([box[:2] for box in row])
    size = np.median([box[2:] for box in row], axis=0)
    step = np.array([size[0], 0.0])
    if len(row) > 1:
        step = np.median(np.diff(starts, axis=0), axis=0)
    found = list(row)
    for end, direction in ((starts[0], -1), (starts[-1], 1)):
        place = end + direction * step
        while is_printed(box := (*place, *size), lines) and len(found) < 200:
            found.append(tuple(float(value) for value in box))  # type: ignore[arg-type]
            place = place + direction * step
    return sorted(found)


def is_printed(box: tuple[float, ...], lines: Lines) -> bool:
    x, y, width, height = box
    sides = lines.sides((x, y, width, height))
    seen = bool(sides.min() > _SIDE_SEEN and sides.mean() > _SIDES_SEEN)
    return seen and not lines.passes((x, y, width, height))


def distinct(rows: list[list[Box]]) -> Iterator[list[Box]]:
    """The rows, joined or shortened where one was completed by boxes of another."""
    taken: list[Box] = []
    for row in sorted(rows, key=len, reverse=True):
        own = [box for box in row if not any(is_in(box, other) for other in taken)]
        taken += own
        if own:
            yield own
