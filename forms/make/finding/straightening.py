"""A page with its lines level and upright: scans are turned, photos are straightened.

The level lines of a photo meet in a point, and so do the upright ones (their vanishing points,
found by least squares: Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 8.6).
Mapping both points to infinity straightens the page.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.locate.shapes.quads import sheet_outlines
from inkmill.forms.locate.vision.locators import skew
from inkmill.forms.locate.vision.overview import Overview

Grey = NDArray[np.uint8]

#: A page's longer side in pixels is between these: 8 pixels per mm of A4. Smaller pages are
#: enlarged, since the lines of a small box need some pixels.
SIDE, _LEAST_SIDE = 2400, 1600
#: Lines up to this far from level or upright take part, in radians, and those at least this part
#: of the longer side long.
_SLANT, _LENGTH = 0.3, 0.05
#: Corners that a straightening moves by less than this part of the longer side, besides turning,
#: stay: the page is a scan.
_FLAT = 0.005
#: A page is no photo of one if its corners move by more than this part.
_MOST = 0.35
_ROUNDS = 6
_WHITE = (255.0,) * 3
#: Just beyond the edge of a sheet it is darker than this part of the paper within, so many pixels
#: away; places that are compared along a side.
_DARKER, _EDGE, _PLACES = 0.85, 6, 40


def sized(grey: Grey) -> Grey:
    """The page, uint8 (height, width), at a size at which boxes are searched for."""
    longest = max(grey.shape)
    scale = min(1.0, SIDE / longest) if longest >= _LEAST_SIDE else min(4.0, 2000 / longest)
    if scale == 1.0:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def straightened(grey: Grey) -> Grey:
    """The page with its lines along rows and columns; its size stays.

    Of a photo, what lies around the sheet is painted over: wood and cloth have lines as well.
    """
    grey = _sheet_alone(grey)
    overview = Overview.of(grey)
    height, width = grey.shape
    change = _without_perspective(overview)
    if change is None:
        turn = -skew(overview)
        flat = cv2.getRotationMatrix2D((width / 2, height / 2), -float(np.rad2deg(turn)), 1.0)
        change = np.vstack([flat, [0.0, 0.0, 1.0]])
    else:
        change = overview.to_page @ change @ np.linalg.inv(overview.to_page)
    laid = cv2.warpPerspective(grey, change, (width, height), borderValue=_WHITE)
    return np.asarray(laid, np.uint8)


def _sheet_alone(grey: Grey) -> Grey:
    """The picture with paper instead of what is around a sheet, if it shows a sheet on a table."""
    for outline in sheet_outlines(grey):
        if not _is_edge(outline, grey):
            continue
        corner = np.rint(outline).astype(np.int32)
        around = cv2.fillConvexPoly(np.ones(grey.shape, np.uint8), corner, 0)
        paper = np.uint8(np.percentile(grey[around == 0], 80))
        cv2.polylines(around, [corner], True, 1, 2 * _EDGE + 1)
        return np.asarray(np.where(around == 1, paper, grey), np.uint8)
    return grey


def _is_edge(outline: Points, grey: Grey) -> bool:
    """Whether it gets darker across each side of an outline within the picture: shadows have no
    edge. At least one side must be in the picture."""
    height, width = grey.shape
    middle, seen = outline.mean(axis=0), 0
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        along = start + np.linspace(0.1, 0.9, _PLACES)[:, None] * (end - start)
        out = np.array([end[1] - start[1], start[0] - end[0]]) / np.linalg.norm(end - start)
        out *= np.sign(out @ (along.mean(axis=0) - middle))
        places = np.stack([along - 2 * _EDGE * out, along + 2 * _EDGE * out])
        x, y = np.rint(np.moveaxis(places, 2, 0)).astype(np.int64)
        there = ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all(axis=0)
        if there.mean() < 0.5:
            continue
        seen += 1
        within, beyond = grey[y[:, there], x[:, there]].astype(np.float64)
        if np.median(beyond / np.maximum(within, 1.0)) > _DARKER:
            return False
    return seen > 0


def _without_perspective(overview: Overview) -> Matrix | None:
    """3x3 over the overview's pixels that straightens a photo; None for a flat scan."""
    height, width = overview.grey.shape
    centre, scale = np.array([width, height]) / 2, max(width, height) / 2
    ends = _segments(overview)
    if ends is None:
        return None
    ends = (ends - centre) / scale
    turn = skew(overview)
    level, upright = (_vanishing(ends, turn + quarter) for quarter in (0.0, np.pi / 2))
    if level is None or upright is None:
        return None
    straight = _straightening(level, upright)
    if straight is None:
        return None
    into = np.array([[1 / scale, 0, -centre[0] / scale], [0, 1 / scale, -centre[1] / scale]])
    into = np.vstack([into, [0, 0, 1]])
    moved = _moved(straight, turn, width / height)
    if not _FLAT < moved < _MOST:
        return None
    return np.asarray(np.linalg.inv(into) @ straight @ into, np.float64)


def _segments(overview: Overview) -> NDArray[np.float64] | None:
    """Both ends of the straight lines of a page, (n, 2, 2)."""
    long = round(_LENGTH * max(overview.grey.shape))
    found = cv2.HoughLinesP(overview.lines, 1, np.pi / 720, 60, minLineLength=long, maxLineGap=3)
    return None if found is None else found.reshape(-1, 2, 2).astype(np.float64)


def _vanishing(ends: NDArray[np.float64], direction: float) -> Points | None:
    """Where the lines of about one direction meet, in homogeneous coordinates (3,).

    Reweighted least squares, since some of the lines are handwriting or the edge of a table.
    """
    way = ends[:, 1] - ends[:, 0]
    off = np.arctan2(way[:, 1], way[:, 0]) - direction
    near = np.abs((off + np.pi / 2) % np.pi - np.pi / 2) < _SLANT
    ends, way = ends[near], way[near]
    if len(ends) < 6:
        return None
    ones = np.ones((len(ends), 1))
    lines = np.cross(np.hstack([ends[:, 0], ones]), np.hstack([ends[:, 1], ones]))
    lines /= np.linalg.norm(lines[:, :2], axis=1, keepdims=True)
    length, middles = np.linalg.norm(way, axis=1), ends.mean(axis=1)
    weights, point = length.copy(), np.zeros(3)
    for _ in range(_ROUNDS):
        _, vectors = np.linalg.eigh((lines * weights[:, None]).T @ lines)
        point = vectors[:, 0]
        towards = point[:2] - middles * point[2]
        towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
        slant = np.abs(towards[:, 0] * way[:, 1] - towards[:, 1] * way[:, 0]) / length
        # A direction is known to a pixel over the line's length; beyond, it counts less.
        weights = length**2 / (1e-6 + slant**2 + (0.003) ** 2)
    return point


def _straightening(level: Points, upright: Points) -> Matrix | None:
    """3x3 that maps both vanishing points to infinity, and leaves the middle as it is."""
    columns = np.column_stack([_heading(level, 0), _heading(upright, 1), [0.0, 0.0, 1.0]])
    if abs(np.linalg.det(columns)) < 0.2:
        return None
    return np.asarray(np.linalg.inv(columns), np.float64)


def _heading(point: Points, axis: int) -> Points:
    """The vanishing point scaled so that lengths in the middle stay along its axis."""
    return np.asarray(point / (np.linalg.norm(point[:2]) * np.sign(point[axis])), np.float64)


def _moved(straight: Matrix, turn: float, aspect: float) -> float:
    """How far corners move, apart from turning, as a part of the longer side."""
    x, y = (1.0, 1 / aspect) if aspect > 1 else (aspect, 1.0)
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    if (straight[2, :2] @ corners.T + straight[2, 2]).min() <= 0:
        return np.inf
    cosine, sine = np.cos(-turn), np.sin(-turn)
    turned = corners @ np.array([[cosine, -sine], [sine, cosine]]).T
    return float(np.linalg.norm(apply(straight, corners) - turned, axis=1).max() / 2)
