"""From a rectangle drawn by hand to cells on the printed lines, and from one row to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.desk.imaging.link import Message
from inkmill.desk.imaging.pictures import Box, Grey, View, decode
from inkmill.forms.locate.vision.overview import Overview

#: A printed line is dark over at least this part of the rectangle's side; between boxes that stand
#: apart, a level line has gaps.
_UPRIGHT, _LEVEL = 0.6, 0.45
#: An upright line is dark at both ends, over this part of the rectangle's height.
_ENDS = 0.16
#: The sides move to lines within this part of a cell's shorter side.
_REACH = 0.4
#: Boxes stand apart if every second distance between lines is this much shorter than its
#: neighbours.
_APART = 0.6
#: Rows are alike if at least this part of one's lines is found in the other.
_ALIKE = 0.6
#: Cells of one field, at most (see `inkmill.template.parts`).
_MOST_CELLS = 200
_MOST_ROWS = 500


@dataclass(frozen=True)
class Span:
    """A stretch from ``low`` to ``high``, in pixels."""

    low: float
    high: float

    @property
    def length(self) -> float:
        return self.high - self.low


def snap(request: Message) -> Message:
    """Cells for a rectangle: ``count`` of them, or as many as the printed lines show if it is 0.

    ``rectangle`` is (left, top, width, height) in pixels of the page's picture, the first blob.
    The answer's ``cells`` are in template units; ``lined`` says whether printed lines were found.
    """
    boxes, lined = snapped(
        decode(request.blobs[0]), request.head["rectangle"], int(request.head["count"])
    )
    return Message({"cells": _view(request).cells(boxes), "lined": lined})


def snapped(grey: Grey, rectangle: Box, count: int) -> tuple[list[Box], bool]:
    """Boxes (left, top, width, height) in pixels, and whether they are on printed lines."""
    left, top, width, height = rectangle
    across, down = Span(left, left + width), Span(top, top + height)
    margin = max(12.0, 0.5 * min(width / max(1, count), height))
    window = _Window.of(grey, across, down, margin)
    reach = _REACH * min(width / max(1, count), height)
    down, level = _moved(down, window.level(across), reach)
    upright = window.upright(down)
    across, sides = _moved(across, upright, reach)
    inner = [x for x in upright if across.low - 1 <= x <= across.high + 1]
    spans = _spans(across, inner, min(count, _MOST_CELLS))
    return [(each.low, down.low, each.length, down.length) for each in spans], level and sides


@dataclass(frozen=True)
class _Window:
    """The dark pixels around a rectangle: mask bool (height, width), and its corner's pixel."""

    mask: NDArray[np.bool_]
    left: int
    top: int

    @classmethod
    def of(cls, grey: Grey, across: Span, down: Span, margin: float) -> _Window:
        height, width = grey.shape
        left, right = _within(across, margin, width)
        top, bottom = _within(down, margin, height)
        part = np.ascontiguousarray(grey[top:bottom, left:right])
        mask = Overview.of(part, longest=max(part.shape)).lines > 0
        return cls(mask, left, top)

    def level(self, across: Span) -> list[float]:
        """Where level lines are, within these columns."""
        start, end = _within(across, 0, self.mask.shape[1], self.left)
        return _peaks(self.mask[:, start:end], _LEVEL, self.top)

    def upright(self, down: Span) -> list[float]:
        """Where upright lines are, within these rows."""
        start, end = _within(down, 0, self.mask.shape[0], self.top)
        inside = self.mask[start:end].T
        ends = max(2, round(_ENDS * inside.shape[1]))
        # The stroke of a digit does not reach from one level line to the other.
        whole = np.minimum(_cover(inside[:, :ends]), _cover(inside[:, -ends:])) >= _UPRIGHT
        return [
            line
            for line in _peaks(inside, _UPRIGHT, self.left)
            if whole[min(int(line - self.left), len(whole) - 1)]
        ]


def _within(span: Span, margin: float, most: int, origin: int = 0) -> tuple[int, int]:
    """First and last pixel of a span and its margin, inside a picture; at least one pixel."""
    low = int(np.clip(round(span.low - margin) - origin, 0, most - 1))
    return low, int(np.clip(round(span.high + margin) - origin, low + 1, most))


def _peaks(mask: NDArray[np.bool_], least: float, origin: int) -> list[float]:
    """The middles of lines along the rows of a mask, in pixels of the browser."""
    dark = _cover(mask) >= least
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.view(np.int8), [0]])))
    middles = []
    for start, end in edges.reshape(-1, 2).tolist():
        # The line itself, without what dilation added.
        weight = mask[start:end].mean(axis=1) + 1e-6
        middles.append(origin + 0.5 + float(np.average(np.arange(start, end), weights=weight)))
    return middles


def _cover(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much of each row of a mask is dark; a slanted line is so in one of three rows."""
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 1), np.uint8))
    return np.asarray(wide.mean(axis=1), np.float64)


def _moved(span: Span, lines: Sequence[float], reach: float) -> tuple[Span, bool]:
    """The span with its ends on the nearest lines within reach; whether both are."""
    ends = []
    for end in (span.low, span.high):
        near = [line for line in lines if abs(line - end) <= reach]
        ends.append(min(near, key=lambda line: abs(line - end)) if near else None)
    low, high = ends
    if low is not None and low == high:
        return span, False
    moved = Span(span.low if low is None else low, span.high if high is None else high)
    return moved, low is not None and high is not None


def _spans(across: Span, lines: Sequence[float], count: int) -> list[Span]:
    """The cells between the sides: apart, or side by side, on the lines where there are any."""
    steps = np.diff(lines)
    pairs = len(lines) // 2
    if len(lines) >= 4 and len(lines) % 2 == 0 and count in (0, pairs):
        inside, between = steps[::2], steps[1::2]
        if between.max() < _APART * inside.min():
            return [Span(*lines[2 * n : 2 * n + 2]) for n in range(pairs)]
    cells = count or max(1, min(len(lines) - 1, _MOST_CELLS))
    even = np.linspace(across.low, across.high, cells + 1)
    near = _REACH * across.length / cells
    edges = [_nearest(edge, lines, near) for edge in even.tolist()]
    return [Span(*pair) for pair in pairwise(edges)]


def _nearest(edge: float, lines: Sequence[float], reach: float) -> float:
    best = min(lines, key=lambda line: abs(line - edge), default=edge)
    return best if abs(best - edge) <= reach else edge


def rows(request: Message) -> Message:
    """How far below a row, the ``rectangle`` in pixels, the rows are that are printed like it.

    ``count`` is the number of rows with the first, or 0 for all that follow without a gap. The
    answer's ``offsets`` are in template units, that of the first row is 0.
    """
    view = _view(request)
    found = offsets(decode(request.blobs[0]), request.head["rectangle"], int(request.head["count"]))
    unit = view.box[3] / view.size[1]
    return Message({"offsets": [round(each * unit, 5) for each in found]})


def offsets(grey: Grey, rectangle: Box, count: int) -> list[float]:
    """The distances in pixels from a row to each row printed like it; the first is 0."""
    left, top, width, height = rectangle
    margin = 4.0
    across = Span(left, left + width)
    window = _Window.of(grey, across, Span(top, float(grey.shape[0])), margin)
    tall = min(round(height + 2 * margin), window.mask.shape[0])
    mask = window.mask.astype(np.float32)
    row = mask[:tall]
    about = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    likeness = cv2.matchTemplate(about, row, cv2.TM_CCORR)[:, 0] / max(1.0, float(row.sum()))
    found = [0.0]
    pitch = 0.0
    while len(found) < min(count or _MOST_ROWS, _MOST_ROWS):
        step = _next(likeness, found[-1], pitch or height, first=not pitch, height=height)
        if step is None:
            break
        found.append(step)
        pitch = step - found[-2]
    if count and len(found) < count:
        pitch = found[-1] / (len(found) - 1) if len(found) > 1 else height
        found += [found[-1] + pitch * n for n in range(1, count - len(found) + 1)]
    return found


def _next(
    likeness: NDArray[np.float32], last: float, pitch: float, *, first: bool, height: float
) -> float | None:
    """The next row below ``last``: about a pitch further; for the first, within three heights."""
    low = last + (0.8 * height if first else 0.85 * pitch)
    high = last + (3.0 * height if first else 1.15 * pitch)
    start, end = round(low), min(round(high) + 1, len(likeness))
    if start >= end:
        return None
    part = likeness[start:end]
    if first:
        good = np.flatnonzero(part >= max(_ALIKE, 0.92 * float(part.max())))
        if not len(good):
            return None
        # The first of several rows, at its own best place.
        near = part[good[0] : good[0] + max(2, round(0.2 * height))]
        return float(start + good[0] + int(near.argmax()))
    best = int(part.argmax())
    return float(start + best) if part[best] >= _ALIKE else None


def _view(request: Message) -> View:
    width, height = request.head["size"]
    return View(tuple(request.head["box"]), (int(width), int(height)))
