"""A page code that is read where the template has it tells which way up a page is."""

from __future__ import annotations

import numpy as np
import pytest

from inkmill.errors import ItemError
from inkmill.forms.geometry import apply
from inkmill.forms.locate.registration import locate
from inkmill.forms.synth.faults import Scan
from inkmill.template.form import Form
from tests.unit.sheets import off_mm, page_of, scanned

ROWS = "\n".join(
    f"  - {{name: row_{k}, cells: {{origin: [60, {103.5 + 15 * k}], size: [9, 12], pitch: [9, 0], "
    "count: 10}}"
    for k in range(6)
)
TEXT = (
    "inkmill_form: 1\nname: symmetric\npage: {width: 210, height: 297}\nregistration:\n  {code}\n"
    f"fields:\n{ROWS}\n"
)
CODE = "code: {kind: qr, box: [165, 18, 25, 25], value: symmetric-1}"


def form(code: str) -> Form:
    return Form.parse(TEXT.replace("{code}", code))


@pytest.mark.parametrize("turn", [None, "turned_180", "turned_90"])
def test_a_form_that_looks_the_same_turned_is_told_by_its_code(turn: str | None) -> None:
    made = form(CODE)
    scan, _ = scanned(made, ("skew", *([turn] if turn else [])), dpi=150)
    located = locate(page_of(scan), made)
    assert located.code == "symmetric-1"
    assert off_mm(made, located, scan.transform) < 0.5


def test_a_code_that_is_read_turned_as_well_tells_nothing() -> None:
    """A code in the middle of the boxes, and the same code at both ends of the page."""
    middle = form("code: {kind: qr, box: [96, 136.75, 18, 18], value: symmetric-1}")
    scan, _ = scanned(middle, ("skew",), dpi=150)
    with pytest.raises(ItemError, match="which way up"):
        locate(page_of(scan), middle)
    ends = form(CODE)
    scan, _ = scanned(ends, ("skew",), dpi=150)
    x, y, w, h = 165.0, 18.0, 25.0, 25.0
    # The middle of the boxes, about which the page is turned, is at (105, 147).
    low, high = (
        np.rint(apply(scan.transform, np.array([corner])))[0].astype(int)
        for corner in ([x - 1, y - 1], [x + w + 1, y + h + 1])
    )
    code = scan.grey[low[1] : high[1], low[0] : high[0]]
    place = np.rint(apply(scan.transform, np.array([[210 - x - w - 1, 294 - y - h - 1]])))[0]
    left, top = place.astype(int)
    scan.grey[top : top + code.shape[0], left : left + code.shape[1]] = code[::-1, ::-1]
    with pytest.raises(ItemError, match="which way up"):
        locate(page_of(scan), ends)


def test_without_its_code_it_is_refused() -> None:
    made = form(CODE)
    scan, _ = scanned(made, ("skew",), dpi=150)
    page = Scan(scan.grey.copy(), scan.transform, scan.dpi)
    height, width = page.grey.shape
    page.grey[: height // 5, width // 2 :] = np.uint8(np.median(page.grey))
    with pytest.raises(ItemError, match="which way up"):
        locate(page_of(page), made)
