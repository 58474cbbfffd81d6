"""A page code that is read where the template has it tells which way up a page is."""

from __future__ import annotations

import numpy as np
import pytest

from inkmill.errors import ItemError
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


def test_without_its_code_it_is_refused() -> None:
    made = form(CODE)
    scan, _ = scanned(made, ("skew",), dpi=150)
    page = Scan(scan.grey.copy(), scan.transform, scan.dpi)
    height, width = page.grey.shape
    page.grey[: height // 5, width // 2 :] = np.uint8(np.median(page.grey))
    with pytest.raises(ItemError, match="which way up"):
        locate(page_of(page), made)
