"""Whether a picture shows more than the page that was located on it.

Feeders stack both sides of a sheet, book scanners lay two pages side by side, and phones see two
sheets on a table. Reading one of them only would lose the other.
"""

from __future__ import annotations

import cv2
import numpy as np

from inkmill.forms.geometry import Matrix, Points, apply, corners
from inkmill.forms.locate.vision.evidence import Outlines
from inkmill.forms.locate.vision.overview import Grey, Overview
from inkmill.template.form import Form
from inkmill.template.registration import Registration

#: A page that covers more of its picture than this leaves no room for another one.
_ALONE = 0.62
#: Another page has at least this part of the ink of the located one.
_LEAST_INK = 0.25
#: What is as wide as this, in overview pixels, is not print.
_WIDE = 9
#: Two pages of one scan: the located one is as wide (or as long) as the picture, but for this part,
#: and what is beside it has at least this part of its length.
_SPANS, _ROOM = 0.88, 0.85
#: A scan is turned and stretched by at most this.
_FLAT = 0.06


def sheet_on(form: Form, registration: Registration, outlines: Outlines, place: Matrix) -> Points:
    """The corners (4, 2) of the page that ``place``, 3x3, maps to pixels.

    With positions in fractions, of all that the template names.
    """
    if form.page.unit == "mm" and form.page.width and form.page.height:
        return apply(place, corners((0.0, 0.0, form.page.width, form.page.height)))
    known = outlines.edge
    if registration.marks is not None:
        known = np.vstack([known, np.array(registration.marks.at, np.float64)])
    (left, top), (right, bottom) = known.min(axis=0), known.max(axis=0)
    return apply(place, corners((left, top, right - left, bottom - top)))


def room_for_another(overview: Overview, sheet: Points) -> bool:
    """Whether there is room beside a page, and as much print there as on a page."""
    whole = overview.grey.size
    if cv2.contourArea(sheet.astype(np.float32)) > _ALONE * whole:
        return False
    # Print is thin: a dark edge of the glass is not.
    wide = cv2.morphologyEx(overview.lines, cv2.MORPH_OPEN, np.ones((_WIDE, _WIDE), np.uint8))
    thin = cv2.subtract(overview.lines, cv2.dilate(wide, np.ones((_WIDE, _WIDE), np.uint8)))
    inside = cv2.countNonZero(cv2.bitwise_and(thin, _filled(overview, sheet)))
    outside = cv2.countNonZero(thin) - inside
    return bool(outside >= _LEAST_INK * inside)


def beside_it_on_a_scan(overview: Overview, sheet: Points) -> bool:
    """Whether a flat scan is as large as two such pages, of which this is one."""
    across, down = sheet[1] - sheet[0], sheet[3] - sheet[0]
    far = sheet[2] - sheet[1] - sheet[3] + sheet[0]
    longest = max(np.linalg.norm(across), np.linalg.norm(down))
    slant = min(np.abs(across).min(), np.abs(down).min()) / longest
    if np.linalg.norm(far) > _FLAT * longest or slant > _FLAT:
        return False
    size = np.array(overview.grey.shape[::-1], np.float64)
    low, high = np.maximum(sheet.min(axis=0), 0), np.minimum(sheet.max(axis=0), size)
    spans = (high - low) / size
    room = np.maximum(low, size - high) / (high - low)
    return any(bool(spans[n] >= _SPANS and room[1 - n] >= _ROOM) for n in (0, 1))


def without(grey: Grey, sheet: Points) -> Grey:
    """A copy of the picture, uint8 (height, width), on which the page is plain paper."""
    cleared = grey.copy()
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(sheet).astype(np.int32), 255)
    paper = float(np.percentile(grey[inside > 0][::16], 80)) if inside.any() else 255.0
    cleared[inside > 0] = round(paper)
    return cleared


def _filled(overview: Overview, sheet: Points) -> Grey:
    mask = np.zeros(overview.grey.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(sheet).astype(np.int32), 255)
    return mask
