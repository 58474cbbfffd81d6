"""A mark or a page code, found where a person points at it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.desk.imaging.link import Message
from inkmill.desk.imaging.pictures import Box, Grey, View, decode, rounded
from inkmill.errors import UsageError
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.make.finding.printed import read_codes
from inkmill.template.registration import Shape

#: A mark is searched for within this part of the page's longer side.
_NEAR = 0.03
#: A mark's sides differ by at most this ratio, and it has at least so many pixels across.
_SQUARE, _SMALLEST = 1.7, 6
#: The least share of its rectangle that a mark fills: a square all of it, a disc pi/4, and two arms
#: of a twelfth of its size, which an L or a cross has, a sixth.
_SQUARE_FILL, _DISC_FILL, _ARMS_FILL = 0.88, 0.66, 0.15


def mark(request: Message) -> Message:
    """The mark nearest to the point ``at`` (pixels): its shape, its centre and size in units.

    Raises UsageError if there is none.
    """
    view = _view(request)
    found = nearest_mark(decode(request.blobs[0]), tuple(request.head["at"]))
    ((x, y, size, _),) = view.to_units([(*found.centre, found.side, found.side)])
    return Message({"shape": found.shape, "at": rounded((x, y)), "size": round(size, 5)})


@dataclass(frozen=True)
class FoundMark:
    """A printed mark: ``centre`` and ``side`` (or diameter) in pixels of the browser."""

    shape: Shape
    centre: tuple[float, float]
    side: float


def nearest_mark(grey: Grey, at: tuple[float, float]) -> FoundMark:
    """The mark nearest to a point in pixels. Raises UsageError if there is none."""
    reach = _NEAR * max(grey.shape)
    left, top = (max(0, round(value - reach)) for value in at)
    part = np.ascontiguousarray(grey[top : round(at[1] + reach), left : round(at[0] + reach)])
    if part.size:
        solid = Overview.of(part, longest=max(part.shape)).solid()
        count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
        found = list[FoundMark]()
        for number in range(1, count):
            x, y, width, height, _ = stats[number].tolist()
            shape = _shape(labels[y : y + height, x : x + width] == number)
            if shape is not None:
                centre = (left + x + width / 2, top + y + height / 2)
                found.append(FoundMark(shape, centre, (width + height) / 2))
        if found:
            return min(found, key=lambda each: math.dist(each.centre, at))
    raise UsageError("no mark is printed there: click on a square, a disc, a cross or an L")


def _shape(mask: NDArray[np.bool_]) -> Shape | None:
    """What mark a component is, if it may be one, by how much of its rectangle it fills."""
    height, width = mask.shape
    if min(width, height) < _SMALLEST or max(width, height) > _SQUARE * min(width, height):
        return None
    fill = float(mask.mean())
    if fill >= _SQUARE_FILL:
        return "square"
    if fill >= _DISC_FILL:
        return "circle"
    if fill < _ARMS_FILL or min(width, height) < 2 * _SMALLEST:
        return None
    middle = mask[height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2]
    return "cross" if middle.all() else "L"


def code(request: Message) -> Message:
    """The page code in ``rectangle`` (pixels): its kind, its text, and its box in units.

    The text is empty if none could be read; the box is then the rectangle.
    """
    found = read_code(decode(request.blobs[0]), request.head["rectangle"])
    box = found.pop("box", request.head["rectangle"])
    return Message({**found, "box": rounded(_view(request).to_units([tuple(box)])[0])})


def read_code(grey: Grey, rectangle: Box) -> dict[str, Any]:
    """Kind, text and box in pixels of the code in a rectangle; kind any and no text without one."""
    x, y, w, h = rectangle
    margin = 0.15 * min(w, h)
    left, top = (max(0, round(value - margin)) for value in (x, y))
    part = grey[top : round(y + h + margin), left : round(x + w + margin)]
    if not part.size:
        raise UsageError("the rectangle is outside the page: draw it around the code")
    for scale in (1.0, 2.0, 3.0):
        tried = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for kind, text, corners in read_codes(np.asarray(tried, np.uint8)):
            low = corners.min(axis=0) / scale + (left, top)
            size = np.ptp(corners, axis=0) / scale
            box = [*low.tolist(), *np.maximum(size, (1, h if size[1] < 2 else 1)).tolist()]
            return {"kind": kind, "text": text, "box": box}
    return {"kind": "any", "text": ""}


def _view(request: Message) -> View:
    width, height = request.head["size"]
    return View(tuple(request.head["box"]), (int(width), int(height)))
