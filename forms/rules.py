"""A page's cells and readings to its fields: what `inkmill.rules` decides, with what is seen.

What needs pixels is here: where the fields lie, how much ink the checkboxes hold, and whether
what is no digit is a cross or a dash, the form's marks for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import UNREAD_CELL, Code, Status
from inkmill.form import Form, FormField
from inkmill.rows import CellReading, FieldResult
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_field

if TYPE_CHECKING:
    from inkmill.forms.reader import PageCells

Crop = NDArray[np.uint8]

#: A mark that its shape tells is one: 0 of 60,000 MNIST digits and 10,000 others passed for an X.
_MARK_CONFIDENCE = 0.999
#: Levels of 255 above which a crop has ink; a dash is so many times as wide as it is high.
_INK, _DASH = 96, 3.0
#: A checkbox with less ink than the first is empty, with more than the second filled.
_BOX_EMPTY, _BOX_FILLED = 0.01, 0.03


def build_fields(
    form: Form,
    page_number: int,
    readings: Sequence[CellReading],
    cells: PageCells | None = None,
) -> list[FieldResult]:
    """The fields of a page, judged by its rules, in the template's order.

    ``readings`` are those of ``form.cells(page_number)``, in that order; ``cells`` gives the
    fields' boxes on the scan, the crops, and the checkboxes, which the model does not read.

    Raises ValueError when readings and cells differ in number: a defect of ours.
    """
    expected = len(form.cells(page_number))
    if len(readings) != expected:
        raise ValueError(f"{len(readings)} readings for {expected} cells of {form.name}")
    results, start = [], 0
    for field in form.page_fields(page_number):
        count = len(field.cells.rectangles()) if field.read else 0
        mine = list(readings[start : start + count])
        if cells is not None and field.none_marks:
            mine = _marked(field, mine, cells, start)
        start += count
        result = read_field(field, mine) if field.read else _unread(field, cells)
        box = cells.boxes.get(field.name) if cells is not None else None
        results.append(replace(result, box=box))
    return judge(form, results)


# --- marks for none ----------------------------------------------------------------------------


def _marked(
    field: FormField, readings: Sequence[CellReading], cells: PageCells, start: int
) -> list[CellReading]:
    """The field's readings; a cross or dash that was seen goes before what the model says."""
    marks = field.none_marks
    return [
        replace(reading, symbol="X", confidence=_MARK_CONFIDENCE)
        if "X" in marks and cells.crossed[number]
        else replace(reading, symbol="-", confidence=_MARK_CONFIDENCE)
        if "-" in marks and is_dash(cells.crops[number])
        else reading
        for number, reading in enumerate(readings, start)
    ]


def is_dash(crop: Crop) -> bool:
    """Whether a crop (white ink on black) holds one level stroke and nothing else."""
    rows, columns = np.nonzero(crop > _INK)
    if not len(rows):
        return False
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    return width >= _DASH * height


# --- fields that the model does not read ---------------------------------------------------------


def _unread(field: FormField, cells: PageCells | None) -> FieldResult:
    """A checkbox or image field: judged by its ink, or only looked at."""
    if field.type == "image" or cells is None:
        return FieldResult(field.name, "", "", 1.0)
    shares = cells.filled[field.name]
    raw = "".join(
        "1" if share >= _BOX_FILLED else "0" if share <= _BOX_EMPTY else UNREAD_CELL
        for share in shares
    )
    labels = field.labels or tuple(str(number) for number in range(1, len(raw) + 1))
    chosen = [label for label, symbol in zip(labels, raw, strict=True) if symbol == "1"]
    value = ";".join(chosen) if len(raw) > 1 or field.labels else raw
    result = FieldResult(field.name, value, raw, 1.0)
    if UNREAD_CELL in raw:
        message = "a box holds a little ink: ticked or touched?"
        return _review(replace(result, confidence=0.5), Code.LOW_CONFIDENCE, message)
    if field.choose == "one" and len(chosen) > 1:
        message = f"one box is to be ticked, and {len(chosen)} are"
        return _review(replace(result, rule="choose"), Code.RULE_FAILED, message)
    if field.choose == "one" and not chosen and not field.optional:
        return _review(result, Code.BLANK, "no box is ticked")
    return result


def _review(result: FieldResult, code: Code, message: str) -> FieldResult:
    return replace(result, status=Status.REVIEW, code=code, message=message)
