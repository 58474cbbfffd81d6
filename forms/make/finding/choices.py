"""Small square boxes on one level belong to one question: they become one field with several boxes.

They do where at least three of them follow each other at an even step, or where the same two or
more stand below each other on several levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.make.finding.boxes import BoxRow

#: Larger single squares are for a figure, not for a tick: 7 mm of A4.
_LARGEST = 0.033
#: Boxes of a question differ by at most these parts of their size, in size and in height.
_SIZE_OFF, _LEVEL_OFF = 0.2, 0.4
#: Steps of a question are even up to this part of a box, and at most so many boxes wide.
_STEP_OFF, _WIDEST_STEP = 0.35, 7.0
_LEAST = 3


def is_tick(row: BoxRow, side: int) -> bool:
    """Whether a row is a box to tick, on a page whose shorter side has ``side`` pixels."""
    return row.small_square and bool(row.boxes[0, 2] < _LARGEST * side)


def with_choices(rows: Sequence[BoxRow], side: int) -> list[BoxRow]:
    """The rows, with boxes to tick that belong to one question joined; the order stays."""
    ticks = [row for row in rows if is_tick(row, side)]
    questions = [part for level in _levels(ticks) for part in _even_parts(level)]
    joined: list[BoxRow] = []
    for part in questions:
        again = sum(_same_columns(part, other) for other in questions) > 1
        if len(part) >= _LEAST or (len(part) > 1 and again):
            joined.append(BoxRow(part, tick=True))
        else:
            joined += [BoxRow(box[None], tick=True) for box in part]
    firsts = {tuple(row.boxes[0]): row for row in joined}
    result = []
    for row in rows:
        if not is_tick(row, side):
            result.append(row)
        elif tuple(row.boxes[0]) in firsts:
            result.append(firsts[tuple(row.boxes[0])])
    return result


def _levels(ticks: Sequence[BoxRow]) -> list[NDArray[np.float64]]:
    """Boxes of one size at one height, from left to right."""
    levels: list[list[NDArray[np.float64]]] = []
    for row in sorted(ticks, key=lambda row: float(row.boxes[0, 1])):
        box = row.boxes[0]
        for level in levels:
            other = level[0]
            if (
                abs(box[1] - other[1]) < _LEVEL_OFF * other[3]
                and (np.abs(box[2:] - other[2:]) < _SIZE_OFF * other[2:]).all()
            ):
                level.append(box)
                break
        else:
            levels.append([box])
    return [np.array(sorted(level, key=lambda box: float(box[0]))) for level in levels]


def _even_parts(level: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The boxes of a level, cut where the step to the next one changes."""
    parts, start = [], 0
    while start < len(level):
        stop = start + 1
        while stop < len(level):
            step = level[stop, 0] - level[stop - 1, 0]
            first = level[start + 1, 0] - level[start, 0]
            width = level[start, 2]
            if step > _WIDEST_STEP * width or abs(step - first) > _STEP_OFF * width:
                break
            stop += 1
        parts.append(level[start:stop])
        start = stop
    return parts


def _same_columns(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return len(one) == len(other) and bool(
        (np.abs(one[:, 0] - other[:, 0]) < _STEP_OFF * one[:, 2]).all()
    )
