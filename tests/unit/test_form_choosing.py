"""A page tells which template it is of, by its code or by its looks; or its row says why not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inkmill.codes import Code, Status
from inkmill.errors import FormError, ItemError, UsageError
from inkmill.forms.geometry import apply, corners
from inkmill.forms.intake import Page
from inkmill.forms.locate.choosing import choose
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.rows import Row, decode
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Recipe
from tests.unit.sheets import FORMS, load, page_of, scanned, sheet

ALL = Templates.load_folder(FORMS)
CELLS = "size: [9, 13], pitch: [10, 0], count: 3"
#: Two pages whose boxes stand elsewhere.
LETTER = f"""
inkmill_form: 1
name: letter
page: {{width: 210, height: 297}}
registration:
  marks: {{size: 5, at: [[12, 12], [198, 12], [198, 285], [12, 285]], odd: {{at: [60, 12]}}}}
fields:
  - {{name: a, type: number, cells: {{origin: [30, 40], {CELLS}}}}}
  - {{name: b, type: number, cells: {{origin: [30, 70], {CELLS}}}}}
  - {{name: e, type: number, cells: {{origin: [30, 100], {CELLS}}}}}
  - {{name: f, type: number, cells: {{origin: [30, 130], {CELLS}}}}}
  - {{name: c, type: number, page: 2, cells: {{origin: [120, 170], {CELLS}}}}}
  - {{name: d, type: number, page: 2, cells: {{origin: [120, 210], {CELLS}}}}}
"""
MARKS = "marks: {size: 5, at: [[12, 12], [198, 12], [198, 285], [12, 285]]}"


def with_codes(form: Form, *values: str) -> Form:
    """The form with a page code for each of its pages."""
    text = form.to_text()
    pages = "".join(
        f"- number: {number}\n  registration: {{{MARKS}, code: {{kind: qr, "
        f"box: [166, 20, 22, 22], value: {value}}}}}\n"
        for number, value in enumerate(values, 1)
    )
    return Form.parse(f"{text}pages:\n{pages}")


def named(form: Form, name: str) -> Form:
    return Form.parse(form.to_text().replace(f"name: {form.name}\n", f"name: {name}\n", 1))


def refusal(grey: np.ndarray, templates: Templates) -> ItemError:
    with pytest.raises(ItemError) as caught:
        choose(page_of_grey(grey), templates, 1)
    return caught.value


def page_of_grey(grey: np.ndarray) -> Page:
    return Page(np.ascontiguousarray(grey))


@pytest.mark.parametrize("turn", [None, "turned_90", "turned_180"])
@pytest.mark.parametrize("name", ["tally", "register", "strip"])
def test_each_page_finds_its_own_template(name: str, turn: str | None) -> None:
    scan, _ = scanned(load(name), ("skew", *([turn] if turn else [])))
    found = choose(page_of(scan), ALL, 1)
    assert (found.side.form.name, found.side.number) == (name, 1)


def test_an_unread_code_fails_no_page() -> None:
    form = load("tally")
    scan, _ = scanned(form, ("skew",))
    code = form.registration.code
    assert code is not None
    place = apply(scan.transform, corners(code.box))
    cv2.fillPoly(scan.grey, [np.rint(place).astype(np.int32)], 255)
    assert choose(page_of(scan), ALL, 1).side.form.name == "tally"


def test_a_code_of_no_template_is_named_with_the_remedy() -> None:
    grey = sheet(load("tally")).grey
    other = Form.parse(load("tally").to_text().replace("tally-1", "tally-2"))
    for templates in (
        Templates((other, named(with_codes(load("register"), "register-1"), "coded"))),
        Templates((load("register"), other)),
    ):
        error = refusal(grey, templates)
        assert error.code is Code.WRONG_FORM
        assert "'tally-1'" in error.message
        assert "--forms" in error.message


def test_where_two_templates_fit_alike_nothing_is_guessed() -> None:
    twins = Templates((load("register"), named(load("register"), "twin")))
    error = refusal(sheet(load("register")).grey, twins)
    assert error.code is Code.UNREGISTERED
    assert "register or twin" in error.message


def test_a_page_that_fits_no_template_says_what_each_lacks() -> None:
    error = refusal(sheet(load("register")).grey, Templates((load("tally"), load("strip"))))
    assert error.code in (Code.WRONG_FORM, Code.UNREGISTERED)
    assert "tally" in error.message
    assert "strip" in error.message
    blank = refusal(np.full((1700, 1200), 250, np.uint8), ALL)
    assert blank.code is Code.BLANK_PAGE


def test_pages_of_one_form_are_told_by_their_looks() -> None:
    form = Form.parse(LETTER)
    for number in (1, 2):
        grey = sheet(form, page_number=number).grey
        # Each is a file of its own, or they lie in the wrong order.
        for position in (1, 2):
            found = choose(page_of_grey(grey), Templates((form,)), position)
            assert found.side.number == number


def test_the_code_names_the_page_and_a_longer_code_goes_first() -> None:
    form = with_codes(Form.parse(LETTER), "letter", "letter-2")
    for number in (1, 2):
        grey = sheet(form, page_number=number).grey
        found = choose(page_of_grey(grey), Templates((form,)), 1)
        assert found.side.number == number
        assert found.located is None


def test_pages_that_share_a_code_are_told_by_their_looks() -> None:
    form = with_codes(Form.parse(LETTER), "letter", "letter")
    for number in (1, 2):
        found = choose(page_of_grey(sheet(form, page_number=number).grey), Templates((form,)), 1)
        assert found.side.number == number


def test_two_page_codes_in_one_picture_are_refused() -> None:
    form = with_codes(Form.parse(LETTER), "letter-1", "letter-2")
    both = np.hstack([sheet(form, page_number=number).grey for number in (1, 2)])
    error = refusal(both, Templates((form,)))
    assert error.code is Code.UNREGISTERED
    assert "letter-1" in error.message
    assert "letter-2" in error.message


def test_rows_name_the_template_that_read_them() -> None:
    pages = [sheet(load(name)).grey for name in ("tally", "register")]
    pages.append(np.full((1700, 1200), 250, np.uint8))
    rows = read_rows(pages, ALL)
    assert [row.form for row in rows] == ["tally", "register", ""]
    assert [row.form_hash for row in rows] == [load("tally").hash, load("register").hash, ""]
    assert [row.form_page for row in rows] == [1, 1, 0]
    assert rows[2].code is Code.BLANK_PAGE
    assert {each.name for each in rows[1].fields} == {
        each.name for each in load("register").all_fields
    }


def read_rows(pages: list[np.ndarray], templates: Templates, document_key: str = "") -> list[Row]:
    """What a worker makes of these pages; its model says blank to everything."""
    files = [cv2.imencode(".png", grey)[1].tobytes() for grey in pages]
    made = tuple(
        Item(n, f"{n}.png", data=data, document_key=document_key) for n, data in enumerate(files)
    )
    table = ChunkTable.decode(Chunk("job", 0, made).encode())
    batch = PageBatch(table, templates, Recipe(28, ()), Limits())
    for number in range(len(pages)):
        batch.read(number, {})
    classes = (*"0123456789", "blank", "reject")
    odds = np.zeros((len(batch.crops), len(classes)), np.float32)
    odds[:, 7] = 1.0
    return decode(batch.answer(odds, Reader(classes, "ab" * 32, "float32", 0.9)).data)


def test_the_document_key_is_what_the_page_code_says() -> None:
    form = load("tally")
    text = form.to_text()
    start, end = text.index("document_key:"), text.index("fields:")
    coded = Form.parse(text[:start] + "document_key: {from: code}\n" + text[end:])
    (row,) = read_rows([sheet(form).grey], Templates((coded,)))
    assert row.document_key == "tally-1"
    (row,) = read_rows([sheet(form).grey], Templates((coded,)), document_key="given")
    assert row.document_key == "given"


def test_a_field_whose_lines_were_not_seen_goes_to_review() -> None:
    form = Form.parse(LETTER)
    whole, wiped = (sheet(form, 3) for _ in range(2))
    for box in form.page_fields(1)[1].cells.rectangles():
        place = np.rint(apply(wiped.transform, corners(box))).astype(np.int32)
        cv2.polylines(wiped.grey, [place], True, 255, 7)
    for grey, codes in ((whole.grey, {None}), (wiped.grey, {None, Code.UNREGISTERED})):
        (row,) = read_rows([grey], Templates((form,)))
        assert {each.code for each in row.fields} == codes
    assert row.status is Status.REVIEW
    assert (row.fields[1].code, row.fields[1].value) == (Code.UNREGISTERED, "777")
    assert "lines were not found" in row.message


# --- folders of templates ------------------------------------------------------------------------


def test_a_folder_becomes_templates_and_text_and_back(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(load("tally").to_text())
    (tmp_path / "b.yml").write_text(load("register").to_text())
    (tmp_path / "c.draft.yaml").write_text("no template yet")
    (tmp_path / "keys.csv").write_text("source,key\n")
    found = Templates.load_folder(tmp_path)
    assert found.name == "register, tally"
    again = Templates.parse(found.to_text())
    assert [form.hash for form in again] == [form.hash for form in found]
    assert again.hash == found.hash
    assert Templates((load("tally"),)).hash == load("tally").hash


def test_folders_that_cannot_work_are_refused_with_the_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder not found"):
        Templates.load_folder(tmp_path / "none")
    with pytest.raises(UsageError, match="no template"):
        Templates.load_folder(tmp_path)
    (tmp_path / "a.yaml").write_text(load("tally").to_text())
    (tmp_path / "b.yaml").write_text(load("tally").to_text())
    with pytest.raises(UsageError, match=r"a\.yaml and .*b\.yaml are both called tally"):
        Templates.load_folder(tmp_path)
    (tmp_path / "b.yaml").write_text(named(load("tally"), "other").to_text())
    with pytest.raises(UsageError, match="the same page code 'tally-1'"):
        Templates.load_folder(tmp_path)
    (tmp_path / "b.yaml").write_text("just: words\n")
    with pytest.raises(FormError, match=r"b\.yaml"):
        Templates.load_folder(tmp_path)
