"""A template from a blank and a filled-in table: draft, numbered picture, table, build.

`form detect` writes three files: a draft template with fields box_001, box_002 ..., a picture of
the blank with the same numbers, and a table to fill in. `form build` makes the template from the
draft and the filled-in table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inkmill.errors import FormError, UsageError
from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.make.detecting import (
    BoxRow,
    FoundMarks,
    find_marks,
    find_rows,
    whole_boxes,
)
from inkmill.template.fields import FormField
from inkmill.template.form import Form

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

COLUMNS = ("number", "name", "type", "cells", "digits", "decimals", "unused", "none", "sum_of")
TYPES = ("digits", "number", "code", "checkbox", "image", "skip")
#: Longer side in pixels of the blank in a template, stored in sixteen greys.
_STORED_SIDE = 1400
_RED, _BLUE = (40, 40, 220), (200, 90, 20)


def _unheard(_: str) -> None:
    pass


def draft(
    blank: Grey, name: str, learnt: bool = False, note: Callable[[str], None] = _unheard
) -> Form:
    """A template with a field for each row of boxes on ``blank``, uint8 (height, width).

    ``learnt`` says that the blank was learnt from filled scans; ``note`` is told what is left out.
    With marks, positions are fractions of their frame; without, the page is assumed to be as wide
    as A4 and located by its features. Raises UsageError if no box is found, or if the boxes make no
    template.
    """
    rows, cut = whole_boxes(find_rows(blank, learnt), blank)
    for left, top, *_ in cut.round().astype(int).tolist():
        note(f"left out: the box at {left}, {top} pixels, which the picture's edge cuts off")
    if not rows:
        raise UsageError("no boxes were found: is it the right page, and printed with lines?")
    marks = find_marks(blank)
    into = _into_units(blank, marks)
    page, registration = _page_and_registration(blank, marks, into)
    fields = [_field(number, row, into) for number, row in enumerate(rows, 1)]
    data = {
        "inkmill_form": 1,
        "name": _form_name(name),
        "page": page,
        "registration": registration,
        "fields": fields,
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


def _into_units(blank: Grey, marks: FoundMarks | None) -> Matrix:
    """3x3: the blank's pixels to template units."""
    if marks is not None:
        # Four marks are not always a rectangle: take the means of its sides.
        corners = marks.at[:4]
        low = np.array([corners[[0, 3], 0].mean(), corners[[0, 1], 1].mean()])
        high = np.array([corners[[1, 2], 0].mean(), corners[[2, 3], 1].mean()])
        span = high - low
        return np.array(
            [[1 / span[0], 0, -low[0] / span[0]], [0, 1 / span[1], -low[1] / span[1]], [0, 0, 1]]
        )
    unit = 210.0 / min(blank.shape)
    return np.array([[unit, 0, 0.5 * unit], [0, unit, 0.5 * unit], [0, 0, 1]])


def _page_and_registration(
    blank: Grey, marks: FoundMarks | None, into: Matrix
) -> tuple[dict[str, Any], dict[str, Any]]:
    height, width = blank.shape
    edges = apply(into, np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    (left, top), (right, bottom) = edges.tolist()
    registration: dict[str, Any] = {
        "blank": {"png": _stored(blank), "box": _rounded((left, top, right - left, bottom - top))}
    }
    if marks is None:
        size = _rounded((right - left, bottom - top))
        return {"width": size[0], "height": size[1], "unit": "mm"}, registration
    at = [_rounded(point) for point in apply(into, marks.at).tolist()]
    registration["marks"] = {"shape": "square", "size": round(marks.size * into[0, 0], 5), "at": at}
    return {"unit": "frame", "aspect": round(float(into[0, 0] / into[1, 1]), 5)}, registration


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


def _field(number: int, row: BoxRow, into: Matrix) -> dict[str, Any]:
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
    kind = "checkbox" if row.small_square else "digits"
    return {"name": f"box_{number:03d}", "type": kind, "cells": cells}


def _even(corners: Points) -> tuple[Points, Points, float]:
    """Start, step, and the largest deviation of the corners from an even step."""
    steps = np.arange(len(corners), dtype=np.float64)
    step, start = np.polyfit(steps, corners, 1)
    off = np.abs(start + steps[:, None] * step - corners).max()
    return np.asarray(start), np.asarray(step), float(off)


# --- for the office worker -----------------------------------------------------------------------


def table(form: Form) -> str:
    """The CSV to fill in: a line for each field of a draft."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, field in enumerate(form.fields, 1):
        writer.writerow(
            {
                "number": number,
                "name": field.name,
                "type": field.type,
                "cells": len(field.cells.rectangles()),
                "digits": "",
                "decimals": "",
                "unused": "",
                "none": "",
                "sum_of": "",
            }
        )
    return sink.getvalue()


def numbered(blank: Grey, form: Form) -> Colour:
    """The blank with every field framed and numbered, uint8 (height, width, 3)."""
    into = _blank_pixels(blank, form)
    picture = np.asarray(cv2.cvtColor(blank, cv2.COLOR_GRAY2BGR), np.uint8)
    scale = max(0.5, min(blank.shape) / 2200)
    for number, field in enumerate(form.fields, 1):
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


def _blank_pixels(blank: Grey, form: Form) -> Matrix:
    """3x3: template units to the pixels of the blank that the template was made from."""
    stored = form.registration.blank
    assert stored is not None
    x, y, w, h = stored.box
    height, width = blank.shape
    return np.array(
        [[width / w, 0, -x * width / w - 0.5], [0, height / h, -y * height / h - 0.5], [0, 0, 1]]
    )


def build(form: Form, filled: str, source: str) -> Form:
    """The template from a draft and its filled-in table, which errors call ``source``.

    Boxes whose lines are missing or have the type ``skip`` are left out. Raises FormError with the
    table's line.
    """
    lines = io.StringIO(filled.removeprefix("\ufeff"))
    rows = list(csv.DictReader(lines, delimiter=_delimiter(filled)))
    by_number = dict(enumerate(form.fields, 1))
    content = form.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    fields, checks = [], []
    for line, row in enumerate(rows, 2):
        where = f"{source}, line {line}"
        cells = {str(key).strip().lower(): (value or "").strip() for key, value in row.items()}
        number = cells.get("number", "")
        if not any(cells.values()):
            continue
        if not number.isdigit() or int(number) not in by_number:
            raise FormError(f"{where}, number: the picture has no box {number!r}")
        kind = cells.get("type") or "digits"
        if kind not in TYPES:
            raise FormError(f"{where}, type: {kind!r} is not a type: use one of {', '.join(TYPES)}")
        if kind == "skip":
            continue
        found = by_number[int(number)]
        field = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        field |= {"name": cells.get("name") or found.name, "type": kind}
        _as_strip(field, found, cells, where)
        if cells.get("unused"):
            field["unused"] = cells["unused"]
        if cells.get("none"):
            field["none"] = cells["none"]
        fields.append(field)
        if cells.get("sum_of"):
            checks.append({"sum": re.split(r"[\s+,;]+", cells["sum_of"]), "equals": field["name"]})
    content |= {"inkmill_form": 1, "fields": fields, "checks": checks}
    return Form.parse(_as_yaml(content), f"the template of {source}")


def _as_strip(field: dict[str, Any], found: FormField, line: Mapping[str, str], where: str) -> None:
    """Make of a single box with a number of digits one for a number written freely, in place.

    ``found`` is what the draft made of the box. Raises FormError.
    """
    text = line.get("digits", "").replace(" ", "")
    if not text or field["type"] not in ("number", "code"):
        return
    boxes = found.cells.rectangles()
    if len(boxes) != 1 or not re.fullmatch(r"\d{1,2}(-\d{1,2})?", text):
        raise FormError(
            f"{where}, digits: {text!r} is for a number in one box: give the least and the most "
            "digits, as in 1-8; for a row of boxes leave it empty"
        )
    least, _, most = text.partition("-")
    del field["cells"]
    field |= {"box": list(boxes[0]), "digits": [int(least), int(most or least)]}
    if line.get("decimals"):
        field["decimals"] = line["decimals"]


def _delimiter(text: str) -> str:
    """The delimiter: spreadsheets save semicolons where the comma is the decimal sign."""
    first = text.split("\n", 1)[0]
    return ";" if first.count(";") > first.count(",") else ","


def _as_yaml(content: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
