"""Cells: what is written in them is kept whole, and nothing else comes with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.cut.cells import Cuts, cut_cells
from inkmill.forms.cut.components import extents
from inkmill.forms.cut.crops import normalise_cells
from inkmill.forms.cut.crossing import crossed_out
from inkmill.forms.cut.inks import find_ink
from inkmill.forms.cut.normalise import normalise
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.reader import PageCells, cut_page, enough_pixels, too_coarse
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Item
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine import prepare as preparing
from tests.unit.sheets import load, off_mm, page_of, pen_digits, scanned, sheet

BOX = (40.0, 40.0, 60.0, 80.0)
INK = 200.0


def paper(lines: bool = True) -> np.ndarray:
    """A cell of 60 x 80 pixels with its neighbours left and right."""
    page = np.full((160, 240), 245, np.uint8)
    if lines:
        for left in (-20, 40, 100, 160):
            cv2.rectangle(page, (left, 40), (left + 60, 120), 30, 2)
    return page


@dataclass(frozen=True)
class Ink:
    """What was found in one cell."""

    mask: np.ndarray
    empty: bool


def ink_of(page: np.ndarray, lined: bool = True, usual: float = INK) -> Ink:
    found = find_ink(cut(page, lined), usual)
    return Ink(found.mask[0], bool(found.empty[0]))


def cut(page: np.ndarray, lined: bool = True) -> Cuts:
    return cut_cells(page, np.eye(3), [BOX], (60, 80), lined)


def is_crossed_out(mask: np.ndarray, size: tuple[int, int] | None = None) -> bool:
    columns, rows = np.asarray(mask.any(axis=0)), np.asarray(mask.any(axis=1))
    box = extents(columns[None])[0], extents(rows[None])[0]
    (left, right), (top, bottom) = box
    boxes = np.array([[left, top, right, bottom]])
    return bool(crossed_out(mask[None], boxes, size or (mask.shape[1], mask.shape[0]))[0])


def test_an_empty_cell_is_empty() -> None:
    assert ink_of(paper()).empty


def test_box_lines_are_no_ink() -> None:
    page = paper()
    cv2.line(page, (60, 60), (80, 100), 30, 3)
    ink = ink_of(page)
    assert not ink.empty
    rows, columns = np.nonzero(ink.mask)
    assert columns.max() - columns.min() < 26
    assert rows.max() - rows.min() < 46


def test_a_stroke_that_crosses_the_line_is_kept_whole() -> None:
    page = paper()
    cv2.line(page, (70, 60), (70, 128), 30, 4)
    rows = np.nonzero(ink_of(page).mask.any(axis=1))[0]
    # One piece without a gap, from the inside to beyond the line.
    assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    assert rows[-1] - rows[0] >= 64


@pytest.mark.parametrize(
    ("line", "width", "phase", "blur"), [(100, 8, 2, 1.0), (130, 12, 4, 0.8), (60, 12, 0, 0.8)]
)
def test_where_two_lines_meet_in_a_coarse_scan_is_no_ink(
    line: int, width: int, phase: int, blur: float
) -> None:
    fine = np.full((480, 720), 245, np.uint8)
    cv2.rectangle(fine, (180 + phase, 120 + phase), (360 + phase, 360 + phase), line, width)
    cv2.line(fine, (270 + phase, 180), (260 + phase, 300), 30, 18)
    coarse = cv2.resize(fine, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), blur), np.uint8)
    at = ((180 + phase) / 8, (120 + phase) / 8, 22.5, 30.0)
    found = find_ink(cut_cells(coarse, np.eye(3), [at], (42, 56)), INK)
    left, top, right, bottom = found.boxes[0]
    assert right - left < 14
    assert bottom - top < 36


def test_the_neighbours_stroke_is_dropped() -> None:
    page = paper()
    cv2.line(page, (60, 60), (80, 100), 30, 3)
    alone = ink_of(page).mask
    cv2.line(page, (92, 50), (130, 90), 30, 3)
    both = ink_of(page).mask
    columns = np.nonzero(both & ~alone)[1]
    assert not len(columns) or columns.min() > np.nonzero(alone)[1].max()
    assert (both & ~alone).sum() < 0.25 * alone.sum()


def test_specks_are_dropped_and_broken_strokes_kept() -> None:
    page = paper()
    for top in range(55, 105, 10):
        cv2.line(page, (70, top), (70, top + 6), 60, 3)
    page[50, 50] = page[110, 90] = 0
    ink = ink_of(page)
    assert not ink.empty
    rows, columns = np.nonzero(ink.mask)
    assert rows.max() - rows.min() > 40
    assert columns.max() - columns.min() < 8


@pytest.mark.parametrize("level", [175, 200, 225])
def test_a_grey_watermark_is_no_writing(level: int) -> None:
    page = paper()
    page[np.tril(np.ones((160, 240), bool)) & (page > 200)] = level
    assert ink_of(page).empty
    cv2.line(page, (60, 60), (80, 100), 30, 3)
    ink = ink_of(page)
    assert not ink.empty
    assert ink.mask.mean() < 0.06


def test_faint_pencil_counts_where_the_page_is_faint() -> None:
    page = np.full((160, 240), 245, np.uint8)
    cv2.line(page, (60, 60), (80, 100), 205, 3)
    assert not ink_of(page, lined=False, usual=40.0).empty
    assert ink_of(page, lined=False).empty


@pytest.mark.parametrize("turn", range(4))
def test_an_x_from_corner_to_corner_is_crossed_out(turn: int) -> None:
    mask = np.zeros((80, 60), np.uint8)
    cv2.line(mask, (4, 6), (54, 76), 1, 4)
    cv2.line(mask, (52, 3), (6, 72), 1, 4)
    turned = np.rot90(mask, turn) > 0
    assert is_crossed_out(turned)


def test_no_digit_is_crossed_out() -> None:
    digits = pen_digits()
    for image in digits.images:
        assert not is_crossed_out(image > 100, (20, 20))


def test_cells_do_not_depend_on_what_else_is_on_the_page() -> None:
    rng = np.random.default_rng(4)
    pages = []
    for number in range(12):
        page = paper()
        for _ in range(number % 4):
            ends = rng.integers((35, 35), (110, 130), (2, 2)).tolist()
            cv2.line(page, *ends, int(rng.integers(20, 190)), int(rng.integers(1, 7)))
        pages.append(cv2.add(page, rng.integers(0, 9, page.shape).astype(np.uint8)))
    cuts = [cut(page) for page in pages]
    together = Cuts(np.concatenate([each.dark for each in cuts]), cuts[0].box)
    found = find_ink(together, INK)
    crops, empty = normalise_cells(found.grey)
    for number, alone in enumerate(cuts):
        ink = find_ink(alone, INK)
        assert np.array_equal(ink.grey[0], found.grey[number])
        assert np.array_equal(ink.mask[0], found.mask[number])
        crop = normalise(ink.grey[0])
        assert empty[number] == (crop is None)
        assert crop is None or np.array_equal(crops[number], crop)
    assert 0 < found.empty.sum() < len(pages)


def read(form_name: str, faults: tuple[str, ...], severity: str = "light") -> tuple[PageCells, str]:
    form = load(form_name)
    scan, filled = scanned(form, faults, severity, seed=2)
    raw = "".join(filled.raw[field.name] for field in form.page_fields(1) if field.read)
    return cut_page(page_of(scan), form), raw


@pytest.mark.parametrize(
    ("faults", "severity"),
    [
        ((), "light"),
        (("bilevel",), "moderate"),
        (("hard_contrast", "watermark"), "moderate"),
        (("faint", "light"), "moderate"),
        (("perspective",), "moderate"),
    ],
)
def test_empty_crossed_and_written_cells_are_told_apart(
    faults: tuple[str, ...], severity: str
) -> None:
    cells, raw = read("tally", faults, severity)
    seen = "".join(
        "_" if empty else "X" if crossed else "9"
        for empty, crossed in zip(cells.empty, cells.crossed, strict=True)
    )
    assert seen == "".join("9" if symbol.isdigit() else symbol for symbol in raw)


def test_crops_look_like_what_was_drawn() -> None:
    cells, raw = read("register", ("skew",))
    digits = pen_digits()
    assert cells.crops.shape == (65, 28, 28)
    assert cells.crops.dtype == np.uint8
    for crop, symbol in zip(cells.crops, raw, strict=True):
        if not symbol.isdigit():
            assert not crop.any()
            continue
        images = digits.images[digits.labels == int(symbol)]
        wide = [cv2.resize(image[6:24, 3:24], (20, 20)) for image in images]
        assert crop.max() == 255
        assert max(_overlap(crop, image) for image in wide) > 0.3


def _overlap(crop: np.ndarray, image: np.ndarray) -> float:
    ink = crop > 60
    rows, columns = np.nonzero(ink)
    part = crop[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    one = cv2.resize(part, (20, 20)).astype(float).ravel()
    rows, columns = np.nonzero(image > 60)
    other = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return float(np.corrcoef(one, cv2.resize(other, (20, 20)).ravel())[0, 1])


def test_print_inside_the_cells_is_learnt_from_the_page() -> None:
    form = load("register")
    filled = sheet(form, seed=5)
    grey = filled.grey.copy()
    # A pale guide in every cell, as forms print an 8 to trace.
    scale = filled.transform[0, 0]
    for cell in form.cells(1):
        x, y, w, h = (value * scale for value in cell.box)
        low, high = (
            (round(x + 0.3 * w), round(y + 0.25 * h)),
            (round(x + 0.7 * w), round(y + 0.75 * h)),
        )
        guide = np.full_like(grey, 255)
        cv2.rectangle(guide, low, high, 150, 2)
        grey = np.minimum(grey, guide)
    raw = "".join(filled.raw[field.name] for field in form.page_fields(1))
    cells = cut_page(Page(grey), form)
    assert "".join("_" if empty else "9" for empty in cells.empty) == "".join(
        "_" if symbol == "_" else "9" for symbol in raw
    )


def test_lines_in_a_dropped_colour_are_no_ink() -> None:
    text = load("register").to_text() + "dropout: ['#e07070']\n"
    form = Form.parse(text)
    filled = sheet(form, seed=6)
    colour = cv2.cvtColor(filled.grey, cv2.COLOR_GRAY2BGR)
    # A red hatch through all cells, under the ink.
    hatch = np.full_like(colour, 255)
    for row in range(0, colour.shape[0], 12):
        cv2.line(hatch, (0, row), (colour.shape[1], row), (112, 112, 224), 3)
    colour = np.minimum(colour, hatch)
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    raw = "".join(filled.raw[field.name] for field in form.page_fields(1))
    cells = cut_page(Page(grey, colour=colour), form)
    assert "".join("_" if empty else "9" for empty in cells.empty) == "".join(
        "_" if symbol == "_" else "9" for symbol in raw
    )


def test_boxes_lie_on_the_scan() -> None:
    form = load("tally")
    filled = sheet(form, dpi=150)
    cells = cut_page(Page(filled.grey), form)
    left, top, right, bottom = cells.boxes["votes_01"]
    unit = 150 / 25.4
    assert abs(left - 160.5 * unit) < 3
    assert abs(top - 60 * unit) < 3
    assert abs(right - (160.5 + 2 * 10.5 + 9) * unit) < 3
    assert abs(bottom - 73 * unit) < 3


def test_checkboxes_are_judged_by_their_ink() -> None:
    form = load("tally")
    filled = sheet(form, seed=3)
    cells = cut_page(Page(filled.grey), form)
    ticked = "".join("1" if share > 0.03 else "0" for share in cells.filled["sealed"])
    assert ticked == filled.raw["sealed"]


def jpeg(grey: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


@pytest.mark.parametrize("form_name", ["tally", "register"])
def test_a_fine_jpeg_decoded_to_half_is_located_and_cut_alike(form_name: str) -> None:
    form = load(form_name)
    scan, _ = scanned(form, ("skew",), dpi=300)
    data = jpeg(scan.grey)
    whole, half = decode_page(data), decode_page(data, enough=enough_pixels(form))
    assert (whole.step, half.step) == (1, 2)
    read_whole, read_half = cut_page(whole, form), cut_page(half, form)
    # In the file's pixels, both: a row's boxes and transform do not depend on the decoding.
    assert off_mm(form, read_half.registration, scan.transform) < 0.15
    for name, box in read_whole.boxes.items():
        assert np.abs(np.subtract(box, read_half.boxes[name])).max() <= 2
    assert not too_coarse(half, form, 1, read_half.registration)
    assert np.array_equal(read_whole.empty, read_half.empty)
    assert np.array_equal(read_whole.crossed, read_half.crossed)
    written = ~read_whole.empty
    off = np.abs(read_whole.crops[written].astype(int) - read_half.crops[written])
    assert off.mean() < 20


def test_a_page_that_is_not_found_in_its_half_is_sought_in_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = load("tally")
    scan, _ = scanned(form, dpi=300)
    steps = []

    def only_the_whole(page: Page, *arguments: object) -> Located:
        steps.append(page.step)
        if page.step == 2:
            raise ItemError(Code.WRONG_FORM, "its lines are too faint here")
        return locate(page, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "locate", only_the_whole)
    data = jpeg(scan.grey)
    limits = Limits(10**9, 1)
    recipe = preparing.Recipe(28, ())
    found = preparing.prepare(
        Item(0, "a.jpg"), data, Templates.parse(form.to_text()), recipe, limits
    )
    assert (found.row.code, steps) == (None, [2, 1])
    assert len(found.crops) == len(cut_page(decode_page(data), form).crops)


def test_a_small_sheet_in_a_large_photo_wants_all_of_its_pixels() -> None:
    form = load("tally")
    scan, _ = scanned(form, dpi=200)
    height, width = scan.grey.shape
    photo = np.full((height * 3 // 2, width * 3 // 2), 255, np.uint8)
    photo[200 : 200 + height, 200 : 200 + width] = scan.grey
    half = decode_page(jpeg(photo), enough=enough_pixels(form))
    assert half.step == 2
    located = cut_page(decode_page(jpeg(photo)), form).registration
    assert too_coarse(half, form, 1, located)
    assert decode_page(jpeg(scan.grey), enough=enough_pixels(form)).step == 1
