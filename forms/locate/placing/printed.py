"""The blank's print as evidence, for pages whose boxes are too few or too alike to decide.

As with boxes (`inkmill.forms.locate.vision.evidence`): where the blank is printed, the page must
be, and beside that it must be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply, inverse
from inkmill.forms.locate.shapes.quads import Quads, printed_quads
from inkmill.forms.locate.vision.evidence import hits_of
from inkmill.forms.locate.vision.overview import Grey, Overview
from inkmill.template.registration import Blank

#: Places of the blank's print that are compared, and as many beside it.
_PLACES = 1500
#: A place beside print is this far from any, in pixels of the blank's overview.
_BESIDE = (3.0, 9.0)
#: How near the page's outlines must be in each round of fitting the print's to them, in pixels.
_NEAR = (5.0, 4.0, 3.0, 2.5, 2.5)
#: The blurs, in pixels, between which print has its detail.
_DETAIL = (1.2, 5.0)
#: Least number of outlines that must be near.
_LEAST = 100


@dataclass(frozen=True)
class Printed:
    """Places on the outlines of the blank's print, on it, and beside it: (n, 2), template units.

    ``quads`` (n, 4, 2) are its boxes, tables and frames; ``picture`` uint8 is the blank's overview,
    and ``to_units`` 3x3 maps its pixels.
    """

    outline: Points
    on: Points
    beside: Points
    quads: Quads
    picture: Grey
    to_units: Matrix

    @classmethod
    def of(cls, blank: Blank) -> Printed:
        """The print of a blank; cached."""
        return _printed(blank.data(), blank.box)

    def seen(self, transform: Matrix, near: NDArray[np.uint8]) -> float:
        """How certainly the print is where ``transform`` puts it: 1, or about 0 by chance.

        The share of the print that lies on lines, less that share of what is beside it.
        """
        if not len(self.on) or not len(self.beside):
            return 0.0
        on, beside = (hits_of(each, transform, near).mean() for each in (self.on, self.beside))
        return float(on - beside)

    def likeness(self, transform: Matrix, overview: Overview) -> float:
        """Correlation of the print in detail, -1 to 1: other words in the same lines are not alike.

        Between the blank and the page, each without its coarse light and dark, on and near print.
        """
        height, width = self.picture.shape
        laid = cv2.warpPerspective(
            overview.grey,
            transform @ self.to_units,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(255, 255, 255),
        )
        mask = cv2.dilate(Overview(self.picture, 1.0, 1.0).lines, np.ones((7, 7), np.uint8)) > 0
        if not mask.any():
            return 0.0
        one, other = (_detail(each)[mask] for each in (self.picture, np.asarray(laid, np.uint8)))
        spread = float(one.std() * other.std())
        return float(((one - one.mean()) * (other - other.mean())).mean() / max(spread, 1e-9))

    def fitted(self, transform: Matrix, overview: Overview) -> Matrix:
        """The transform to overview pixels, fitted to the outlines of the page's print.

        By the nearest outlines, again and again (Besl and McKay 1992). Unchanged if too few are
        near.
        """
        edges = _outlines(overview.lines)
        _, labels = cv2.distanceTransformWithLabels(
            cv2.bitwise_not(edges), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        rows, columns = np.nonzero(edges)
        place_of = np.zeros((int(labels.max()) + 1, 2))
        place_of[labels[rows, columns]] = np.column_stack([columns, rows])
        for reach in _NEAR:
            here = apply(transform, self.outline)
            whole = np.rint(here)
            inside = ((whole >= 0) & (whole < edges.shape[::-1])).all(axis=1)
            column, row = whole[inside].astype(int).T
            there = place_of[labels[row, column]]
            close = np.linalg.norm(there - here[inside], axis=1) < reach
            if close.sum() < _LEAST:
                return transform
            found, _ = cv2.findHomography(self.outline[inside][close], there[close], 0)
            if found is None or not np.isfinite(found).all():
                return transform
            transform = np.asarray(found, np.float64)
        return transform


@lru_cache(maxsize=16)
def _printed(png: bytes, box: tuple[float, float, float, float]) -> Printed:
    grey = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)
    overview = Overview.of(grey)
    x, y, w, h = box
    height, width = grey.shape
    to_pixels = np.array(
        [[width / w, 0, -x * width / w - 0.5], [0, height / h, -y * height / h - 0.5], [0, 0, 1]]
    )
    to_units = inverse(to_pixels) @ overview.to_page
    away = cv2.distanceTransform(cv2.bitwise_not(overview.lines), cv2.DIST_L2, 5)
    masks = (
        _outlines(overview.lines) > 0,
        overview.lines > 0,
        (away >= _BESIDE[0]) & (away <= _BESIDE[1]),
    )
    quads = printed_quads(overview).reshape(-1, 2)
    outline, on, beside = (apply(to_units, _some(mask)) for mask in masks)
    return Printed(
        outline,
        on=on,
        beside=beside,
        quads=apply(to_units, quads).reshape(-1, 4, 2),
        picture=overview.grey,
        to_units=to_units,
    )


def _detail(grey: Grey) -> NDArray[np.float32]:
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), blur).astype(np.float32) for blur in _DETAIL)
    return np.asarray(fine - coarse, np.float32)


def _some(mask: NDArray[np.bool_]) -> Points:
    """At most so many places of a mask, spread over it, as (x, y)."""
    rows, columns = np.nonzero(mask)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _PLACES)).round().astype(int)
    return np.column_stack([columns[chosen], rows[chosen]]).astype(np.float64).reshape(-1, 2)


def _outlines(lines: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mask (0 or 255) of the pixels of lines that touch paper."""
    inner = cv2.erode(lines, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.subtract(lines, inner), np.uint8)
