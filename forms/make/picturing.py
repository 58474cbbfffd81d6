"""Pictures for people: a template's boxes drawn over pages, and pages that were not located."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply, corners
from inkmill.forms.locate.registration import Located
from inkmill.template.form import Form

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

_BOX, _FIELD, _MARK, _TEXT = (40, 40, 220), (200, 90, 20), (40, 160, 40), (120, 30, 0)
#: Colour of fields that are not on their printed lines.
_LOST = (220, 0, 220)
#: Longer side of one page on a contact sheet in pixels, and the number of pages in a row.
_TILE, _ACROSS = 900, 3
#: Around enlarged fields, so many times a cell's height of the page is shown.
_AROUND = 1.5
#: Longest side of the stored picture of a page that could not be located.
_EVIDENCE = 1000


def overlay(
    grey: Grey,
    form: Form,
    page_number: int,
    located: Located,
    readings: Mapping[str, str] | None = None,
) -> Colour:
    """The page in colour, with cells, field names and marks drawn where they were found.

    Fields that are not on their printed lines have a colour of their own. ``readings`` are texts to
    write behind the names, by field.
    """
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    thick = max(1, round(max(grey.shape) / 900))
    for number, field in enumerate(form.page_fields(page_number)):
        colour = _BOX if field.read else _FIELD
        colour = colour if located.sees(number) else _LOST
        boxes = located.moved(number, field.cells.rectangles())
        for box in boxes:
            _outline(picture, located.transform, corners(box), colour, thick)
        first = apply(located.transform, corners(boxes[0])[:1])[0]
        read = f": {readings[field.name]}" if readings and field.name in readings else ""
        _write(picture, field.name + read, first, thick)
    marks = form.registration_of(page_number).marks
    for at in marks.at if marks is not None else ():
        x, y = apply(located.transform, np.array([at]))[0]
        cv2.drawMarker(
            picture, (round(x), round(y)), _MARK, cv2.MARKER_TILTED_CROSS, 14 * thick, thick
        )
    return picture


def around_fields(
    picture: Colour, form: Form, page_number: int, located: Located, names: Collection[str]
) -> Colour | None:
    """The part of an overlay around some fields; None if the page has none of them."""
    points = [
        apply(located.transform, corners(box))
        for number, field in enumerate(form.page_fields(page_number))
        if field.name in names
        for box in located.moved(number, field.cells.rectangles())
    ]
    if not points:
        return None
    margin = _AROUND * float(np.linalg.norm(points[0][3] - points[0][0]))
    low = np.floor(np.vstack(points).min(axis=0) - margin).astype(int).clip(0)
    high = np.ceil(np.vstack(points).max(axis=0) + margin).astype(int)
    part = picture[low[1] : high[1], low[0] : high[0]]
    return np.asarray(part, np.uint8) if part.size else None


def on_blank(blank: Grey, form: Form, page_number: int, transform: Matrix) -> Colour:
    """The boxes drawn over a blank, where the template says they are."""
    place = Located(transform, 0.0, None, 0, "blank", 0.0)
    return overlay(blank, form, page_number, place)


def _outline(
    picture: Colour, transform: Matrix, points: Points, colour: tuple[int, int, int], thick: int
) -> None:
    places = np.rint(apply(transform, points) * 16).astype(np.int32)
    cv2.polylines(picture, [places], True, colour, thick, cv2.LINE_AA, 4)


def _write(picture: Colour, text: str, at: Points, thick: int) -> None:
    scale = 0.35 * thick + 0.15
    place = (round(float(at[0])), round(float(at[1])) - 3 * thick)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT, thick, cv2.LINE_AA)


def contact_sheet(pictures: Sequence[Colour], captions: Sequence[str]) -> Colour:
    """Pages side by side, each with a caption above it."""
    tiles = [_tile(picture, caption) for picture, caption in zip(pictures, captions, strict=True)]
    width = max(tile.shape[1] for tile in tiles)
    rows = []
    across = min(_ACROSS, len(tiles))
    for start in range(0, len(tiles), across):
        height = max(tile.shape[0] for tile in tiles[start : start + across])
        row = [_padded(tile, width, height) for tile in tiles[start : start + across]]
        row += [np.full_like(row[0], 255)] * (across - len(row))
        rows.append(np.hstack(row))
    return np.asarray(np.vstack(rows), np.uint8)


def _tile(picture: Colour, caption: str) -> Colour:
    scale = _TILE / max(picture.shape)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, size, interpolation=how)
    title = np.full((28, size[0], 3), 255, np.uint8)
    cv2.putText(title, caption, (4, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.vstack([title, small]), np.uint8)


def _padded(tile: Colour, width: int, height: int) -> Colour:
    border = ((0, height - tile.shape[0]), (0, width - tile.shape[1] + 6), (0, 0))
    return np.asarray(np.pad(tile, border, constant_values=255), np.uint8)


def evidence(grey: Grey) -> bytes:
    """A small JPEG of a page that could not be located, stored beside its row."""
    scale = min(1.0, _EVIDENCE / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return bytes(data)
