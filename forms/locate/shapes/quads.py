"""Quadrilaterals in a picture: boxes, tables and frames by their lines, a sheet by its brightness.

Each is four corners, clockwise on the picture, beginning anywhere: what it is of which form is
decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Points
from inkmill.forms.locate.vision.overview import Grey, Overview, shrunk

#: Corners of quadrilaterals, float64 (n, 4, 2).
Quads = NDArray[np.float64]

#: A box has sides of at least so many overview pixels.
_LEAST_SIDE = 7.0
#: Strokes that stick out of a frame by more than this part of its shorter side, and are thinner,
#: are cut off before its sides are fitted.
_OPENED = 0.06
#: What is left must fill this part of its hull, and the hull this part of the quadrilateral.
_FILL = 0.88
#: A side is fitted to the outline's points this near, in parts of the quadrilateral's shorter side
#: but not less than pixels, away from its corners by this part.
_NEAR, _NEAR_PIXELS, _CORNERS = 0.02, 2.0, 0.12
#: Most quadrilaterals of a page, the largest first.
_MOST = 400
#: Two quadrilaterals whose corners are nearer than this part of their size are one.
_SAME = 0.06

#: A sheet is looked for in a picture of this size, and covers these parts of it.
_SHEET_SIDE, _SHEET = 480, (0.06, 0.97)
_MOST_SHEETS = 2
#: Levels between the darkest and the brightest part at which a sheet may stand out, besides Otsu's.
_LEVELS = (0.5, 0.65)


def printed_quads(overview: Overview) -> Quads:
    """Boxes, tables and frames, in overview pixels, the largest first."""
    # Gaps of a pixel are those of pale or slanted lines.
    mask = cv2.morphologyEx(overview.lines, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours, nesting = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found: list[Points] = []
    for number, contour in enumerate(contours):
        _, _, width, height = cv2.boundingRect(contour)
        if min(width, height) < _LEAST_SIDE or len(contour) < 4 * _LEAST_SIDE:
            continue
        quad = _quad_of(contour)
        if quad is None:
            continue
        # The outline runs along the line's outer edge, or around its inside.
        half = 0.5 * _thickness(mask, contour)
        found.append(_grown(quad, half if nesting[0][number][3] >= 0 else -half))
    return _distinct(found)


def sheet_outlines(grey: Grey) -> Iterator[Points]:
    """The outlines that a bright sheet on a darker ground may have, (4, 2) in pixels of ``grey``.

    The lighting is not evened out: it is the sheet's brightness that tells.
    """
    step = max(1, round(max(grey.shape) / _SHEET_SIDE))
    small = cv2.GaussianBlur(shrunk(grey, step), (0, 0), 1.5)
    # Print and ink on the sheet are not its edge.
    small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    low, high = np.percentile(small, (3, 97))
    otsu, _ = cv2.threshold(small, 0, 255, cv2.THRESH_OTSU)
    found: list[Points] = []
    for level in (otsu, *(low + part * (high - low) for part in _LEVELS)):
        bright = cv2.threshold(small, float(level), 255, cv2.THRESH_BINARY)[1]
        contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in sorted(contours, key=cv2.contourArea)[-1:]:
            part = cv2.contourArea(contour) / small.size
            quad = _quad_of(contour) if _SHEET[0] < part < _SHEET[1] else None
            if quad is not None:
                found.append((quad + 0.5) * step - 0.5)
    yield from _distinct(found)[:_MOST_SHEETS]


def _quad_of(contour: NDArray[np.int32]) -> Points | None:
    """The quadrilateral that a closed outline is, with fitted sides; None if it is none."""
    left, top, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height + 2, width + 2), np.uint8)
    cv2.drawContours(filled, [contour - [left - 1, top - 1]], -1, 255, cv2.FILLED)
    opened = round(_OPENED * min(width, height))
    if opened >= 2:
        filled = np.asarray(
            cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((opened, opened), np.uint8)), np.uint8
        )
        parts, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if not parts:
            return None
        largest = max(parts, key=cv2.contourArea)
        contour = np.asarray(largest + np.array([left - 1, top - 1]), np.int32)
    hull = cv2.convexHull(contour)
    area = cv2.contourArea(hull)
    if area <= 0 or cv2.contourArea(contour) < _FILL * area:
        return None
    rough = _four_corners(hull)
    if rough is None or area < _FILL * cv2.contourArea(rough.astype(np.float32)):
        return None
    return _fitted(rough, contour.reshape(-1, 2).astype(np.float64))


def _four_corners(hull: NDArray[np.int32]) -> Points | None:
    """The corners of a hull that is a quadrilateral but for small dents, clockwise."""
    length = cv2.arcLength(hull, True)
    for part in (0.01, 0.02, 0.03, 0.05, 0.07):
        corners = cv2.approxPolyDP(hull, part * length, True).reshape(-1, 2)
        if len(corners) == 4:
            quad = corners.astype(np.float64)
            return np.asarray(quad if _clockwise(quad) else quad[::-1], np.float64)
        if len(corners) < 4:
            return None
    return None


def _clockwise(quad: Points) -> bool:
    x, y = quad.T
    return bool((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0)


def _fitted(rough: Points, outline: Points) -> Points | None:
    """The corners where lines meet that are fitted to the outline along each side."""
    sides = np.roll(rough, -1, axis=0) - rough
    lengths = np.linalg.norm(sides, axis=1)
    if lengths.min() < _LEAST_SIDE:
        return None
    reach = max(_NEAR_PIXELS, _NEAR * lengths.min())
    lines = []
    for start, side, length in zip(rough, sides / lengths[:, None], lengths, strict=True):
        away = outline - start
        along = away @ side / length
        aside = np.abs(away @ np.array([-side[1], side[0]]))
        near = outline[(aside <= reach) & (along > _CORNERS) & (along < 1 - _CORNERS)]
        if len(near) < 0.3 * length * (1 - 2 * _CORNERS):
            return None
        x, y, at_x, at_y = (
            cv2.fitLine(near.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel().tolist()
        )
        # As a x + b y + c = 0.
        lines.append((-y, x, y * at_x - x * at_y))
    quad = []
    for before, after in zip(lines[-1:] + lines[:-1], lines, strict=True):
        x, y, w = np.cross(before, after)
        if abs(w) < 1e-6:
            return None
        quad.append((x / w, y / w))
    found = np.array(quad)
    moved = np.linalg.norm(found - rough, axis=1).max()
    return found if moved <= max(4.0, 0.1 * lengths.min()) and _clockwise(found) else None


def _thickness(mask: Grey, contour: NDArray[np.int32]) -> float:
    """The usual thickness of the lines along an outline, in pixels."""
    left, top, width, height = cv2.boundingRect(contour)
    rows = slice(max(0, top - 2), top + height + 2)
    part = mask[rows, max(0, left - 2) : left + width + 2]
    inside = cv2.distanceTransform(part, cv2.DIST_L2, 3)
    ridge = inside[(inside > 0) & (inside == cv2.dilate(inside, np.ones((3, 3))))]
    return float(2 * np.median(ridge) - 1) if len(ridge) else 1.0


def _grown(quad: Points, by: float) -> Points:
    """The quadrilateral with each corner moved away from its middle, as if each side moved."""
    sides = np.roll(quad, -1, axis=0) - quad
    unit = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    return np.asarray(quad + by * (np.roll(unit, 1, axis=0) - unit), np.float64)


def _distinct(quads: list[Points]) -> Quads:
    """Quadrilaterals without doubles, the largest first."""
    kept: list[Points] = []
    middles = np.empty((0, 2))
    for quad in sorted(quads, key=lambda each: -cv2.contourArea(each.astype(np.float32))):
        size = np.sqrt(cv2.contourArea(quad.astype(np.float32)))
        near = np.flatnonzero(np.linalg.norm(middles - quad.mean(axis=0), axis=1) < _SAME * size)
        if any(_apart(kept[number], quad) < _SAME * size for number in near):
            continue
        kept.append(quad)
        middles = np.vstack([middles, quad.mean(axis=0)])
        if len(kept) >= _MOST:
            break
    return np.array(kept).reshape(-1, 4, 2)


def _apart(one: Points, other: Points) -> float:
    return min(
        float(np.linalg.norm(one - np.roll(other, turn, axis=0), axis=1).max()) for turn in range(4)
    )
