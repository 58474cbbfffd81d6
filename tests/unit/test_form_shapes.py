"""Pages without marks: found by grids, boxes, the sheet and its print, or refused in words."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from inkmill.codes import Code
from inkmill.errors import FormError, ItemError
from inkmill.forms.geometry import Matrix
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.synth.faults import Scan
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form
from tests.unit.sheets import load, off_mm, on_a_table, scanned, sheet

DPI = 150


def grid(registration: str, columns: int = 9) -> str:
    cells = f"{{origin: [24, 60], size: [18, 18], pitch: [18, 0], count: {columns}}}"
    return (
        "inkmill_form: 1\nname: grid\npage: {width: 210, height: 297}\n"
        f"registration: {{{registration}}}\ntables:\n  - rows: {{count: 9, pitch: [0, 18]}}\n"
        f"    columns: [{{name: row, type: digits, cells: {cells}}}]\n"
    )


def bare(name: str, registration: str = "upright: true") -> Form:
    """An example form with nothing but its boxes."""
    text = load(name).to_text()
    start = text.index("registration:")
    end = text.index("fields:") if name == "register" else text.index("document_key:")
    rest = text[end:].replace("document_key:\n  from: field\n  field: station\n", "")
    return Form.parse(f"{text[:start]}registration: {{{registration}}}\n{rest}")


def filled(form: Form) -> Scan:
    page = sheet(form, dpi=DPI)
    return Scan(page.grey, page.transform, DPI)


def refused(form: Form, grey: np.ndarray) -> ItemError:
    with pytest.raises(ItemError) as caught:
        locate(Page(np.ascontiguousarray(grey)), form)
    return caught.value


def well(form: Form, located: Located, transform: Matrix) -> bool:
    return not located.lost and off_mm(form, located, transform) < 0.5


@pytest.mark.parametrize("part", [0.33, 1.2])
def test_a_grid_without_marks_is_found_on_a_photo(part: float) -> None:
    form = Form.parse(grid("upright: true"))
    scan = on_a_table(filled(form), part)
    located = locate(Page(scan.grey), form)
    assert well(form, located, scan.transform)


def test_a_grid_that_looks_the_same_turned_is_not_guessed() -> None:
    blank = draw_page(Form.parse(grid("upright: true")), 1, 72, labels=False)
    png = base64.b64encode(cv2.imencode(".png", blank)[1].tobytes()).decode()
    form = Form.parse(grid(f"blank: {{png: {png}, box: [0, 0, 210, 297]}}"))
    # The sheet's edge is out of the picture: only the grid is seen.
    error = refused(form, filled(form).grey[330:1340, 90:1150])
    assert error.code is Code.UNREGISTERED
    assert "which way up" in error.message
    assert "upright: true" in error.message
    with pytest.raises(FormError, match="upright: true"):
        Form.parse(grid("lines: true"))


@pytest.mark.parametrize("name", ["tally", "register"])
def test_boxes_alone_locate_a_photo(name: str) -> None:
    form = bare(name)
    scan = on_a_table(filled(form))
    assert well(form, locate(Page(scan.grey), form), scan.transform)
    other = bare("register" if name == "tally" else "tally")
    assert refused(other, scan.grey).code in (Code.UNREGISTERED, Code.WRONG_FORM)


def test_a_form_of_fewer_rows_is_not_found_in_a_larger_table() -> None:
    scan = on_a_table(filled(Form.parse(grid("upright: true"))))
    assert refused(Form.parse(grid("upright: true", columns=8)), scan.grey).code


def test_few_boxes_alone_are_refused_by_the_template() -> None:
    text = load("strip").to_text()
    start, end = text.index("registration:"), text.index("fields:")
    assert "document_key" not in text
    short = text[:start] + "registration: {upright: true}\n" + text[end:].split("- name: third")[0]
    cells = short.replace("count: 3", "count: 1")
    with pytest.raises(FormError, match="too few to locate it by them alone"):
        Form.parse(cells[: cells.index("checks:")] if "checks:" in cells else cells)


WORDS = ("please tick one box for every question", "and leave none of them out", "thank you for")


def print_page(lines: tuple[str, ...], boxes: bool = True) -> np.ndarray:
    """A page of print with a row of four small check boxes."""
    page = np.full((1754, 1240), 255, np.uint8)
    for row in range(44):
        if 17 <= row <= 19:
            continue
        text = " ".join(lines[(row * row + n) % len(lines)] for n in range(1 + row % 3))[:64]
        at = (100 + 7 * (row % 5), 110 + 36 * row)
        cv2.putText(page, text, at, cv2.FONT_HERSHEY_DUPLEX, 0.62, 30, 1, cv2.LINE_AA)
    for column in range(4 if boxes else 0):
        left = 150 + 240 * column
        cv2.rectangle(page, (left, 760), (left + 17, 777), 0, 2)
    return page


@pytest.fixture(scope="module")
def questionnaire() -> Form:
    png = base64.b64encode(cv2.imencode(".png", print_page(WORDS))[1].tobytes()).decode()
    unit = 210 / 1240
    fields = "".join(
        f"  - {{name: box{n}, type: checkbox, cells: {{origin: [{(150.5 + 240 * n) * unit}, "
        f"{760.5 * unit}], size: [{17 * unit}, {17 * unit}]}}}}\n"
        for n in range(4)
    )
    return Form.parse(
        "inkmill_form: 1\nname: questionnaire\npage: {width: 210, height: 297}\n"
        f"registration: {{blank: {{png: {png}, box: [0, 0, 210, 297]}}}}\nfields:\n{fields}"
    )


@pytest.mark.parametrize("turned", [False, True])
def test_four_check_boxes_are_found_by_the_print_around_them(
    questionnaire: Form, turned: bool
) -> None:
    page = print_page(WORDS)
    cv2.line(page, (388, 758), (410, 780), 60, 3)
    cv2.line(page, (410, 758), (388, 780), 60, 3)
    middle = (page.shape[1] / 2 - 0.5, page.shape[0] / 2 - 0.5)
    turn = cv2.getRotationMatrix2D(middle, 181.0 if turned else -1.0, 1.0)
    scan = cv2.warpAffine(page, turn, page.shape[::-1], borderValue=255.0)
    unit = np.array([[1240 / 210, 0, -0.5], [0, 1240 / 210, -0.5], [0, 0, 1]])
    located = locate(Page(np.asarray(scan, np.uint8)), questionnaire)
    assert well(questionnaire, located, np.vstack([turn, [0, 0, 1]]) @ unit)


def test_check_boxes_amid_other_print_are_not_the_form(questionnaire: Form) -> None:
    other = print_page(("a letter about something else", "with the same four boxes on it", "yes"))
    assert refused(questionnaire, other).code is Code.UNREGISTERED
    assert refused(questionnaire, print_page(WORDS, boxes=False)).code is Code.UNREGISTERED


# --- several pages -------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("name", ["tally", "strip"])
def test_two_pages_in_one_picture_are_told(name: str, beside: bool) -> None:
    form = load(name)
    one, other = (scanned(form, seed=seed)[0].grey for seed in (1, 2))
    turned = other[::-1, ::-1]
    both = np.hstack([one, turned]) if beside else np.vstack([one, turned])
    assert "two pages" in refused(form, both).message


def test_two_sheets_on_a_table_are_told() -> None:
    form = load("register")
    one, other = (
        on_a_table(scanned(form, seed=seed)[0], turn=turn).grey for seed, turn in ((1, 4), (2, -6))
    )
    assert "two pages" in refused(form, np.hstack([one, other])).message


@pytest.mark.parametrize("level", [255, 0])
def test_one_page_on_a_larger_glass_is_located(level: int) -> None:
    form = load("tally")
    scan, _ = scanned(form)
    wide = np.hstack([scan.grey, np.full_like(scan.grey, level)])
    assert off_mm(form, locate(Page(wide), form), scan.transform) < 0.5


# --- causes --------------------------------------------------------------------------------------


def test_causes_are_what_is_seen() -> None:
    form = bare("tally")
    # A table whose lines run from edge to edge is no streak, and another form is not cut off.
    other = filled(Form.parse(grid("upright: true")))
    place = template_to_pixels(form, DPI)
    cropped = other.grey[round(60 * place[1, 1]) : round(222 * place[1, 1])]
    error = refused(form, cropped)
    assert error.code is Code.UNREGISTERED
    assert "streak" not in error.message
    assert "marks" not in error.message
    small = cv2.resize(filled(form).grey, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    error = refused(load("tally"), cv2.GaussianBlur(small, (0, 0), 3))
    assert error.code is Code.WRONG_SIZE
    assert "dpi" in error.message
