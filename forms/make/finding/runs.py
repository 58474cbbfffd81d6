"""Straight printed lines of a page: strong ones by their run, pale and broken ones by their length.

A line of a box is a few pixels wide and many times as long. What is dark for a while along a row or
column is one, however short: `straight_runs`. A copy of a copy loses parts of its lines, and some
forms print boxes in a colour that scanners hardly show. There, single pixels do not tell a line
from the paper's noise, but most of forty in a row are darker than both of their sides: a ridge.
`printed_lines` finds both.
(Oriented averaging as for roads and vessels, see Steger, An unbiased detector of curvilinear
structures, IEEE Trans. PAMI 20, 1998; here for the two directions of a straightened page.)
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.overview import Overview

Grey = NDArray[np.uint8]

#: Shortest run of dark pixels that counts as a line, as a part of the page's width.
_RUN = 0.011
#: Lengths over which a pale line is averaged, as parts of the page's width, the share of each that
#: must be darker than both sides, and by how many levels or standard deviations of the noise.
_LENGTHS, _DENSE, _LEAST_DEPTH, _NOISE = (0.025, 0.08), (0.87, 0.75), 3, 2.0
#: A place on a line is at least this part as dark as the line is on average.
_EVEN = 0.5
#: The sides are so many pixels from the middle of the line: lines are one to five pixels wide.
_SIDES = (2, 3)
#: Gaps of so many pixels are none; others are kept if both of their ends are within this part of
#: the page's width of a line of the other direction.
_SMALL_GAP, _AT_LINE = 9, 0.003
#: Depths are capped at so many levels: else a short dark stroke would average as a long pale line.
_DEEPEST = 60


def straight_runs(lines: Grey) -> tuple[Grey, Grey]:
    """The horizontal and the vertical runs of a mask of lines, each as a mask (0 or 255)."""
    run = max(7, round(_RUN * min(lines.shape)))
    level = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    upright = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones((run, 1), np.uint8))
    return np.asarray(level, np.uint8), np.asarray(upright, np.uint8)


def printed_lines(overview: Overview) -> tuple[Grey, Grey]:
    """The level and upright lines of a straightened page, pale and broken ones too.

    Masks (0 or 255). The gaps of a line that is there for the most part are filled in, unless they
    begin and end at lines of the other direction: there, two boxes stand apart.
    """
    depth = max(_LEAST_DEPTH, round(_NOISE * overview.noise))
    long_level = _level_ridges(overview.smooth, depth)
    long_upright = _level_ridges(np.ascontiguousarray(overview.smooth.T), depth)
    level, upright = straight_runs(overview.lines)
    level = np.asarray(level | long_level, np.uint8)
    upright = np.asarray(upright | long_upright.T, np.uint8)
    # Gaps between short runs are those between letters.
    filled_level = _with_gaps_filled(long_level, upright)
    filled_upright = _with_gaps_filled(long_upright, np.ascontiguousarray(level.T)).T
    return (
        np.asarray(level | filled_level, np.uint8),
        np.ascontiguousarray(upright | filled_upright),
    )


def _level_ridges(grey: Grey, depth: int) -> Grey:
    # A line wobbles by a pixel: it is looked for in three rows.
    side = min(grey.shape)
    darker = _darker_than_sides(grey)
    around = cv2.dilate(darker, np.ones((3, 1), np.uint8))
    hit = np.asarray(darker > depth, np.uint8)
    found = np.zeros_like(grey)
    for part, dense in zip(_LENGTHS, _DENSE, strict=True):
        length = max(21, round(part * side) | 1)
        deep = cv2.blur(around, (length, 1))
        # A line is as dark all along; a line of print is dark here and there.
        even = cv2.compare(around, cv2.max(cv2.multiply(deep, _EVEN), depth), cv2.CMP_GT)
        share = cv2.blur(even, (length, 1))
        middle = (hit > 0) & (share > dense * 255)
        near = cv2.dilate(np.asarray(middle, np.uint8), np.ones((1, length), np.uint8))
        found |= near & hit
    return np.asarray(255 * found, np.uint8)


def _with_gaps_filled(level: Grey, upright: Grey) -> Grey:
    """Level lines without the gaps that their length allows, but for those between two boxes.

    Nor are strokes on both sides of another line the parts of one.
    """
    side = min(level.shape)
    closed = _closed(level, _SMALL_GAP)
    gaps = cv2.subtract(_closed(closed, round((1 - _DENSE[-1]) * _LENGTHS[-1] * side)), closed)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(gaps, ltype=4)
    reach = max(3, round(_AT_LINE * side))
    at_line = cv2.dilate(upright, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    left, top, width = (stats[:, k] for k in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH))
    right = left + width - 1
    crossed = np.zeros(count, np.bool_)
    crossed[labels[upright > 0]] = True
    filled = ~(crossed | (at_line[top, left] & at_line[top, right]))
    filled[0] = False
    return np.asarray(closed | 255 * filled[labels].astype(np.uint8), np.uint8)


def _closed(level: Grey, gap: int) -> Grey:
    """Without gaps of up to ``gap`` pixels; the picture's edge is no end of a gap."""
    padded = cv2.copyMakeBorder(level, 0, 0, gap, gap, cv2.BORDER_CONSTANT, value=(0,))
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8))
    return np.asarray(closed[:, gap:-gap], np.uint8)


def _darker_than_sides(grey: Grey) -> Grey:
    """By how many levels each pixel is darker than the lighter paper above and below it."""
    found = np.zeros_like(grey)
    for away in _SIDES:
        padded = cv2.copyMakeBorder(grey, away, away, 0, 0, cv2.BORDER_REPLICATE)
        sides = np.minimum(padded[: -2 * away], padded[2 * away :])
        found = np.maximum(found, cv2.subtract(sides, grey))
    return np.asarray(np.minimum(found, _DEEPEST), np.uint8)
