"""How many boxes `form detect` finds on one filled page of a form: ``python -m bench.drafts``.

Five forms of 60 to 120 boxes, drawn here with what forms have besides boxes: headings, paragraphs,
tables with printed cells, frames, marks, codes. They are filled with MNIST's digits, ticked, and
scanned with skew and noise. A box is found if a box of the draft covers the same place.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.material import digits
from inkmill.errors import ItemError
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_form
from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form

Grey = NDArray[np.uint8]

_DPI = 200.0
_UNIT = _DPI / 25.4
#: Boxes are the same if they share more than this part of both of them.
_SAME = 0.6
_MARKS = [[12, 12], [198, 12], [198, 285], [12, 285]]
_WORDS = [
    "Please",
    "use",
    "a",
    "black",
    "or",
    "blue",
    "pen",
    "and",
    "write",
    "one",
    "figure",
    "in",
    "each",
    "box.",
    "Return",
    "this",
    "sheet",
    "to",
    "the",
    "office",
    "before",
    "the",
    "end",
    "of",
    "the",
    "month;",
    "sheets",
    "that",
    "arrive",
    "later",
    "are",
    "not",
    "counted",
]


@dataclass(frozen=True)
class Sheet:
    """A form to find: its boxes as a template, how their lines look, and all other print."""

    form: Form
    furniture: Callable[[Grey], None]
    line: float = 0.3
    level: int = 0


def _form(name: str, marks: dict[str, Any], code: dict[str, Any] | None, fields: list[Any]) -> Form:
    registration = {"marks": {"at": _MARKS, "size": 5, **marks}} | ({"code": code} if code else {})
    content = {"inkmill_form": 1, "name": name, "registration": registration, "fields": fields}
    return Form.model_validate(content | {"page": {"width": 210, "height": 297, "unit": "mm"}})


def _field(
    name: str, at: tuple[float, float], size: tuple[float, float], count: int, **words: Any
) -> dict[str, Any]:
    pitch = words.pop("pitch", size[0])
    cells = {"origin": at, "size": size, "pitch": (pitch, 0), "count": count}
    return {"name": name, "type": "code", "cells": cells, **words}


def _text(page: Grey, text: str, x: float, y: float, size: float = 3.0, bold: float = 0.3) -> None:
    at = (round(x * _UNIT), round(y * _UNIT))
    scale, thick = size * _UNIT / 22, max(1, round(bold * _UNIT))
    cv2.putText(page, text, at, cv2.FONT_HERSHEY_DUPLEX, scale, 0, thick, cv2.LINE_AA)


def _line(page: Grey, *ends: float, thick: float = 0.3, level: int = 0) -> None:
    one, other = ((round(x * _UNIT), round(y * _UNIT)) for x, y in (ends[:2], ends[2:]))
    cv2.line(page, one, other, level, max(1, round(thick * _UNIT)))


def _rectangle(page: Grey, *box: float, thick: float = 0.3) -> None:
    x, y, w, h = box
    one, other = ((round(a * _UNIT), round(b * _UNIT)) for a, b in ((x, y), (x + w, y + h)))
    cv2.rectangle(page, one, other, 0, max(1, round(thick * _UNIT)))


def _paragraph(page: Grey, x: float, y: float, rows: int, words: int = 9) -> None:
    for row in range(rows):
        text = " ".join(np.roll(_WORDS, -row * words)[:words])
        _text(page, text, x, y + 5 * row, 2.4, 0.25)


def results() -> Sheet:
    """A tally sheet: a table with printed numbers and names, four figures in each row."""
    fields = [_field("station", (150, 30), (8, 11), 5)]
    fields += [_field(f"votes_{n}", (130, 60 + 12 * n), (9, 12), 4) for n in range(14)]
    fields += [_field("total", (130, 240), (9, 12), 4)]

    def furniture(page: Grey) -> None:
        _text(page, "RESULTS OF THE COUNT", 25, 25, 7, 0.9)
        _paragraph(page, 25, 36, 3, 6)
        for row in range(15):
            _line(page, 20, 60 + 12 * row, 166, 60 + 12 * row)
        for x in (20, 32):
            _line(page, x, 60, x, 228)
        for row in range(14):
            _text(page, str(row + 1), 23, 68 + 12 * row, 4)
            _text(page, f"Candidate {chr(65 + row)}. Example", 36, 68 + 12 * row, 3.5)
        _text(page, "TOTAL", 90, 248, 5, 0.6)

    code = {"kind": "qr", "box": [160, 255, 22, 22], "value": "results-1"}
    return Sheet(_form("results", {"shape": "square"}, code, fields), furniture)


def survey() -> Sheet:
    """A questionnaire: five small boxes to tick beside each question, and a date."""
    words = {"type": "checkbox", "choose": "one"}
    fields = [_field("date", (140, 30), (6, 8), 8)]
    for n in range(20):
        fields.append(_field(f"q_{n}", (130, 60 + 10 * n), (3.5, 3.5), 5, pitch=12, **words))

    def furniture(page: Grey) -> None:
        _text(page, "How satisfied were you?", 25, 25, 6, 0.7)
        _paragraph(page, 25, 36, 2, 6)
        for n, word in enumerate(("never", "rarely", "often", "mostly", "always")):
            _text(page, word, 127 + 12 * n, 56, 2.4, 0.25)
        for n in range(20):
            _text(page, f"{n + 1}. {' '.join(np.roll(_WORDS, -n)[:6])}", 20, 63.5 + 10 * n, 2.6)
            _line(page, 20, 67 + 10 * n, 190, 67 + 10 * n, thick=0.15, level=150)

    return Sheet(_form("survey", {"shape": "circle"}, None, fields), furniture)


def register() -> Sheet:
    """Pale separate boxes for figures, with L marks."""
    fields = [_field(f"row_{n}", (70, 40 + 17 * n), (8, 10), 8, pitch=9.5) for n in range(13)]

    def furniture(page: Grey) -> None:
        _text(page, "REGISTER", 25, 28, 9, 1.1)
        for n in range(13):
            _text(page, ("Surname", "Number", "Amount")[n % 3], 25, 47 + 17 * n, 3.4)
        _paragraph(page, 25, 268, 2)

    marks = {"shape": "L", "size": 8}
    return Sheet(_form("register", marks, None, fields), furniture, 0.2, 130)


def meters() -> Sheet:
    """Two columns of rows that stand close, in frames, with crosses as marks."""
    fields = [
        _field(f"m_{column}_{n}", (45 + 85 * column, 60 + 15 * n), (7, 9), 5)
        for column in (0, 1)
        for n in range(12)
    ]

    def furniture(page: Grey) -> None:
        _text(page, "METER READINGS 2026", 30, 30, 8, 1.0)
        for column in (0, 1):
            _rectangle(page, 20 + 85 * column, 50, 80, 190, thick=0.6)
            for n in range(12):
                _text(page, f"No. {12 * column + n + 1}", 23 + 85 * column, 66 + 15 * n, 3)
        _paragraph(page, 25, 256, 3)

    return Sheet(_form("meters", {"shape": "cross", "size": 6}, None, fields), furniture, 0.25, 60)


def exam() -> Sheet:
    """A cover of an exam: two boxes for each mark, boxes to tick, lines of a table around them."""
    tick = {"type": "checkbox"}
    fields = [_field("candidate", (110, 40), (8, 10), 8)]
    for n in range(12):
        fields.append(_field(f"mark_{n}", (60, 70 + 13 * n), (8, 10), 2))
        fields.append(_field(f"check_{n}", (100, 72 + 13 * n), (4, 4), 4, pitch=14, **tick))

    def furniture(page: Grey) -> None:
        _text(page, "EXAMINATION", 25, 28, 8, 1.0)
        _text(page, "Candidate number", 60, 47, 3.4)
        for row in range(13):
            _line(page, 20, 68 + 13 * row, 190, 68 + 13 * row, thick=0.4)
        for x in (20, 190):
            _line(page, x, 68, x, 224, thick=0.4)
        for n in range(12):
            _text(page, f"Question {n + 1}", 24, 77 + 13 * n, 3.2)
            for k, letter in enumerate("ABCD"):
                _text(page, letter, 106 + 14 * k, 76 + 13 * n, 3)
        _text(page, "Signature", 24, 245, 3.2)
        _line(page, 60, 246, 140, 246)

    code = {"kind": "datamatrix", "box": [165, 18, 18, 18], "value": "exam-1"}
    return Sheet(_form("exam", {"shape": "square", "size": 4}, code, fields), furniture)


SHEETS = (results, survey, register, meters, exam)


def blank(sheet: Sheet) -> Grey:
    """The empty page."""
    bare = sheet.form.registration.model_copy(update={"lines": False})
    page = draw_page(sheet.form.model_copy(update={"registration": bare}), 1, _DPI, labels=False)
    place = template_to_pixels(sheet.form, _DPI)
    for field in sheet.form.fields:
        for box in field.cells.rectangles():
            points = np.rint(apply(place, corners(box))).astype(np.int32)
            cv2.polylines(page, [points], True, sheet.level, max(1, round(sheet.line * _UNIT)))
    sheet.furniture(page)
    return page


def filled(sheet: Sheet, seed: int, severity: str = "light") -> Scan:
    """One page filled by hand and scanned: a little askew, with noise."""
    rng = np.random.default_rng(seed)
    page = fill_page(sheet.form, digits(), rng, 1, _DPI, blank(sheet))
    scan = Scan(page.grey, page.transform, _DPI)
    degrade(scan, sheet.form, ("skew", "letter"), severity, rng)
    return scan


@dataclass(frozen=True)
class Found:
    """Boxes of the form, those found, others, and the seconds of processor time it took."""

    boxes: int
    found: int
    false: int
    seconds: float


def judge(sheet: Sheet, scan: Scan) -> Found:
    """Draft a template from one scan, and compare its boxes with the form's."""
    start = time.process_time()
    draft = detect_form([[Page(scan.grey)]], sheet.form.name).form
    seconds = time.process_time() - start
    true = rectangles(sheet.form, scan.transform)
    seen = rectangles(draft, _place(scan, draft))
    # A text or amount box without cells is an offer to the user, not a box for figures.
    same = shared(true, seen) > _SAME
    return Found(len(true), int(same.any(1).sum()), int((~same.any(0)).sum()), seconds)


def _place(scan: Scan, draft: Form) -> Matrix:
    try:
        return locate(Page(scan.grey), draft).transform
    except ItemError as error:
        print(f"  the draft is not located on its own page: {error}")
        return np.eye(3)


def rectangles(form: Form, place: Matrix) -> NDArray[np.float64]:
    """Left, top, right and bottom of a form's boxes in pixels, (n, 4)."""
    boxes = [
        apply(place, corners(box))
        for field in form.all_fields
        if field.type != "image"
        for box in field.cells.rectangles()
    ]
    points = np.array(boxes).reshape(-1, 4, 2)
    return np.hstack([points.min(1), points.max(1)])


def shared(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of all pairs, (n, m)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (one, other)]
    return np.asarray(both / (areas[0][:, None] + areas[1][None, :] - both))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.drafts", description=__doc__)
    parser.add_argument("--pages", type=int, default=1, help="of each form")
    parser.add_argument("--severity", default="light")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    figures: dict[str, list[Found]] = {}
    for make in SHEETS:
        sheet = make()
        figures[sheet.form.name] = []
        for seed in range(arguments.pages):
            each = judge(sheet, filled(sheet, seed, arguments.severity))
            figures[sheet.form.name].append(each)
            print(
                f"{sheet.form.name:10} {each.found} of {each.boxes}, {each.false} false, "
                f"{each.seconds:.1f} s",
                flush=True,
            )
    if arguments.out:
        record = {name: [vars(each) for each in found] for name, found in figures.items()}
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
