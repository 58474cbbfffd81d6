"""Detect marks and rows of boxes on a blank form, for a draft template."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.marks import MARK_RATIO, corners, squares
from inkmill.forms.locate.vision.overview import Overview

Grey = NDArray[np.uint8]
#: Left, top, width and height in pixels.
Box = tuple[float, float, float, float]

#: A box's width and height are between these parts of the page's width ...
_LEAST_BOX, _LARGEST_BOX = 0.010, 0.10
#: ... and the ratio of width to height is between these.
_ASPECT = (0.35, 2.2)
#: Least share of its rectangle that an area between lines must fill to be a box.
_FILL = 0.82
#: A box with a larger share of black print inside is a heading or a number, not a box to fill in.
#: A blank learnt from filled scans has some of their ink left in every box.
_PRINTED, _LEFT_OVER = 0.012, 0.30
#: Shortest run of dark pixels that counts as a line, as a part of the page's width.
_RUN = 0.011
#: Boxes of a row differ in size, and in height on the page, by at most these parts of the size.
_SIZE_OFF, _LEVEL_OFF = 0.18, 0.25
#: Largest gap between two boxes of a row, as a part of their width.
_GAP = 0.75
#: Largest gap between two boxes that share a line, as a part of their width.
_FLUSH = 0.1
#: A step between boxes that differs by this much from the one before begins another field.
_PITCH_OFF = 0.2
_MOST_MARKS = 24
#: A box whose lines are nearer to the picture's edge than this, in pixels, may be cut off.
_EDGE = 1.0


@dataclass(frozen=True)
class BoxRow:
    """A row of boxes.

    ``boxes`` float64 (n, 4): left, top, width, height in the blank's pixels, measured to the middle
    of the printed lines.
    """

    boxes: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.boxes)

    @property
    def small_square(self) -> bool:
        """Whether it is a single square box, like a checkbox."""
        _, _, width, height = self.boxes[0]
        return self.count == 1 and 0.75 < width / height < 1.33


@dataclass(frozen=True)
class FoundMarks:
    """Solid squares.

    ``at`` float64 (n, 2) in pixels, the four corners first, clockwise from the top left; ``size``
    their side in pixels.
    """

    at: NDArray[np.float64]
    size: float


def find_rows(blank: Grey, learnt: bool = False) -> list[BoxRow]:
    """Rows of boxes on a blank form, uint8 (height, width), from top to bottom.

    ``learnt`` says that the blank was learnt from filled scans.
    """
    boxes, inked = _boxes(blank, _LEFT_OVER if learnt else _PRINTED)
    if learnt:
        boxes = _with_neighbours(boxes, inked)
    return [BoxRow(np.array(row)) for row in _rows(boxes)]


def _with_neighbours(boxes: list[Box], inked: list[Box]) -> list[Box]:
    """The boxes, and those with much ink that continue a row of them.

    Where most writers wrote alike, more ink is left over than in a heading.
    """
    found, left = list(boxes), list(inked)
    while more := [box for box in left if any(_beside(box, each) for each in found)]:
        found += more
        left = [box for box in left if box not in more]
    return _outermost(found)


def _beside(one: Box, other: Box) -> bool:
    """Whether two boxes of one size are side by side, without a gap."""
    left, right = sorted((one, other))
    return _continues([left], right) and right[0] - left[0] < (1 + _FLUSH) * left[2]


def whole_boxes(rows: list[BoxRow], blank: Grey) -> tuple[list[BoxRow], NDArray[np.float64]]:
    """The rows without the boxes that the picture's edge cuts off, and those, float64 (n, 4)."""
    height, width = blank.shape
    kept, cut = [], [np.empty((0, 4))]
    for row in rows:
        left, top, across, down = row.boxes.T
        whole = (
            (np.minimum(left, top) >= _EDGE)
            & (left + across <= width - 1 - _EDGE)
            & (top + down <= height - 1 - _EDGE)
        )
        cut.append(row.boxes[~whole])
        if whole.any():
            kept.append(BoxRow(row.boxes[whole]))
    return kept, np.vstack(cut)


def _boxes(blank: Grey, printed: float) -> tuple[list[Box], list[Box]]:
    """Areas enclosed by printed lines on four sides; apart, those with more print in them."""
    overview = Overview.of(blank, longest=max(blank.shape))
    lines, solid = _straight(overview.lines), overview.solid()
    areas, nesting = cv2.findContours(
        (lines == 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    page_width = min(blank.shape)
    found, inked = list[Box](), list[Box]()
    for number, outline in enumerate(areas):
        if nesting[0][number][3] >= 0:
            continue
        left, top, width, height = cv2.boundingRect(outline)
        # Includes remains of handwriting inside, which do not matter.
        area = cv2.contourArea(outline) + width + height
        if not (
            _LEAST_BOX * page_width < min(width, height)
            and max(width, height) < _LARGEST_BOX * page_width
            and _ASPECT[0] < width / height < _ASPECT[1]
            and area > _FILL * width * height
        ):
            continue
        inside = solid[
            top + height // 6 : top + height - height // 6,
            left + width // 6 : left + width - width // 6,
        ]
        full = bool(inside.size) and float(cv2.mean(inside)[0]) > printed * 255
        thick = _thickness(lines, left, top, width, height)
        box = (left - thick / 2, top - thick / 2, float(width + thick), float(height + thick))
        (inked if full else found).append(box)
    return _outermost(found), inked


def _outermost(
    boxes: list[Box],
) -> list[Box]:
    """Drop boxes that lie within another: guides, and loops of left-over digits."""
    kept: list[Box] = []
    for x, y, w, h in sorted(boxes, key=lambda box: -box[2] * box[3]):
        middle_x, middle_y = x + w / 2, y + h / 2
        if not any(
            left < middle_x < left + width and top < middle_y < top + height
            for left, top, width, height in kept
        ):
            kept.append((x, y, w, h))
    return kept


def _straight(lines: Grey) -> Grey:
    """Only horizontal and vertical runs, with small gaps closed: removes text and guides."""
    return np.asarray(cv2.bitwise_or(*straight_runs(lines)), np.uint8)


def straight_runs(lines: Grey) -> tuple[Grey, Grey]:
    """The horizontal and the vertical runs of a mask of lines, each as a mask (0 or 255)."""
    run = max(7, round(_RUN * min(lines.shape)))
    # Wider gaps are those of dotted guides, which are not lines.
    closed = 3
    level = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((1, closed), np.uint8))
    level = cv2.morphologyEx(level, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    upright = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((closed, 1), np.uint8))
    upright = cv2.morphologyEx(upright, cv2.MORPH_OPEN, np.ones((run, 1), np.uint8))
    return np.asarray(level, np.uint8), np.asarray(upright, np.uint8)


def _thickness(lines: Grey, left: int, top: int, width: int, height: int) -> int:
    """The thickness of the line below a box, seen at its middle."""
    column = lines[top + height : top + height + 16, left + width // 2]
    white = np.flatnonzero(column == 0)
    return int(white[0]) if len(white) else 2


def _rows(
    boxes: list[Box],
) -> list[list[Box]]:
    """Rows of boxes of one size, side by side at an even step."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda each: (each[0], each[1])):
        fitting = [row for row in rows if _continues(row, box)]
        if fitting:
            # The nearest row: a grid has others above and below.
            min(fitting, key=lambda row: abs(row[-1][1] - box[1])).append(box)
        else:
            rows.append([box])
    height = float(np.median([row[0][3] for row in rows])) if rows else 1.0
    return sorted(rows, key=lambda row: (round(row[0][1] / (0.5 * height)), row[0][0]))


def _continues(row: list[Box], box: Box) -> bool:
    left, top, width, height = row[-1]
    step = box[0] - left
    if abs(box[2] - width) > _SIZE_OFF * width or abs(box[3] - height) > _SIZE_OFF * height:
        return False
    if abs(box[1] - top) > _LEVEL_OFF * height or not 0.8 * width < step < (1 + _GAP) * width:
        return False
    return len(row) < 2 or abs(step - (left - row[-2][0])) < _PITCH_OFF * width


def find_marks(blank: Grey) -> FoundMarks | None:
    """Solid squares in the corners of a blank, and all similar ones; None without corners."""
    overview = Overview.of(blank)
    candidates = squares(overview)
    found = corners(overview, candidates)
    if found is None:
        return None
    sizes = candidates.sizes
    side = float(np.median(sizes[list(found)]))
    others = [
        number
        for number in range(len(candidates))
        if number not in found and 1 / MARK_RATIO < sizes[number] / side < MARK_RATIO
    ]
    chosen = [*found, *others][:_MOST_MARKS]
    scale = np.array([overview.scale_x, overview.scale_y])
    at = (candidates.centres[chosen] + 0.5) * scale - 0.5
    return FoundMarks(at, side * float(scale.mean()))
