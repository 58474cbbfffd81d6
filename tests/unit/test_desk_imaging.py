"""What the desk's imaging process finds on a page, and that it costs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from inkmill.codes import Code
from inkmill.desk.imaging.children import Imaging
from inkmill.desk.imaging.link import Message
from inkmill.desk.imaging.opening import pages
from inkmill.desk.imaging.pictures import View, encode
from inkmill.desk.imaging.printed import nearest_mark, read_code
from inkmill.desk.imaging.scans import locate_form
from inkmill.desk.imaging.snapping import offsets, snapped
from inkmill.errors import ItemError, UsageError
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form, FormField
from tests.unit.sheets import load, pdf, scanned

DPI = 200.0
LIMITS = {"max_pixels": 50_000_000, "max_pages": 100}


def on_page(form: Form, field: FormField) -> np.ndarray:
    """A field's boxes, float64 (n, 4), in pixels of the browser."""
    place = template_to_pixels(form, DPI)
    boxes = np.array(field.cells.rectangles())
    scale = np.array([place[0, 0], place[1, 1]])
    return np.hstack([boxes[:, :2] * scale + place[:2, 2] + 0.5, boxes[:, 2:] * scale])


def around(boxes: np.ndarray) -> tuple[float, float, float, float]:
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return (*low.tolist(), *(high - low).tolist())


@pytest.mark.parametrize("name", ["tally", "register", "strip"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("off", [(-5.0, 4.0, 11.0, -7.0), (6.0, -5.0, -9.0, 10.0)])
def test_a_roughly_drawn_rectangle_snaps_to_the_printed_cells(
    name: str, told: bool, off: tuple[float, float, float, float]
) -> None:
    form = load(name)
    grey = draw_page(form, 1, DPI)
    for field in (form.all_fields[0], form.all_fields[-4]):
        true = on_page(form, field)
        left, top, width, height = (a + b for a, b in zip(around(true), off, strict=True))
        boxes, lined = snapped(grey, (left, top, width, height), len(true) if told else 0)
        assert lined
        assert np.abs(np.array(boxes) - true).max() < 1.6


def test_cells_are_found_between_what_is_written() -> None:
    form = load("tally")
    scan, _ = scanned(form, (), dpi=150)
    field = form.fields[0]
    corners = np.array(field.cells.rectangles())
    points = np.column_stack([corners[:, :2], np.ones(len(corners))]) @ scan.transform.T
    left, top = (points[:, :2] / points[:, 2:])[0] + 0.5
    unit = float(np.linalg.norm(scan.transform[:2, 0]))
    width, height = (corners[-1, 0] + 9 - corners[0, 0]) * unit, 13 * unit
    boxes, lined = snapped(scan.grey, (left + 2, top - 3, width, height + 4), 0)
    assert lined
    assert len(boxes) == 4
    assert abs(boxes[3][0] - (left + 31.5 * unit)) < 2


def test_where_nothing_is_printed_the_rectangle_is_divided_evenly() -> None:
    boxes, lined = snapped(np.full((400, 600), 255, np.uint8), (50, 60, 200, 40), 4)
    assert not lined
    assert [box[0] for box in boxes] == [50, 100, 150, 200]
    cells = View((0, 0, 210, 140), (600, 400)).cells(boxes)
    assert cells == {"origin": [17.5, 21.0], "size": [17.5, 14.0], "pitch": [17.5, 0.0], "count": 4}


def test_rows_below_are_found_as_far_as_they_go() -> None:
    form = load("register")
    grey = draw_page(form, 1, DPI)
    first = form.tables[0]
    pitch = first.rows.pitch[1] * DPI / 25.4
    row = around(on_page(form, first.columns[0]))
    found = offsets(grey, row, 0)
    assert len(found) == first.rows.count == 20
    assert np.abs(np.array(found) - np.arange(20) * pitch).max() < 2
    assert len(offsets(grey, row, 5)) == 5
    blank = np.full_like(grey, 255)
    assert offsets(blank, row, 0) == [0.0]
    assert offsets(blank, row, 3) == pytest.approx([0, row[3], 2 * row[3]])


@pytest.mark.parametrize(
    ("name", "shape"), [("tally", "square"), ("register", "L"), ("strip", "circle")]
)
def test_a_mark_is_found_near_the_click(name: str, shape: str) -> None:
    form = load(name)
    grey, place = draw_page(form, 1, DPI), template_to_pixels(form, DPI)
    marks = form.registration.marks
    assert marks is not None
    for at in marks.at[:4]:
        x, y = (place @ (*at, 1))[:2] + 0.5
        found = nearest_mark(grey, (x + 14, y - 9))
        assert found.shape == shape
        assert np.hypot(found.centre[0] - x, found.centre[1] - y) < 1.5
    with pytest.raises(UsageError, match="no mark is printed there"):
        nearest_mark(np.full_like(grey, 255), (500.0, 500.0))


def test_a_code_is_read_and_its_place_is_its_own() -> None:
    form = load("tally")
    assert form.registration.code is not None
    x, y, w, h = (value * DPI / 25.4 for value in form.registration.code.box)
    grey = draw_page(form, 1, DPI)
    found = read_code(grey, (x - 20, y - 12, w + 50, h + 30))
    assert (found["kind"], found["text"]) == ("qr", "tally-1")
    assert np.abs(np.array(found["box"]) - (x, y, w, h)).max() < 0.1 * w
    assert read_code(grey, (900, 2000, 100, 100)) == {"kind": "any", "text": ""}


def test_fields_off_their_lines_are_told_on_a_scan() -> None:
    form = load("register")
    scan, _ = scanned(form, ("skew",), dpi=150)
    moved = json.loads(form.model_dump_json(by_alias=True))
    moved["fields"][0]["cells"]["origin"][1] += 6
    picture = encode(scan.grey, 4000)
    for content, off in ((json.loads(form.model_dump_json(by_alias=True)), 0), (moved, 1)):
        asked = Message({"page": 1}, [json.dumps(content).encode(), picture])
        fields = locate_form(asked).head["fields"]
        assert len(fields) == 21
        assert sum(field["off"] for field in fields) == off
    white = encode(np.full((800, 600), 255, np.uint8), 4000)
    head = locate_form(Message({"page": 1}, [json.dumps(moved).encode(), white])).head
    assert head["code"] == Code.BLANK_PAGE


# --- the process ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imaging() -> Iterator[Imaging]:
    made = Imaging(1)
    yield made
    made.close()


def test_a_file_of_two_pages_becomes_two_pages_of_a_template(imaging: Imaging) -> None:
    sheets = [draw_page(load(name), 1, 100) for name in ("register", "register")]
    _, data = cv2.imencodemulti(".tiff", sheets)
    answer = imaging.ask("pages", [bytes(data)], **LIMITS)
    template = answer.head["template"]
    assert [len(answer.blobs), len(template["fields"]), len(template["pages"])] == [2, 42, 1]
    assert {field.get("page", 1) for field in template["fields"]} == {1, 2}


def test_pages_without_boxes_are_shown_all_the_same() -> None:
    _, data = cv2.imencode(".png", np.full((900, 700), 255, np.uint8))
    answer = pages(Message(LIMITS, [bytes(data)]))
    assert answer.head["template"]["fields"] == []
    assert "no boxes were found" in answer.head["notes"][0]


def test_a_bomb_is_refused_and_a_hanging_file_ends_its_process_only(imaging: Imaging) -> None:
    with pytest.raises(ItemError) as found:
        imaging.ask("pages", [pdf(1, (14_000, 14_000))], **LIMITS)
    assert found.value.code is Code.TOO_LARGE
    with pytest.raises(ItemError) as found:
        imaging.ask("count", [pdf(200)], **LIMITS)
    assert found.value.code is Code.TOO_LARGE
    hurried = Imaging(1, seconds=0.01)
    with pytest.raises(ItemError) as found:
        hurried.ask("pages", [pdf(90)], **LIMITS)
    assert found.value.code is Code.TIMEOUT
    assert "save it again" in found.value.message
    assert imaging.ask("count", [pdf(3)], **LIMITS).head == {"pages": 3}


def test_an_imaging_process_has_no_credentials(
    monkeypatch: pytest.MonkeyPatch, imaging: Imaging
) -> None:
    from pathlib import Path

    monkeypatch.setenv("INKMILL_S3_SECRET_KEY", "hush")
    fresh = Imaging(1)
    fresh.ask("count", [pdf(1)], **LIMITS)
    child = fresh._idle.get_nowait()
    assert child is not None
    environment = Path(f"/proc/{child._process.pid}/environ").read_bytes()
    assert b"hush" not in environment
    assert b"INKMILL" not in environment
    child.close()
