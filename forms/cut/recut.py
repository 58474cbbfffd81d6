"""Pictures of fields, cut again from a page with the transform stored in its row."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.fieldstrips import cut_strips
from inkmill.forms.geometry import corners
from inkmill.forms.intake import decode_page
from inkmill.imagefile.sniff import Limits
from inkmill.template.form import Form, FormField

Grey = NDArray[np.uint8]
Box = tuple[float, float, float, float]

#: Margin of paper around a field, as a part of a cell's shorter side.
_MARGIN = 0.35
#: A picture's height in pixels: enough to read, small enough to send by the thousand.
_HEIGHT = 72
_WIDEST = 900


def cut_again(
    data: bytes,
    page: int,
    form: Form,
    wanted: Sequence[tuple[str, tuple[float, ...]]],
    limits: Limits | None = None,
) -> list[bytes]:
    """PNG pictures of fields of one page of a file; ``wanted`` has (name, the row's transform).

    Raises ItemError if the page can no longer be decoded.
    """
    grey = decode_page(data, page, limits).grey
    fields = {each.name: each for each in form.all_fields}
    return [png(field_picture(grey, fields[name], transform)) for name, transform in wanted]


def strips_again(
    data: bytes,
    page: int,
    form: Form,
    wanted: Sequence[tuple[str, tuple[float, ...]]],
    limits: Limits | None = None,
) -> list[bytes]:
    """PNG pictures of numbers without cells as their reader saw them, without lines and neighbours.

    As `cut_again` otherwise; this is what such a reader is trained with.
    """
    grey = decode_page(data, page, limits).grey
    fields = {each.name: each for each in form.all_fields}
    found = list[bytes]()
    for name, transform in wanted:
        field = fields[name]
        assert field.box is not None
        lined = field.lined and form.registration_of(field.page).lines
        matrix = np.array(transform, np.float64).reshape(3, 3)
        (strip,) = cut_strips(grey, matrix, [(field.box, lined)])
        found.append(png(strip.grey))
    return found


def field_picture(
    grey: Grey,
    field: FormField,
    transform: Sequence[float],
    *,
    cell: int | None = None,
    height: int = _HEIGHT,
) -> Grey:
    """A field, or one ``cell`` of it, with a margin, straightened: uint8 (height, width)."""
    boxes = field.cells.rectangles()
    boxes = boxes if cell is None else boxes[cell : cell + 1]
    margin = _MARGIN * min(min(w, h) for _, _, w, h in boxes)
    left, top = min(b[0] for b in boxes) - margin, min(b[1] for b in boxes) - margin
    right = max(b[0] + b[2] for b in boxes) + margin
    bottom = max(b[1] + b[3] for b in boxes) + margin
    return straighten(grey, transform, (left, top, right - left, bottom - top), height)


def straighten(grey: Grey, transform: Sequence[float], box: Box, height: int = _HEIGHT) -> Grey:
    """A box in template units, cut from the page and straightened, ``height`` pixels high."""
    matrix = np.array(transform, np.float64).reshape(3, 3)
    points = np.column_stack([corners(box), np.ones(4)]) @ matrix.T
    points = np.asarray(points[:, :2] / points[:, 2:], np.float32)
    across = max(float(np.linalg.norm(points[1] - points[0])), 1.0)
    down = max(float(np.linalg.norm(points[3] - points[0])), 1.0)
    widest = _WIDEST * height // _HEIGHT
    width = int(min(max(round(height * across / down), 8), widest))
    # A fine scan is cut at twice the size and averaged, so that thin strokes do not break up.
    finer = 2 if down > height else 1
    target = finer * np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    into = cv2.getPerspectiveTransform(points - 0.5, (target - 0.5).astype(np.float32))
    size = (finer * width, finer * height)
    picture = cv2.warpPerspective(
        grey, into, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255
    )
    if finer > 1:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)


def png(picture: Grey) -> bytes:
    """A grey picture as a PNG file."""
    return bytes(cv2.imencode(".png", picture)[1])
