"""From a blank, or from filled scans alone, to a template that reads them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inkmill.errors import FormError, UsageError
from inkmill.forms.geometry import apply
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import find_marks, find_rows
from inkmill.forms.make.drafting import build, draft, numbered, table
from inkmill.forms.make.learning import learn_blank
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form
from inkmill.template.parts import Cells
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
    made = draft(learn_blank([Page(printed("tally"))]).grey, "Tally 2024")
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
    rows = find_rows(learnt.grey, learnt=True)
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
    rows = find_rows(learn_blank(pages).grey, learnt=True)
    assert sorted(row.count for row in rows) == [3] * 7 + [8] * 7


def test_a_few_filled_scans_are_too_few() -> None:
    page = Page(printed("strip", 100))
    with pytest.raises(UsageError, match="20 scans of the same form"):
        learn_blank([page] * 3)


def test_a_page_without_boxes_is_refused() -> None:
    with pytest.raises(UsageError, match="no boxes were found"):
        draft(np.full((800, 600), 255, np.uint8), "empty")


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
    made = draft(page, "edge", note=notes.append)
    assert [len(field.cells.rectangles()) for field in made.fields] == [4, 4, 4]
    assert len(notes) == 1
    assert "edge cuts off" in notes[0]


def test_a_row_that_runs_into_the_edge_keeps_its_whole_boxes() -> None:
    page, notes = boxed(560), list[str]()
    made = draft(page, "edge", note=notes.append)
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
        made = draft(page, "any")
    except UsageError:
        return
    assert Form.parse(made.to_text()).hash == made.hash


def test_the_table_and_the_picture_show_every_field() -> None:
    blank = printed("strip", 150)
    made = draft(blank, "strip")
    lines = table(made).splitlines()
    assert lines[0].startswith("number,name,type")
    assert len(lines) == 1 + len(made.fields) == 6
    picture = numbered(blank, made)
    assert picture.shape == (*blank.shape, 3)
    red = (picture[..., 2] > 200) & (picture[..., 0] < 80)
    assert red.sum() > 2000


def filled_table(made: Form) -> str:
    lines = ["number;name;type;cells;unused;none;sum_of"]
    names = ["first", "second", "sum", "", "total"]
    for number, name in enumerate(names, 1):
        kind = "number" if name else "skip"
        sums = {"sum": "first+second"}.get(name, "")
        lines.append(f"{number};{name};{kind};3;leading;X;{sums}")
    return "\ufeff" + "\n".join(lines)


def test_build_makes_the_template_of_draft_and_table() -> None:
    made = draft(printed("strip", 150), "strip")
    form = build(made, filled_table(made), "strip.csv")
    assert [field.name for field in form.fields] == ["first", "second", "sum", "total"]
    assert form.fields[0].unused == "leading"
    assert form.fields[0].none_marks == ("X",)
    assert form.checks[0].equals == "sum"
    assert form.registration == made.registration


def test_a_single_box_becomes_one_for_an_amount() -> None:
    made = draft(printed("strip", 150), "strip")
    (field, *_) = made.fields
    one = field.model_copy(update={"cells_given": Cells(boxes=((0.1, 0.1, 0.2, 0.05),))})
    made = made.model_copy(update={"fields": (one, *made.fields[1:])})
    text = "number,name,type,digits,decimals\n1,total,number,1-6,2\n2,first,digits,,\n"
    form = build(made, text, "strip.csv")
    total, first = form.fields
    assert (total.box, total.digits, total.decimals) == ((0.1, 0.1, 0.2, 0.05), (1, 6), 2)
    assert not first.strip
    with pytest.raises(FormError, match=r"line 3, digits: '1-6' is for a number in one box"):
        build(made, text.replace("first,digits,", "first,number,1-6"), "strip.csv")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("\n2;", "\n99;", r"strip\.csv, line 3, number: the picture has no box '99'"),
        ("second;number", "second;numbr", r"strip\.csv, line 3, type: 'numbr'"),
        ("first+second", "first+third", r"third, which is not a field"),
        ("2;second", "2;first", r"two fields are called first"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(right: str, wrong: str, said: str) -> None:
    made = draft(printed("strip", 150), "strip")
    with pytest.raises(FormError, match=said):
        build(made, filled_table(made).replace(right, wrong, 1), "strip.csv")
