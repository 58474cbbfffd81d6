"""The straight printed lines of a page, and where four of them enclose an area.

Handwriting has straight strokes, too. A stroke ends in the paper, the side of a box at two other
lines; so only runs that end at lines of the other direction at both of their ends are kept. Ink in
a box then does not matter, whether it is a figure, a tick or a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.make.finding.runs import printed_lines

Grey = NDArray[np.uint8]
#: Left, top, width and height in pixels, to the middle of the printed lines.
Box = tuple[float, float, float, float]

#: A line may end this far from the one that it ends at, where ink lengthens it, and may miss it by
#: so much (rounded or broken corners), as parts of the page's width: 1.1 and 0.6 mm of A4.
_BEYOND, _NEAR = 0.0055, 0.003
#: How often runs are dropped that end nowhere: each time, others lose what they ended at.
_ROUNDS = 3
#: A side is looked for this far from where a box should have it, as a part of the page's width.
_OFF = 0.002
#: The lines of a box are thinner than this part of it; letters have thicker ones.
_THICKEST = 0.28
#: A line that passes through a box is this far from its sides, and goes on at both of them for so
#: long, as parts of the box.
_WITHIN, _GOES_ON = 0.2, 0.35
#: Least share of ink around the corners of a box.
_CORNERS = 0.5


@dataclass(frozen=True)
class Lines:
    """Masks (0 or 255) of a page: ``ink`` all that is darker than its surroundings, ``level`` and
    ``upright`` its straight runs. ``side`` is the page's shorter side in pixels.
    """

    ink: Grey
    level: Grey
    upright: Grey
    side: int

    @classmethod
    def of(cls, page: Grey, overview: Overview | None = None) -> Lines:
        """The lines of an upright page, uint8 (height, width)."""
        overview = overview or Overview.of(page, longest=max(page.shape))
        side = min(page.shape)
        level, upright = printed_lines(overview)
        # The missing part of a line counts as printed.
        ink = cv2.bitwise_or(overview.lines, cv2.bitwise_or(level, upright))
        return cls(np.asarray(ink, np.uint8), level, upright, side)

    @cached_property
    def near(self) -> int:
        """Pixels by which a line may miss another one that it ends at."""
        return _near(self.side)

    @cached_property
    def closed(self) -> tuple[Grey, Grey]:
        """The level and upright runs, as far as they lie between runs of the other kind."""
        level, upright = self.level, self.upright
        beyond = max(self.near, round(_BEYOND * self.side))
        for _ in range(_ROUNDS):
            kept_upright = _between_lines(upright.T, level.T, beyond).T
            kept_level = _between_lines(level, kept_upright, beyond)
            same = np.array_equal(kept_level, level) and np.array_equal(kept_upright, upright)
            level, upright = kept_level, np.ascontiguousarray(kept_upright)
            if same:
                break
        return level, upright

    @cached_property
    def walls(self) -> Grey:
        """The closed runs, lengthened a little, so that broken corners are closed."""
        level, upright = self.closed
        reach = 2 * self.near + 1
        level = np.asarray(cv2.dilate(level, np.ones((1, reach), np.uint8)), np.uint8)
        upright = np.asarray(cv2.dilate(upright, np.ones((reach, 1), np.uint8)), np.uint8)
        return np.asarray(cv2.bitwise_or(level, upright), np.uint8)

    def sides(self, box: Box) -> NDArray[np.float64]:
        """How much of a box's top, right, bottom and left side is printed, 0 to 1 each: (4,)."""
        x, y, w, h = box
        off = max(2, round(_OFF * self.side))
        return np.array(
            [
                _covered(self.ink, x, x + w, y, off),
                _covered(self.ink.T, y, y + h, x + w, off),
                _covered(self.ink, x, x + w, y + h, off),
                _covered(self.ink.T, y, y + h, x, off),
            ]
        )

    def passes(self, box: Box) -> bool:
        """Whether a level line goes on at both sides of a box, which are two cells of a table then.

        Its part between them is missing in the print.
        """
        x, y, w, h = box
        rows = slice(round(y + _WITHIN * h), round(y + (1 - _WITHIN) * h) + 1)
        reach = max(2, round(_GOES_ON * w))
        thick = cv2.dilate(self.level[rows], np.ones((3, 1), np.uint8))
        gap = 2  # an upright line is some pixels wide
        before = thick[:, max(0, round(x) - gap - reach) : max(0, round(x) - gap)]
        after = thick[:, round(x + w) + gap + 1 : round(x + w) + gap + 1 + reach]
        if before.shape[1] < reach or after.shape[1] < reach:
            return False
        return bool((before.all(axis=1) & after.all(axis=1)).any())

    def corners(self, box: Box) -> bool:
        """Whether the lines of a box meet in its corners; those of a letter O are cut off."""
        x, y, w, h = box
        height, width = self.ink.shape
        edge = self.near
        if min(x, y) < edge or x + w > width - 1 - edge or y + h > height - 1 - edge:
            return True  # nobody knows what the picture's edge cut off
        dark = [
            float((self.ink[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] > 0).mean())
            for column in (round(x), round(x + w))
            for row in (round(y), round(y + h))
        ]
        return sum(dark) / 4 > _CORNERS


def _near(side: int) -> int:
    return max(3, round(_NEAR * side))


def _between_lines(level: Grey, upright: Grey, near: int) -> Grey:
    """The level runs, each from the first upright one that it meets, within ``near``, to the last.

    What is left over beyond is a stroke, or the rest of a line whose end the print lacks.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(level), ltype=4)
    reach = cv2.dilate(np.ascontiguousarray(upright), np.ones((2 * near + 1,) * 2, np.uint8))
    # What the picture's edge cuts off ends there: it is to be named.
    reach[:, :near] = reach[:, -near:] = 255
    kept = np.zeros_like(labels, np.uint8)
    for number in range(1, count):
        left, top, width, height = stats[number, :4].tolist()
        part = slice(top, top + height), slice(left, left + width)
        own = labels[part] == number
        met = np.flatnonzero((own & (reach[part] > 0)).any(axis=0))
        if len(met) and met[-1] - met[0] > 2 * near:
            own[:, : met[0]] = own[:, met[-1] + 1 :] = False
            kept[part][own] = 255
    return kept


def _covered(ink: Grey, start: float, stop: float, at: float, off: int) -> float:
    """The share of a level line that is ink, within ``off`` pixels of its place."""
    first, last, row = round(start) + off, round(stop) - off + 1, round(at)
    first, last = max(0, first), min(ink.shape[1], last)
    if last <= first:
        return 0.0
    if row - off < 0 or row + off >= ink.shape[0]:
        return 1.0  # the picture's edge: the box is cut off there
    band = ink[row - off : row + off + 1, first:last]
    # A line that is a little slanted crosses several rows: three next to each other count as one.
    dark = band > 0
    return float(max((dark[k : k + 3].any(axis=0)).mean() for k in range(len(dark) - 2)))


def enclosed(lines: Lines, least: float, fill: float) -> Sequence[Box]:
    """Rectangular areas with lines on four sides, at least ``least`` pixels wide and high.

    ``fill`` is the least share of its rectangle that an area covers.
    """
    walls = lines.walls
    areas, nesting = cv2.findContours(
        (walls == 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    found: list[Box] = []
    for number, outline in enumerate(areas):
        if nesting[0][number][3] >= 0:
            continue
        left, top, width, height = cv2.boundingRect(outline)
        if min(width, height) < least:
            continue
        # A contour runs through pixel centres: half a pixel is missing on each side.
        if cv2.contourArea(outline) + width + height > fill * width * height:
            box = _to_the_middle(walls, left, top, width, height)
            if max(box[2] - width, box[3] - height) < _THICKEST * min(box[2:]):
                found.append(box)
    return found


def _to_the_middle(walls: Grey, left: int, top: int, width: int, height: int) -> Box:
    """An area's box, grown to the middle of the lines around it."""
    row, column = top + height // 2, left + width // 2
    before = _thickness(walls[row, max(0, left - 16) : left][::-1])
    after = _thickness(walls[row, left + width : left + width + 16])
    above = _thickness(walls[max(0, top - 16) : top, column][::-1])
    below = _thickness(walls[top + height : top + height + 16, column])
    # Pixel centres are whole numbers: an area's edge is half a pixel before its first one.
    return (
        left - 0.5 - before / 2,
        top - 0.5 - above / 2,
        width + (before + after) / 2,
        height + (above + below) / 2,
    )


def _thickness(pixels: Grey) -> int:
    white = np.flatnonzero(pixels == 0)
    return int(white[0]) if len(white) else len(pixels)
