"""Pictures for the desk: a field or a cell large enough to key from, and the page around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.recut import field_picture, png
from inkmill.forms.geometry import corners
from inkmill.forms.intake import decode_page
from inkmill.imagefile.sniff import Limits
from inkmill.template.form import Form, FormField

Grey = NDArray[np.uint8]

#: Height of a field's picture in pixels: with its margins, a digit of it has 70 or more.
FIELD_HEIGHT = 144
#: Height of a cell's picture on a screen of many.
CELL_HEIGHT = 96
#: Longest side of the picture of a page in pixels, and its JPEG quality.
PAGE_SIDE, _QUALITY = 1600, 80
#: The colour of the frame around a field on its page (blue, green, red), as wide as a pen's line.
_FRAME, _FRAME_WIDTH = (0, 0, 220), 3

FIELD, CELL, AROUND, PAGE = "field", "cell", "around", "page"


@dataclass(frozen=True, slots=True)
class View:
    """A picture that is wanted of a page: its field, one cell of it, or the page around it.

    ``transform`` maps template units to the scan's pixels, row by row; a ``page`` needs none.
    """

    kind: str
    field: str = ""
    cell: int = 0
    transform: tuple[float, ...] = ()


def enlarged(
    data: bytes, page: int, form: Form | None, views: Sequence[View], limits: Limits | None = None
) -> list[bytes]:
    """A picture for each view of one page of a file: PNG, or JPEG where it shows the page.

    Raises ItemError if the page cannot be decoded.
    """
    grey = decode_page(data, page, limits).grey
    fields = {each.name: each for each in form.all_fields} if form is not None else {}
    return [_picture(grey, view, fields.get(view.field)) for view in views]


def by_corners(
    data: bytes,
    page: int,
    form: Form,
    number: int,
    corners: Sequence[tuple[float, float]],
    limits: Limits | None = None,
) -> tuple[list[tuple[float, float]], list[tuple[str, bytes]]]:
    """The corners in pixels, and names and pictures (PNG) of the fields that they cut.

    ``corners`` are parts of the page's width and height, ``number`` is the page of the form; see
    `inkmill.forms.locate.registration.locate_by_hand`. Raises ItemError if the page cannot be
    decoded, or these are not the corners of a page.
    """
    from inkmill.forms.locate.registration import locate_by_hand

    decoded = decode_page(data, page, limits, form.needs_colour)
    height, width = decoded.grey.shape
    points = [(x * width, y * height) for x, y in corners]
    transform = locate_by_hand(decoded, form, number, points).transform.ravel().tolist()
    return points, [
        (field.name, png(field_picture(decoded.grey, field, transform)))
        for field in form.page_fields(number)
    ]


def _picture(grey: Grey, view: View, field: FormField | None) -> bytes:
    if field is None or view.kind == PAGE:
        return _jpeg(_smaller(grey)[0])
    if view.kind == FIELD:
        return png(field_picture(grey, field, view.transform, height=FIELD_HEIGHT))
    if view.kind == CELL:
        return png(field_picture(grey, field, view.transform, cell=view.cell, height=CELL_HEIGHT))
    return _jpeg(_around(grey, field, view.transform))


def _around(grey: Grey, field: FormField, transform: Sequence[float]) -> NDArray[np.uint8]:
    """The page with a frame around the field."""
    small, scale = _smaller(grey)
    boxes = field.cells.rectangles()
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    outline = np.column_stack([corners((left, top, right - left, bottom - top)), np.ones(4)])
    points = outline @ np.array(transform, np.float64).reshape(3, 3).T
    points = scale * points[:, :2] / points[:, 2:]
    coloured = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    cv2.polylines(coloured, [np.int32(points)], True, _FRAME, _FRAME_WIDTH, cv2.LINE_AA)
    return np.asarray(coloured, np.uint8)


def _smaller(grey: Grey) -> tuple[Grey, float]:
    """The page at most `PAGE_SIDE` pixels long, and its scale."""
    scale = min(1.0, PAGE_SIDE / max(grey.shape))
    if scale == 1.0:
        return grey, scale
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])
