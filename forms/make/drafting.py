"""A draft template from what was found on a form's pages, and its numbered pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inkmill.errors import UsageError
from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.make.finding.boxes import BoxRow
from inkmill.forms.make.finding.printed import FoundCode, FoundMarks
from inkmill.forms.make.numbering import page_numbers
from inkmill.template.form import Form

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

#: Longer side in pixels of the blank in a template, stored in sixteen greys.
_STORED_SIDE = 1400
#: Frames of the pages of one form differ in aspect by less than this ratio.
_SAME_ASPECT = 1.01
#: Without marks, the shorter side of a page is taken for A4's, in mm.
_A4_WIDTH = 210.0
_RED, _BLUE = (40, 40, 220), (200, 90, 20)


@dataclass(frozen=True)
class FoundPage:
    """What was found on one upright page.

    ``grey`` uint8 (height, width) is the page, ``blank`` the same without the ink in its boxes;
    ``rows`` its boxes from top to bottom; ``marks`` and ``codes`` in its pixels.
    """

    grey: Grey
    blank: Grey
    rows: tuple[BoxRow, ...]
    marks: FoundMarks | None
    codes: tuple[FoundCode, ...]


def draft(pages: Sequence[FoundPage], name: str, note: Callable[[str], None]) -> Form:
    """A template with a field for each row of boxes on the pages of a form.

    ``note`` is told what a person should look at. With marks on every page, positions are fractions
    of their frame; otherwise pages are assumed to be as wide as A4. Raises UsageError if the boxes
    make no template.
    """
    pages, pattern = _numbered_by_codes(pages, note)
    framed = _framed(pages)
    places = [_into_units(page, framed) for page in pages]
    fields: list[dict[str, Any]] = []
    for number, (page, into) in enumerate(zip(pages, places, strict=True), 1):
        for row in page.rows:
            fields.append(_field(len(fields) + 1, row, into, number))
    located = [
        _registration(page, into, pattern, note) for page, into in zip(pages, places, strict=True)
    ]
    data = {
        "inkmill_form": 1,
        "name": _form_name(name),
        "page": _page_size(pages[0], places[0], framed),
        "registration": located[0],
        "fields": fields,
        "pages": [
            {"number": number, "registration": each} for number, each in enumerate(located, 1)
        ][1:],
    }
    try:
        return Form.model_validate(data)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(
            f"the {len(fields)} rows of boxes that were found make no template ({reason}): give a "
            "whole page, straight and alone in its picture"
        ) from error


def _form_name(name: str) -> str:
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:60]
    return cleaned or "form"


def _numbered_by_codes(
    pages: Sequence[FoundPage], note: Callable[[str], None]
) -> tuple[Sequence[FoundPage], str | None]:
    """The pages in the order that their codes say, and the codes' pattern; if they say one."""
    texts = [page.codes[0].text for page in pages if page.codes]
    said = page_numbers(texts) if len(texts) == len(pages) else None
    if said is None:
        return pages, None
    if said.others:
        numbers = " and ".join(said.others)
        note(
            f"the page codes, such as {texts[0]!r}, say the page; if {numbers} is the number of a "
            "document, put (?P<document>[0-9]+) in its place in the draft's pattern"
        )
    ordered = sorted(zip(said.order, pages, strict=True), key=lambda pair: pair[0])
    return [page for _, page in ordered], said.pattern


# --- places --------------------------------------------------------------------------------------


def _framed(pages: Sequence[FoundPage]) -> bool:
    """Whether all pages have marks whose frames have one shape."""
    aspects = []
    for page in pages:
        if page.marks is None:
            return False
        low, high = _frame(page.marks)
        aspects.append(float((high - low)[1] / (high - low)[0]))
    return max(aspects) < _SAME_ASPECT * min(aspects)


def _frame(marks: FoundMarks) -> tuple[Points, Points]:
    """Top left and bottom right of the frame between the marks: the means of its sides."""
    corners = marks.at[:4]
    low = np.array([corners[[0, 3], 0].mean(), corners[[0, 1], 1].mean()])
    high = np.array([corners[[1, 2], 0].mean(), corners[[2, 3], 1].mean()])
    return low, high


def _into_units(page: FoundPage, framed: bool) -> Matrix:
    """3x3: the page's pixels to template units."""
    if framed and page.marks is not None:
        low, high = _frame(page.marks)
        span = high - low
        return np.array(
            [[1 / span[0], 0, -low[0] / span[0]], [0, 1 / span[1], -low[1] / span[1]], [0, 0, 1]]
        )
    unit = _A4_WIDTH / min(page.grey.shape)
    return np.array([[unit, 0, 0.5 * unit], [0, unit, 0.5 * unit], [0, 0, 1]])


def _extent(page: FoundPage, into: Matrix) -> tuple[float, float, float, float]:
    """The whole picture in template units: left, top, width, height."""
    height, width = page.grey.shape
    edges = apply(into, np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    (left, top), (right, bottom) = edges.tolist()
    return left, top, right - left, bottom - top


def _page_size(page: FoundPage, into: Matrix, framed: bool) -> dict[str, Any]:
    if framed:
        return {"unit": "frame", "aspect": round(float(into[0, 0] / into[1, 1]), 5)}
    _, _, width, height = _extent(page, into)
    size = _rounded((width, height))
    return {"width": size[0], "height": size[1], "unit": "mm"}


def _registration(
    page: FoundPage, into: Matrix, pattern: str | None, note: Callable[[str], None]
) -> dict[str, Any]:
    registration: dict[str, Any] = {
        "blank": {"png": _stored(page.blank), "box": _rounded(_extent(page, into))}
    }
    if page.marks is not None:
        registration["marks"] = {
            "shape": page.marks.shape,
            "size": round(page.marks.size * into[0, 0], 5),
            "at": [_rounded(point) for point in apply(into, page.marks.at).tolist()],
        }
    if page.codes:
        code = page.codes[0]
        x, y, width, height = code.box
        (left, top), (right, bottom) = apply(into, np.array([[x, y], [x + width, y + height]]))
        box = _rounded((left, top, right - left, bottom - top))
        registration["code"] = {"kind": code.kind, "box": box}
        registration["code"] |= {"pattern": pattern} if pattern else {"value": code.text}
        if not pattern:
            note(
                f"the page code says {code.text!r}, and the draft takes only pages whose code "
                "begins so: shorten its value if the rest differs from sheet to sheet"
            )
    return registration


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _stored(blank: Grey) -> str:
    """The blank as a small PNG of sixteen greys, base64."""
    import base64

    from PIL import Image

    scale = min(1.0, _STORED_SIDE / max(blank.shape))
    size = (round(blank.shape[1] * scale), round(blank.shape[0] * scale))
    small = cv2.resize(blank, size, interpolation=cv2.INTER_AREA)
    sink = io.BytesIO()
    grey = (np.rint(small / 17.0) * 17).astype(np.uint8)
    Image.fromarray(grey).quantize(16).convert("L").save(sink, "PNG", optimize=True)
    return base64.b64encode(sink.getvalue()).decode("ascii")


# --- fields --------------------------------------------------------------------------------------


def _field(number: int, row: BoxRow, into: Matrix, page: int) -> dict[str, Any]:
    corners = apply(into, row.boxes[:, :2])
    sizes = row.boxes[:, 2:] * (into[0, 0], into[1, 1])
    cells: dict[str, Any]
    width, height = (float(value) for value in np.median(sizes, axis=0))
    if row.count == 1:
        cells = {"origin": _rounded(corners[0]), "size": _rounded((width, height))}
    else:
        start, pitch, off = _even(corners)
        if off < 0.06 * width:
            cells = {
                "origin": _rounded(start),
                "size": _rounded((width, height)),
                "pitch": _rounded(pitch),
                "count": row.count,
            }
        else:
            boxes = np.column_stack([corners, sizes])
            cells = {"boxes": [_rounded(box) for box in boxes]}
    kind = "image" if row.text else "checkbox" if row.tick else "digits"
    field = {"name": f"box_{number:03d}", "type": kind, "cells": cells}
    return field if page == 1 else field | {"page": page}


def _even(corners: Points) -> tuple[Points, Points, float]:
    """Start, step, and the largest deviation of the corners from an even step."""
    steps = np.arange(len(corners), dtype=np.float64)
    step, start = np.polyfit(steps, corners, 1)
    off = np.abs(start + steps[:, None] * step - corners).max()
    return np.asarray(start), np.asarray(step), float(off)


# --- the picture ---------------------------------------------------------------------------------


def numbered(page: Grey, form: Form, page_number: int = 1) -> Colour:
    """A page of a draft with every field framed and numbered, uint8 (height, width, 3)."""
    into = _page_pixels(page, form, page_number)
    picture = np.asarray(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR), np.uint8)
    scale = max(0.5, min(page.shape) / 2200)
    for number, field in enumerate(form.fields, 1):
        if field.page != page_number:
            continue
        boxes = np.array(field.cells.rectangles())
        for x, y, w, h in boxes.tolist():
            (left, top), (right, bottom) = apply(into, np.array([[x, y], [x + w, y + h]])).tolist()
            cv2.rectangle(
                picture, (round(left), round(top)), (round(right), round(bottom)), _RED, 2
            )
        left, top = apply(into, boxes[:1, :2])[0].tolist()
        text = str(number)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        at = (max(0, round(left) - width - 6), round(top) + height + 4)
        ground = (at[0] - 2, at[1] - height - 3), (at[0] + width + 2, at[1] + 4)
        cv2.rectangle(picture, *ground, (255, 255, 255), -1)
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _BLUE, 2, cv2.LINE_AA)
    return picture


def _page_pixels(page: Grey, form: Form, page_number: int) -> Matrix:
    """3x3: template units to the pixels of the page that the template was made from."""
    stored = form.registration_of(page_number).blank
    assert stored is not None
    x, y, w, h = stored.box
    height, width = page.shape
    return np.array(
        [[width / w, 0, -x * width / w - 0.5], [0, height / h, -y * height / h - 0.5], [0, 0, 1]]
    )
