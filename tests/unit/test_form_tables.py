"""Tables of marks, whose rows and columns are alike: located as they lie, or refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_pages
from inkmill.forms.make.table import build
from inkmill.template.form import Form
from tests.unit.sheets import off_mm, page_of, scanned

MARKS, ROWS = 8, 6


def mark_sheet() -> np.ndarray:
    """A table with a number, a name, marks and a wider total in each row."""
    page = np.full((1170, 827), 250, np.uint8)
    cv2.putText(page, "MARK SHEET  Mathematics  8b", (60, 70), 2, 0.6, 30, 1, cv2.LINE_AA)
    columns = [50, 85, 260, *(260 + 56 * k for k in range(1, MARKS + 1)), 783]
    rows = [110, 145, *(145 + 39 * k for k in range(1, ROWS + 1))]
    for x in columns:
        cv2.line(page, (x, rows[0]), (x, rows[-1]), 40, 1)
    for y in rows:
        cv2.line(page, (columns[0], y), (columns[-1], y), 40, 1)
    for x, head in zip(columns, ("No", "Name", *"12345678", "Total"), strict=False):
        cv2.putText(page, head, (x + 8, 134), 2, 0.45, 30, 1, cv2.LINE_AA)
    for number, y in enumerate(rows[1:-1], 1):
        cv2.putText(page, str(number), (56, y + 26), 2, 0.45, 30, 1, cv2.LINE_AA)
    return page


@pytest.fixture(scope="module")
def marks() -> Form:
    draft = detect_pages([mark_sheet()], "marks").form
    lines = ["number,name,type,digits,sum_of"]
    for number, field in enumerate(draft.fields, 1):
        if len(field.cells.rectangles()) == MARKS:
            lines.append(f"{number} box 1 to {MARKS},p{number}_#,number,1 to 2,")
            lines.append(f"{number + 1},total_{number},number,1 to 3,p{number}_*")
    form = build(draft, "\n".join(lines), "marks.csv")
    assert len(form.fields) == ROWS * (MARKS + 1)
    return form


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_table_turned_is_not_taken_for_itself(marks: Form, seed: int) -> None:
    """Its marks' lines fit a column further, too; only the totals' are elsewhere."""
    scan, _ = scanned(marks, ("turned_180",), "moderate", seed, dpi=100)
    assert off_mm(marks, locate(page_of(scan), marks), scan.transform) < 0.5
