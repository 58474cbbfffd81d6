"""Pages are located whatever the scanner did, or refused in words; never guessed."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.cut.streaks import Streaks
from inkmill.forms.geometry import apply
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.registration import locate
from inkmill.forms.locate.vision.evidence import Outlines
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.locate.vision.snapping import measure
from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.printing import draw_page
from inkmill.template.form import Form
from tests.unit.sheets import load, off_mm, page_of, pen_digits, scanned, sheet

ROOT = Path(__file__).resolve().parents[2]

NAMES = ("tally", "register", "strip")


def cover(scan: Scan, form: Form, *corners: int, level: int = 240) -> None:
    """Stickers on corner marks, by their numbers clockwise from the top left."""
    marks = form.registration.marks
    assert marks is not None
    for x, y in apply(scan.transform, np.array(marks.at, float)[list(corners)]):
        cv2.circle(scan.grey, (round(x), round(y)), round(scan.dpi / 3), level, -1)


def assert_located(form: Form, scan: Scan, within: float = 0.5) -> None:
    located = locate(page_of(scan), form)
    assert off_mm(form, located, scan.transform) < within


def refusal(form: Form, grey: np.ndarray) -> ItemError:
    with pytest.raises(ItemError) as caught:
        locate(Page(np.ascontiguousarray(grey)), form)
    return caught.value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("turn", [None, "turned_90", "turned_180", "turned_270"])
def test_all_four_orientations(name: str, turn: str | None) -> None:
    form = load(name)
    scan, _ = scanned(form, ("skew", *([turn] if turn else [])))
    assert_located(form, scan)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("faults", "severity"),
    [
        (("skew", "scale", "light"), "heavy"),
        (("perspective",), "heavy"),
        (("faint", "specks"), "moderate"),
        (("bilevel", "skew"), "heavy"),
        (("hard_contrast", "watermark"), "moderate"),
        (("low_resolution", "jpeg"), "heavy"),
        (("letter",), "light"),
        (("streaks",), "light"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_what_scanners_and_phones_do(name: str, faults: tuple[str, ...], severity: str) -> None:
    form = load(name)
    scan, _ = scanned(form, faults, severity, seed=4)
    assert_located(form, scan)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("corner", range(4))
def test_any_three_marks_are_enough(name: str, corner: int) -> None:
    form = load(name)
    scan, _ = scanned(form, ("skew",))
    cover(scan, form, corner)
    assert_located(form, scan)


@pytest.mark.parametrize("level", [245, 70])
def test_two_marks_gone_the_boxes_tell(level: int) -> None:
    form = load("tally")
    scan, _ = scanned(form, ("skew",))
    cover(scan, form, 0, 2, level=level)
    located = locate(page_of(scan), form)
    assert located.method == "boxes"
    assert off_mm(form, located, scan.transform) < 0.5


def test_a_frame_needs_neither_aspect_nor_the_size_of_its_marks() -> None:
    text = load("strip").to_text().replace("aspect: 1.45", "aspect: null")
    bare = Form.parse(text.replace("    size: 0.03\n", ""))
    form = load("strip")
    scan, _ = scanned(form, ("skew", "turned_180"))
    assert off_mm(form, locate(page_of(scan), bare), scan.transform) < 0.5


def test_a_mark_that_was_shifted_is_an_outlier() -> None:
    form = load("register")
    scan, _ = scanned(form)
    marks = form.registration.marks
    assert marks is not None
    x, y = apply(scan.transform, np.array(marks.at[2:3], float))[0]
    side, shift = round(scan.dpi * 0.2), round(scan.dpi * 0.25)
    part = scan.grey[round(y) - side : round(y) + side, round(x) - side : round(x) + side].copy()
    scan.grey[round(y) - side : round(y) + side, round(x) - side : round(x) + side] = 255
    top, left = round(y) - side - shift, round(x) - side - shift
    scan.grey[top : top + part.shape[0], left : left + part.shape[1]] = part
    assert_located(form, scan)


def test_a_blank_page_is_told() -> None:
    error = refusal(load("tally"), np.full((1700, 1200), 250, np.uint8))
    assert error.code is Code.BLANK_PAGE
    assert "blank" in error.message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_another_form_is_never_taken_for_this(name: str, other: str) -> None:
    if name == other:
        return
    scan, _ = scanned(load(other), ("skew",))
    error = refusal(load(name), scan.grey)
    assert error.code in (Code.WRONG_FORM, Code.UNREGISTERED)


def test_a_letter_is_no_form() -> None:
    for seed in range(2):
        scan, _ = scanned(load("tally"), ("wrong_form",), seed=seed)
        assert refusal(load("tally"), scan.grey).code in (Code.WRONG_FORM, Code.UNREGISTERED)


def test_the_page_code_tells_a_form_of_the_same_layout() -> None:
    form = load("tally")
    other = Form.parse(form.to_text().replace("tally-1", "tally-2"))
    scan, _ = scanned(other)
    error = refusal(form, scan.grey)
    assert error.code is Code.WRONG_FORM
    assert "tally-2" in error.message


def test_an_unread_code_fails_no_page() -> None:
    form = load("tally")
    scan, _ = scanned(form)
    code = form.registration.code
    assert code is not None
    x, y, w, h = code.box
    (left, top), (right, bottom) = apply(
        scan.transform, np.array([[x, y], [x + w, y + h]])
    ).tolist()
    scan.grey[round(top) : round(bottom), round(left) : round(right)] = 255
    assert_located(form, scan)


def test_half_a_page_is_cut_off() -> None:
    scan, _ = scanned(load("tally"), ("folded",), "extreme")
    error = refusal(load("tally"), scan.grey)
    assert error.code in (Code.CUT_OFF, Code.UNREGISTERED)


def test_a_page_too_small_to_read_is_of_wrong_size() -> None:
    scan, _ = scanned(load("tally"), ("low_resolution",), "extreme")
    error = refusal(load("tally"), scan.grey)
    assert error.code is Code.WRONG_SIZE
    assert "150 dpi" in error.message


def test_streaks_are_named_as_the_cause() -> None:
    form = load("tally")
    scan, _ = scanned(form)
    scan.grey[:, 40:46] = 90
    cover(scan, form, 0, 1, 2, 3)
    scan.grey[300:1500, 200:] = 255
    error = refusal(form, scan.grey)
    assert error.code is Code.UNREGISTERED
    assert "clean the scanner" in error.message


@pytest.mark.parametrize("shape", ["square", "circle", "cross", "L"])
def test_every_shape_of_mark(shape: str) -> None:
    text = load("register").to_text().replace("shape: L", f"shape: {shape}")
    form = Form.parse(text)
    scan, _ = scanned(form, ("skew",))
    assert_located(form, scan)


def drawn_marks(form: Form, scan: Scan, arm: float, cut: float = 1.0, gap: bool = False) -> None:
    """The form's marks drawn again, with arms of this part of their size.

    ``cut`` is how much of the level arm is left, ``gap`` breaks the other one.
    """
    marks = form.registration.marks
    assert marks is not None
    assert marks.size is not None
    unit = float(scan.transform[0, 0])
    side, thick = round(marks.size * unit), max(1, round(arm * marks.size * unit))
    for number, (x, y) in enumerate(apply(scan.transform, np.array(marks.at[:4], float))):
        left, top = round(x - side / 2), round(y - side / 2)
        scan.grey[top - 2 : top + side + 3, left - 2 : left + side + 3] = 255
        mark = np.full((side, side), 255, np.uint8)
        start = (side - thick) // 2 if marks.shape == "cross" else 0
        mark[start : start + thick, : round(cut * side)] = 20
        mark[:, start : start + thick] = 20
        if gap:
            mark[side * 3 // 4, start : start + thick] = 255
        if marks.shape == "L":
            # The elbow points to the page's corner.
            mark = np.rot90(mark, -number)
        scan.grey[top : top + side, left : left + side] = mark


@pytest.mark.parametrize("shape", ["cross", "L"])
@pytest.mark.parametrize("arm", [0.06, 0.09, 0.15, 0.25, 0.35])
@pytest.mark.parametrize("faults", [(), ("skew",), ("bilevel",)], ids=str)
def test_marks_with_thin_and_heavy_arms(shape: str, arm: float, faults: tuple[str, ...]) -> None:
    form = Form.parse(load("register").to_text().replace("shape: L", f"shape: {shape}"))
    scan, _ = scanned(form)
    drawn_marks(form, scan, arm)
    degrade(scan, form, faults, "light", np.random.default_rng(3))
    located = locate(page_of(scan), form)
    # Of arms as wide as a pixel, a bilevel scan may lose one.
    assert located.marks >= (3 if arm < 0.08 and "bilevel" in faults else 4)
    assert off_mm(form, located, scan.transform) < 0.5


@pytest.mark.parametrize("shape", ["cross", "L"])
@pytest.mark.parametrize(("cut", "gap"), [(0.75, False), (1.0, True)])
def test_marks_with_a_shortened_or_a_broken_arm(shape: str, cut: float, gap: bool) -> None:
    form = Form.parse(load("register").to_text().replace("shape: L", f"shape: {shape}"))
    scan, _ = scanned(form)
    drawn_marks(form, scan, 0.1, cut, gap)
    located = locate(page_of(scan), form)
    assert located.marks >= 3
    assert off_mm(form, located, scan.transform) < 0.5


def test_boxes_that_are_not_printed_need_four_marks_and_the_odd_one() -> None:
    text = load("register").to_text().replace("registration:\n", "registration:\n  lines: false\n")
    form = Form.parse(text)
    scan, _ = scanned(form, ("skew", "turned_180"))
    assert_located(form, scan)
    cover(scan, form, 1)
    assert refusal(form, scan.grey).code is Code.UNREGISTERED


def test_a_form_without_marks_is_found_by_its_blank() -> None:
    form = load("tally")
    blank = draw_page(form, 1, 100)
    _, png = cv2.imencode(".png", blank)
    text = form.to_text()
    start, end = text.index("registration:"), text.index("document_key:")
    data = base64.b64encode(bytes(png)).decode()
    unmarked = Form.parse(
        text[:start]
        + f"registration:\n  blank: {{png: {data}, box: [0, 0, 210, 297]}}\n"
        + text[end:]
    )
    scan, _ = scanned(form, ("skew", "turned_180"))
    located = locate(page_of(scan), unmarked)
    assert located.method == "blank"
    assert off_mm(form, located, scan.transform) < 0.5


def test_the_transform_maps_the_template_to_the_pixels_of_the_scan() -> None:
    form = load("tally")
    filled = sheet(form, dpi=150)
    located = locate(Page(filled.grey), form)
    seen = apply(located.transform, np.array([[12.0, 12.0], [198.0, 285.0]]))
    assert np.abs(seen - apply(filled.transform, np.array([[12.0, 12], [198, 285]]))).max() < 0.7
    assert located.residual < 0.1
    assert located.code == "tally-1"


def test_a_senseless_transform_finds_no_line_and_takes_no_memory() -> None:
    form = load("tally")
    scan, _ = scanned(form)
    # As from four specks nearly in a row: a cell as large as many pages. 500 GB, once.
    huge = np.diag([1e6, 1e6, 1.0])
    moves = measure(Outlines.of(form, 1), huge, Overview.of(scan.grey))
    assert not moves.sure.any()


def test_outlines_that_are_moved_are_grouped_as_before() -> None:
    outlines = Outlines.of(load("register"), 1)
    shifts = np.random.default_rng(2).normal(0, 1, (len(outlines.middles), 2))
    moved, values = outlines.moved(shifts), shifts.reshape(-1, 2, 1)
    by_cell = outlines.by_cell.moved(shifts)
    assert np.array_equal(by_cell.edge, moved.by_cell.edge)
    assert by_cell.each_alone
    assert by_cell.means(values) is values
    assert not moved.each_alone
    for group, mean in zip(moved.groups, moved.means(values), strict=True):
        assert mean == pytest.approx(values[outlines.owner == group].mean(axis=0))


@pytest.mark.parametrize("across", [False, True])
def test_a_streak_is_as_long_as_four_fifths_of_the_page(across: bool) -> None:
    rng, seen = np.random.default_rng(4), set[bool]()
    for part in np.linspace(0.72, 0.88, 17):
        page = np.full((1300, 900), 240, np.uint8)
        page[rng.permutation(1300)[: round(part * 1300)], 300:303] = 150
        streaks = Streaks.of(np.ascontiguousarray(page.T) if across else page)
        found, none = (streaks.columns, streaks.rows)[:: -1 if across else 1]
        is_long = bool((page[:: 1300 // 160, 301] == 150).mean() > 0.8)
        assert np.flatnonzero(found).tolist() == ([300, 301, 302] if is_long else [])
        assert not none.any()
        seen.add(is_long)
    assert len(seen) == 2


def test_with_covered_marks_half_the_boxes_are_not_enough() -> None:
    """Upside down, half of this form's boxes lie on printed lines."""
    form = Form.load(ROOT / "bench/templates/ledger.yaml")
    blank = draw_page(form, 1, 200)
    for seed in (0, 2, 7, 10):
        rng = np.random.default_rng([7, seed])
        filled = fill_page(form, pen_digits(), rng, 1, 200, blank)
        scan = Scan(filled.grey, filled.transform, 200)
        assert degrade(scan, form, ["covered", "folded", "scale"], "light", rng)
        located = locate(decode_page(cv2.imencode(".png", scan.grey)[1].tobytes()), form)
        assert located.transform[0, 0] > 0
        assert not located.lost


def test_a_form_of_a_thousand_boxes_is_located() -> None:
    rows = "\n".join(
        f"  - {{name: row_{k}, cells: {{origin: [20, {20 + 6 * k}], size: [5, 6], "
        "pitch: [5, 0], count: 30}}"
        for k in range(40)
    )
    form = Form.parse(
        "inkmill_form: 1\nname: large\npage: {width: 210, height: 297}\nregistration:\n"
        "  marks: {shape: square, size: 5, at: [[10, 10], [200, 10], [200, 285], [10, 285]]}\n"
        f"fields:\n{rows}\n"
    )
    scan, _ = scanned(form, ("skew",), dpi=200)
    assert_located(form, scan)
