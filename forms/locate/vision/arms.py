"""Marks that are drawn with thin arms: an L or a cross, compared with drawn ones of all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.overview import Grey, Points
from inkmill.template.registration import Shape

#: Largest aspect of a mark: one that is partly covered or cut off is not square.
LONGEST_ASPECT = 1.7
#: An L or a cross is compared with arms of these widths, as parts of its size, turned by these
#: degrees, and with an arm of which this part is left.
_ARMS, _ANGLES, _CUT = (1 / 24, 1 / 12, 1 / 8, 3 / 16, 1 / 4, 1 / 3), range(-30, 31, 5), 0.75
#: Least correlation of a component with the drawn shape (1 is exact), for L and cross, and how much
#: of it a degree of slant costs.
_LEAST_LIKENESS, _UPRIGHT = 0.7, 0.002
#: Side of the pictures that are compared, and the blur, in their pixels.
_SIDE, _BLUR = 32, 1.5
#: An L whose sides differ by more has lost a part of an arm.
_WHOLE = 1.15
#: A cross's bar is where at least this part of the longest line is ink.
_BAR = 0.6


def measure_drawn(
    mask: Grey, contour: NDArray[np.int32], shape: Shape
) -> tuple[float, float, float, float] | None:
    """Centre, size and likeness of an L or a cross, compared with the drawn shape."""
    x, y, width, height = cv2.boundingRect(contour)
    if max(width, height) > LONGEST_ASPECT * min(width, height):
        return None
    part = mask[y : y + height, x : x + width]
    seen = _unit(cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))
    patterns = _patterns(shape)
    likeness = patterns.pictures @ seen
    best = int(np.argmax(likeness - _UPRIGHT * np.abs(patterns.angles)))
    if likeness[best] < _LEAST_LIKENESS:
        return None
    box = np.array([width, height])
    across, down = box / patterns.spans[best]
    size, at = (across + down) / 2, patterns.middles[best]
    offset = at * (box - 1)
    if max(across, down) > _WHOLE * min(across, down) and shape == "L":
        # An arm is cut short: the elbow is where it was.
        size = max(across, down)
        offset = patterns.elbows[best] * (box - 1) + (size - 1) * patterns.inwards[best]
    elif shape == "cross" and not patterns.angles[best]:
        offset = np.array([_bar(part.sum(axis=0)), _bar(part.sum(axis=1))])
    return x + float(offset[0]), y + float(offset[1]), float(size), float(likeness[best])


def _bar(ink: NDArray[np.integer]) -> float:
    """The middle of the bar in a profile of a cross."""
    return float(np.flatnonzero(ink >= _BAR * ink.max()).mean())


@dataclass(frozen=True)
class _Patterns:
    """A shape with arms of several widths, in all turns, cut to its ink.

    ``pictures`` float32 (n, pixels), each of mean 0 and length 1; ``angles`` (n,) in degrees;
    ``spans`` (n, 2) the ink's width and height, in parts of the mark's size; ``middles`` and
    ``elbows`` (n, 2) where the mark's middle and corner are, in parts of the ink's width and
    height; ``inwards`` (n, 2) the way from corner to middle, in parts of the size.
    """

    pictures: NDArray[np.float32]
    angles: NDArray[np.float64]
    spans: Points
    middles: Points
    elbows: Points
    inwards: Points


@lru_cache(maxsize=2)
def _patterns(shape: Shape) -> _Patterns:
    pictures, rows = [], []
    for arm, cut, quarter, angle in product(_ARMS, (1.0, _CUT), range(4), _ANGLES):
        if (shape == "L" and cut < 1) or (shape == "cross" and cut == 1 and quarter):
            continue
        turn = np.deg2rad(angle + 90 * quarter)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        # About the middle of a mark of size 1; an L's elbow is at the top left.
        start = -arm / 2 if shape == "cross" else -0.5
        bars = [(-0.5, start, -0.5 + cut, start + arm), (start, -0.5, start + arm, 0.5)]
        quads = [
            np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ rotation.T
            for left, top, right, bottom in bars
        ]
        low, high = np.vstack(quads).min(axis=0), np.vstack(quads).max(axis=0)
        pictures.append(_unit(_filled([(quad - low) / (high - low) for quad in quads])))
        elbow = rotation @ np.array([-0.5, -0.5])
        rows.append((angle, high - low, -low / (high - low), (elbow - low) / (high - low), -elbow))
    angles, spans, middles, elbows, inwards = (np.array(each) for each in zip(*rows, strict=True))
    return _Patterns(np.array(pictures), angles, spans, middles, elbows, inwards)


def _filled(quads: list[Points]) -> Grey:
    """Quadrilaterals with corners between 0 and 1, filled."""
    fine = 8 * _SIDE
    picture = np.zeros((fine, fine), np.uint8)
    for quad in quads:
        cv2.fillPoly(picture, [np.rint(quad * (fine - 1)).astype(np.int32)], 255)
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _unit(picture: NDArray[np.generic]) -> NDArray[np.float32]:
    """The blurred picture as a vector of mean 0 and length 1: products are correlations."""
    smooth = cv2.GaussianBlur(np.ascontiguousarray(picture, np.float32), (0, 0), _BLUR).ravel()
    smooth -= smooth.mean()
    return np.asarray(smooth / max(float(np.linalg.norm(smooth)), 1e-9), np.float32)
