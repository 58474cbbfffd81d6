"""From a blank, or from filled scans alone, to a template that reads them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.forms.geometry import apply
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_form, detect_pages
from inkmill.forms.make.drafting import numbered
from inkmill.forms.make.finding.boxes import find_rows
from inkmill.forms.make.finding.printed import find_codes, find_marks
from inkmill.forms.make.learning import learn_blank
from inkmill.forms.make.numbering import page_numbers
from inkmill.forms.make.table import table
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form
from tests.unit.sheets import load, page_of, scanned


def printed(name: str, dpi: float = 200) -> np.ndarray:
    return draw_page(load(name), 1, dpi)


@pytest.mark.parametrize(("name", "rows", "boxes"), [("register", 20, 60), ("strip", 5, 15)])
def test_every_box_of_a_blank_is_found_and_no_other(name: str, rows: int, boxes: int) -> None:
    form = load(name)
    found = find_rows(printed(name))
    counts = [row.count for row in found]
    wanted = [len(field.cells.rectangles()) for field in form.page_fields(1)]
    assert sorted(counts) == sorted(wanted)
    assert counts.count(3) == rows
    assert sum(counts) >= boxes
    place = template_to_pixels(form, 200)
    corners = np.array([cell.box[:2] for cell in form.cells(1)])
    seen = np.vstack([row.boxes[:, :2] for row in found])
    for corner in apply(place, corners):
        assert np.linalg.norm(seen - corner, axis=1).min() < 2.5


def test_marks_are_found_clockwise() -> None:
    marks = find_marks(printed("tally"))
    assert marks is not None
    place = apply(
        template_to_pixels(load("tally"), 200),
        np.array([[12.0, 12], [198, 12], [198, 285], [12, 285]]),
    )
    assert np.abs(marks.at[:4] - place).max() < 1.0
    assert abs(marks.size - 5 * 200 / 25.4) < 2


def test_the_draft_of_a_blank_locates_scans_of_the_form() -> None:
    made = detect_pages([printed("tally")], "Tally 2024").form
    assert made.registration.code is not None
    assert made.registration.code.value == "tally-1"
    assert made.name == "tally-2024"
    assert Form.parse(made.to_text()).hash == made.hash
    scan, _ = scanned(load("tally"), ("skew", "turned_180"))
    located = locate(page_of(scan), made)
    field = min(made.fields, key=lambda each: abs(each.cells.rectangles()[0][1]))
    x, y, _, _ = field.cells.rectangles()[0]
    seen = apply(located.transform, np.array([[x, y]]))[0]
    true = apply(scan.transform, np.array([[60.0, 28.0]]))[0]
    assert np.linalg.norm(seen - true) < 4


def test_filled_scans_alone_give_the_blank() -> None:
    form = load("strip")
    pages = [page_of(scanned(form, ("skew",), seed=seed, dpi=110)[0]) for seed in range(1, 15)]
    learnt = learn_blank(pages)
    assert learnt.used == 14
    rows = find_rows(learnt.grey)
    assert [row.count for row in rows] == [3, 3, 3, 3, 3]


def test_thin_lines_that_move_from_scan_to_scan_are_learnt() -> None:
    rng, pages = np.random.default_rng(5), []
    for _ in range(8):
        page = np.full((1000, 1400), 255, np.uint8)
        for left, count, moves in ((100, 3, True), (700, 8, False)):
            off = rng.integers(-2, 3, 2) if moves else (0, 0)
            for top in range(200, 900, 110):
                for number in range(count):
                    x, y = left + number * 40 + int(off[0]), top + int(off[1])
                    cv2.rectangle(page, (x, y), (x + 40, y + 50), 90, 2)
                    at = (x + 8 + int(rng.integers(4)), y + 40)
                    cv2.putText(page, str(rng.integers(10)), at, 0, 1.1, 60, 2, cv2.LINE_AA)
        cv2.putText(page, "SOME PRINT THAT ALL SCANS SHARE", (150, 120), 0, 1.2, 0, 3)
        pages.append(Page(page))
    rows = find_rows(learn_blank(pages).grey)
    assert sorted(row.count for row in rows) == [3] * 7 + [8] * 7


def test_of_a_few_scans_the_first_one_counts() -> None:
    notes = list[str]()
    made = detect_form([[Page(printed("strip", 100))]] * 3, "strip", note=notes.append)
    assert made.used == 1
    assert len(made.form.fields) == 5
    assert "3 scans are too few to learn the print from" in notes[0]


def test_a_page_without_boxes_is_refused() -> None:
    with pytest.raises(UsageError, match="no boxes were found"):
        detect_pages([np.full((800, 600), 255, np.uint8)], "empty")


def boxed(start: int = 100) -> np.ndarray:
    """A picture of three rows of four boxes, from ``start`` pixels at the left."""
    page = np.full((600, 800), 255, np.uint8)
    for top in (100, 200, 300):
        for left in range(start, start + 240, 60):
            cv2.rectangle(page, (left, top), (left + 60, top + 60), 0, 2)
    return page


@pytest.mark.parametrize(
    "box",
    [(758, 400, 801, 440), (-2, 400, 40, 440), (500, -1, 540, 40), (500, 559, 540, 601)],
)
def test_a_box_at_the_pictures_edge_is_left_out_and_named(box: tuple[int, int, int, int]) -> None:
    page, notes = boxed(), list[str]()
    left, top, right, bottom = box
    cv2.rectangle(page, (left, top), (right, bottom), 0, 2)
    made = detect_pages([page], "edge", notes.append).form
    assert [len(field.cells.rectangles()) for field in made.fields] == [4, 4, 4]
    assert len(notes) == 1
    assert "edge cuts off" in notes[0]


def test_a_row_that_runs_into_the_edge_keeps_its_whole_boxes() -> None:
    page, notes = boxed(560), list[str]()
    made = detect_pages([page], "edge", notes.append).form
    assert [len(field.cells.rectangles()) for field in made.fields] == [3, 3, 3]
    assert len(notes) == 3


@pytest.mark.parametrize("seed", range(6))
def test_no_picture_makes_a_draft_fail_as_a_defect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    page = np.full((rng.integers(120, 700), rng.integers(120, 700)), 255, np.uint8)
    height, width = page.shape
    for _ in range(60):
        x, y = rng.integers(-40, width), rng.integers(-40, height)
        side = int(rng.integers(6, 60))
        cv2.rectangle(page, (x, y), (x + side, y + side), 0, int(rng.integers(1, 4)))
    slant = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-8, 8)), 1.0)
    page = np.asarray(cv2.warpAffine(page, slant, (width, height), borderValue=(120,) * 3))
    try:
        made = detect_pages([page], "any").form
    except UsageError:
        return
    assert Form.parse(made.to_text()).hash == made.hash


def test_the_table_and_the_picture_show_every_field() -> None:
    blank = printed("strip", 150)
    made = detect_pages([blank], "strip").form
    lines = table(made).splitlines()
    assert lines[0].startswith("number,page,name,type")
    assert len(lines) == 1 + len(made.fields) == 6
    picture = numbered(blank, made)
    assert picture.shape == (*blank.shape, 3)
    red = (picture[..., 2] > 200) & (picture[..., 0] < 80)
    assert red.sum() > 2000


def test_names_are_not_printed_over_other_boxes() -> None:
    field = "  - {{name: mark_{}, type: number, box: [{}, 40, 14, 10], digits: 1}}\n"
    head = (
        "inkmill_form: 1",
        "name: marks",
        "page: {width: 105, height: 148}",
        "registration: {upright: true, marks: {at: [[8, 8], [97, 8], [97, 140], [8, 140]]}}",
        "fields:\n",
    )
    form = Form.parse("\n".join(head) + "".join(field.format(n, 20 + 14 * n) for n in range(4)))
    named, bare = (draw_page(form, dpi=150, labels=labels) for labels in (True, False))
    place = template_to_pixels(form, 150)
    changed = named != bare
    assert changed.any()
    for each in form.fields:
        assert each.box is not None
        x, y, w, h = each.box
        (left, top), (right, bottom) = apply(place, np.array([[x, y], [x + w, y + h]])).astype(int)
        assert not changed[top + 3 : bottom - 2, left + 3 : right - 2].any()


# --- filled pages, several pages, other shapes ----------------------------------------------------


def filled(form: Form, seed: int, faults: tuple[str, ...] = ("skew",)) -> np.ndarray:
    return scanned(form, faults, seed=seed)[0].grey


def test_one_filled_page_is_enough() -> None:
    form = load("tally")
    made = detect_pages([filled(form, 4)], "tally").form
    wanted = [len(each.cells.rectangles()) for each in form.all_fields if each.read]
    found = [len(each.cells.rectangles()) for each in made.fields if each.read]
    assert sorted(found) == sorted(wanted)
    kinds = sorted(each.type for each in made.fields if not each.read)
    assert kinds == ["checkbox", "checkbox", "image"]
    assert made.registration.marks is not None


def test_what_was_written_is_not_kept_in_the_template() -> None:
    """The blank in a draft of a filled page has as little ink in its boxes as an empty form's."""
    page = filled(load("strip"), 2, ())
    made = detect_pages([page], "strip")
    stored = made.form.registration.blank
    assert stored is not None
    kept = cv2.imdecode(np.frombuffer(stored.data(), np.uint8), cv2.IMREAD_GRAYSCALE)
    scale = np.array(kept.shape[::-1]) / stored.box[2:]
    for field in made.form.fields:
        for x, y, w, h in field.cells.rectangles():
            low = ((np.array([x + 0.2 * w, y + 0.2 * h]) - stored.box[:2]) * scale).astype(int)
            high = ((np.array([x + 0.8 * w, y + 0.8 * h]) - stored.box[:2]) * scale).astype(int)
            assert kept[low[1] : high[1], low[0] : high[0]].min() > 150


def test_the_pages_of_a_file_become_the_pages_of_the_form() -> None:
    tally, register = filled(load("tally"), 1), filled(load("register"), 2)
    made = detect_form([[Page(tally), Page(register)]], "both").form
    assert made.page_count == 2
    assert {field.page for field in made.fields} == {1, 2}
    assert made.registration_of(2).blank != made.registration.blank
    assert locate(Page(register), made, 2).seen > 0.5


def test_pages_that_look_alike_are_scans_of_one_page() -> None:
    pages = [Page(filled(load("strip"), seed)) for seed in (1, 2, 3)]
    assert detect_form([pages], "strip").form.page_count == 1
    assert detect_form([pages], "strip", 3).form.page_count == 3


def test_codes_say_the_order_of_pages() -> None:
    said = page_numbers(["exam-7-2", "exam-7-1"])
    assert said is not None
    assert said.order == (2, 1)
    assert said.others == ("7",)
    assert page_numbers(["a-1", "b-2"]) is None
    assert page_numbers(["a-1", "a-3"]) is None


def questions(scale: float = 1.0) -> np.ndarray:
    """Four questions of three boxes to tick, of 11 pixels at 100 dpi, and a box for words."""
    page = np.full((1169, 827), 255, np.uint8)
    for number, top in enumerate(range(200, 400, 50)):
        cv2.putText(page, "A question that is asked here", (60, top + 10), 0, 0.5, 0, 1)
        for k, left in enumerate((500, 570, 640)):
            cv2.rectangle(page, (left, top), (left + 11, top + 11), 0, 1)
            if k == number % 3:
                cv2.line(page, (left - 2, top - 2), (left + 12, top + 13), 40, 2)
                cv2.line(page, (left + 12, top - 3), (left - 1, top + 12), 40, 2)
    cv2.rectangle(page, (60, 500), (500, 560), 0, 1)
    return page


def test_small_boxes_to_tick_become_questions_and_wide_ones_text() -> None:
    made = detect_pages([questions()], "questions").form
    kinds = [(field.type, len(field.cells.rectangles())) for field in made.fields]
    assert kinds == [("checkbox", 3)] * 4 + [("image", 1)]


@pytest.mark.parametrize(("shape", "size"), [("circle", 5.0), ("L", 8.0), ("cross", 6.0)])
def test_marks_are_found_with_their_shape(shape: str, size: float) -> None:
    form = load("tally")
    marks = form.registration.marks
    assert marks is not None
    changed = marks.model_copy(update={"shape": shape, "size": size})
    registration = form.registration.model_copy(update={"marks": changed})
    page = draw_page(form.model_copy(update={"registration": registration}), 1, 150)
    found = find_marks(page)
    assert found is not None
    assert (found.shape, len(found.at)) == (shape, 4)
    assert abs(found.size - size * 150 / 25.4) < 5


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Aztec", "Code128", "Code39"])
def test_codes_of_all_kinds_are_found_whole(kind: str) -> None:
    import zxingcpp

    made = zxingcpp.create_barcode("FORM-7", zxingcpp.barcode_format_from_str(kind))
    picture = np.array(zxingcpp.write_barcode_to_image(made, scale=4, add_quiet_zones=True))
    page = np.full((800, 1000), 255, np.uint8)
    page[300 : 300 + picture.shape[0], 200 : 200 + picture.shape[1]] = picture
    (found,) = find_codes(page)
    assert (found.kind, found.text) == (kind.lower().removesuffix("code") or "qr", "FORM-7")
    dark = np.argwhere(page < 128)
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
    x, y, w, h = found.box
    assert np.abs(np.array([x, y, x + w, y + h]) - (left, top, right, bottom)).max() < 12


def test_a_photo_of_a_page_is_straightened() -> None:
    page = printed("register", 150)
    height, width = page.shape
    edge = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = edge + np.array([[90, 60], [-20, 20], [-110, -70], [30, -20]], np.float32)
    turn = cv2.getPerspectiveTransform(edge, seen)
    photo = cv2.warpPerspective(page, turn, (width, height), borderValue=(120,) * 3)
    boxes = sum(row.count for row in find_rows(learn_blank([Page(photo)]).grey))
    assert boxes >= 58
