"""The template editor as a new user would use it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from inkmill.desk.context import DeskContext
from inkmill.desk.editor.drafts import Drafts
from inkmill.template.form import Form
from tests.browser.editor_page import EIGHT, Hand, Printed, desk, sign_in
from tests.desk_browser import Look, chromium, serving
from tests.unit.sheets import load, pdf, scanned


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def context() -> DeskContext:
    return desk()


@pytest.fixture
def look(browser: Browser, context: DeskContext) -> Iterator[Look]:
    """A page of the desk, signed in; it makes no request to another host, and has no error."""
    with serving(context) as address:
        opened = Look(browser, address, viewport={"width": 1300, "height": 1700})
        sign_in(opened.page)
        yield opened
        opened.context.close()
    assert opened.wrong == []


@pytest.fixture
def page(look: Look) -> Page:
    found: Page = look.page
    return found


def draft_of(context: DeskContext) -> Form:
    """The template of the only draft."""
    drafts = Drafts(context.store)
    (found,) = drafts.all()
    return drafts.form(found)


def in_mm(form: Form, printed: Form, boxes: np.ndarray) -> np.ndarray:
    """Boxes of a template made from a printed form, in the form's mm."""
    if form.page.unit == "mm":
        assert form.page.width
        return boxes * 210 / form.page.width
    marks = printed.registration.marks
    assert marks is not None
    corner, span = np.array(marks.at[0]), np.array(marks.at[2]) - marks.at[0]
    return np.hstack([boxes[:, :2] * span + corner, boxes[:, 2:] * span])


def test_a_form_of_65_boxes_takes_less_than_ten_minutes_without_any_proposal(
    page: Page, context: DeskContext, tmp_path: Path
) -> None:
    printed = Printed(load("register"))
    hand = Hand(page, printed)
    hand.open(printed.write(tmp_path / "register.png"))
    assert len(hand.fields) == 21
    hand.type("Control+a", "Delete")
    expect(page.locator(".boxes .field")).to_have_count(0)
    whole = {field.name: field for field in printed.form.all_fields}
    number, first = printed.form.fields[0], printed.form.tables[0].columns[0]
    for field in (number, first):
        hand.type("b")
        boxes = field.cells.rectangles()
        left, top, last = boxes[0][0], boxes[0][1], boxes[-1]
        hand.drag(left - 1, top + 1, last[0] + last[2] + 1, last[1] + last[3] - 1)
        expect(page.locator('[name="field-name"]')).to_be_focused()
        hand.type(field.name, "Enter", "Escape")
    hand.type("v")
    hand.click(first.cells.rectangles()[0][0] + 2, first.cells.rectangles()[0][1] + 4)
    hand.type("d")
    expect(page.locator(".boxes .field.repeated rect")).to_have_count(60)
    hand.saved()
    form = draft_of(context)
    assert len(form.all_fields) == len(whole) == 21
    for field in form.all_fields:
        true = np.array(whole[field.name].cells.rectangles())
        found = in_mm(form, printed.form, np.array(field.cells.rectangles()))
        assert np.abs(found - true).max() < 0.4
    print(f"65 boxes: {hand.gestures} gestures, {hand.keys} keys, {hand.seconds:.0f} s")
    assert hand.seconds < 600


def test_every_tool_and_undo(page: Page, context: DeskContext, tmp_path: Path) -> None:
    """The tally with all it has: a table, check boxes, a picture, a code, two sums, a key."""
    printed = Printed(load("tally"))
    hand = Hand(page, printed)
    hand.open(printed.write(tmp_path / "tally.png"))
    hand.click(64, 34)
    hand.choose("Type", "code")
    expect(page.locator(".boxes .field.code")).to_have_count(1)
    hand.type("Control+z")
    expect(page.locator(".boxes .field.code")).to_have_count(0)
    hand.click(64, 34)
    hand.choose("Type", "code")
    hand.fill("Name", "station")
    # The rows of votes: named once, numbered down, all of them numbers crossed out by an X.
    hand.drag(155, 56, 197, 188)
    expect(hand.selected).to_have_count(8)
    hand.fill("Name of 8 fields, numbered down", "votes")
    hand.drag(155, 56, 197, 188)
    hand.choose("Type", "number")
    hand.choose("Cells that may be empty", "leading")
    hand.choose("Mark in cells that are not used", "X")
    for x, y, name in ((154, 202, "valid"), (165, 222, "spoilt"), (154, 242, "total")):
        hand.click(x, y)
        hand.fill("Name", name)
    hand.type("Escape", "s")
    hand.drag(155, 56, 197, 188)
    hand.click(154, 202, shift=True)
    hand.click(154, 202)
    hand.click(165, 222)
    hand.click(154, 242, shift=True)
    # Whatever was proposed for the last line goes. Two squares become one field of check boxes.
    hand.type("e")
    hand.drag(57, 256, 195, 278)
    expect(page.locator(".boxes .field")).to_have_count(12)
    for left in (60, 90):
        hand.type("b")
        hand.drag(left - 1, 261.5, left + 7, 268.5)
        expect(page.locator('[name="field-name"]')).to_be_focused()
        hand.type("Escape")
    hand.type("v")
    hand.drag(57, 258, 99, 272)
    expect(hand.selected).to_have_count(2)
    page.get_by_label("Type", exact=True).select_option("checkbox")
    page.locator("[data-stage]").focus()
    hand.type("g")
    expect(hand.selected).to_have_count(1)
    hand.fill("Labels of the boxes, in order", "yes, no")
    page.get_by_label("Exactly one box is ticked").check()
    hand.fill("Name", "sealed")
    # A box too large to be proposed is drawn, and is cut out as a picture.
    hand.type("Escape", "b")
    hand.drag(119, 257, 189, 277)
    expect(page.locator('[name="field-name"]')).to_be_focused()
    hand.type("signature", "Enter")
    page.get_by_role("button", name="signature").click()
    hand.choose("Type", "image")
    hand.type("c")
    hand.drag(164, 18, 190, 44)
    text = page.get_by_label("Text of the qr code: select a part, then say what it is")
    expect(text).to_have_value("tally-1")
    page.get_by_label("Key of a document").select_option("field:station")
    hand.saved()
    form = draft_of(context)
    fields = {field.name: field for field in form.all_fields}
    assert set(fields) == {field.name for field in printed.form.all_fields}
    assert fields["station"].type == "code"
    assert fields["votes_05"].none_marks == ("X",)
    assert fields["sealed"].labels == ("yes", "no")
    assert fields["signature"].type == "image"
    assert [check.model_dump(exclude_none=True) for check in form.checks] == [
        {"sum": ("votes_*",), "equals": "valid"},
        {"sum": ("valid", "spoilt"), "equals": "total"},
    ]
    assert form.registration.code is not None
    assert form.registration.code.value == "tally-1"
    # A name that cannot be: the error stands at its box, and nothing can be downloaded.
    page.get_by_role("button", name="spoilt").click()
    hand.fill("Name", "spoilt papers")
    wrong = page.locator(".boxes .field.wrong")
    expect(wrong).to_have_count(1)
    expect(page.locator(".notes .error")).to_contain_text("letters, digits and _")
    hand.press("Save")
    expect(page.locator("[data-error]")).to_contain_text("not complete yet")
    page.locator("[data-stage]").focus()
    hand.type("Control+z")
    expect(wrong).to_have_count(0)
    hand.saved()
    # Everything is there after a reload, and the file is what the commands take.
    page.reload()
    expect(page.locator(".boxes .field")).to_have_count(14)
    with page.expect_download() as waiting:
        page.get_by_text("Download", exact=True).click()
    assert Form.load(waiting.value.path()).hash == form.hash


def test_false_boxes_marks_and_a_template_opened_again(
    page: Page, context: DeskContext, tmp_path: Path
) -> None:
    printed = Printed(load("strip"))
    hand = Hand(page, printed)
    path = tmp_path / "strip.yaml"
    path.write_text(printed.form.to_text())
    hand.open(path)
    corners = printed.form.registration.marks
    assert corners is not None
    expect(page.locator(".marks .mark")).to_have_count(len(corners.at))
    count = len(hand.fields)
    box = printed.form.fields[0].cells.rectangles()[0]
    hand.type("e")
    hand.drag(box[0] - 0.01, box[1] - 0.01, box[0] + box[2] + 0.001, box[1] + box[3] + 0.01)
    hand.saved()
    assert len(hand.fields) == count
    left = draft_of(context).fields[0].cells.rectangles()
    kept = printed.form.fields[0].cells.rectangles()[1:]
    assert np.abs(np.array(left) - np.array(kept)).max() < 1e-4
    x, y = corners.at[0]
    hand.drag(x - 0.03, y - 0.03, x + 0.03, y + 0.03)
    expect(page.locator("[data-panel=problems]")).to_contain_text("at least 4")
    hand.type("m")
    hand.click(x + 0.01, y + 0.005)
    expect(page.locator("[data-panel=problems]")).to_be_hidden()
    hand.saved()
    marks = draft_of(context).registration.marks
    assert marks is not None
    assert max(abs(a - b) for a, b in zip(marks.at[0], (x, y), strict=True)) < 0.002


def test_scans_are_overlaid_and_boxes_off_their_lines_are_red(
    page: Page, context: DeskContext, tmp_path: Path
) -> None:
    printed = Printed(load("register"))
    path = tmp_path / "register.yaml"
    path.write_text(printed.form.to_text())
    hand = Hand(page, printed)
    hand.open(path)
    scan, _ = scanned(printed.form, ("skew",), dpi=150)
    cv2.imwrite(str(tmp_path / "filled.png"), scan.grey)
    page.set_input_files("[data-scan-file]", tmp_path / "filled.png")
    caption = page.locator("figcaption")
    expect(caption).to_contain_text("all 21 fields are on their lines")
    assert page.locator("figure polygon.on").count() == 65
    number = printed.form.fields[0].cells.rectangles()[0]
    hand.click(number[0] + 2, number[1] + 3)
    page.locator("[data-stage]").focus()
    for _ in range(3):
        hand.type("Shift+ArrowDown")
    expect(caption).to_contain_text("1 of 21 fields are off their lines")
    assert page.locator("figure polygon.off").count() == 5
    page.get_by_role("button", name="Enlarge filled.png").click()
    expect(page.locator("dialog[open]")).to_contain_text("not on their printed lines")


def test_a_file_of_two_pages_has_two_tabs(page: Page, context: DeskContext, tmp_path: Path) -> None:
    printed = Printed(load("register"))
    cv2.imwritemulti(str(tmp_path / "two.tiff"), [printed.grey, printed.grey])
    hand = Hand(page, printed)
    hand.open(tmp_path / "two.tiff")
    expect(page.locator(".boxes .field")).to_have_count(21)
    page.get_by_role("button", name="Page 2").click()
    expect(page.locator(".boxes .field")).to_have_count(21)
    number = printed.form.fields[0].cells.rectangles()[0]
    hand.click(number[0] + 2, number[1] + 3)
    hand.fill("Name", "second_number")
    page.get_by_role("button", name="Page 1").click()
    expect(page.locator(".boxes .field text", has_text="second_number")).to_have_count(0)
    hand.saved()
    (found,) = (each for each in draft_of(context).fields if each.name == "second_number")
    assert found.page == 2


def test_a_bomb_is_refused_and_a_draft_that_two_change_is_kept_twice(
    browser: Browser, look: Look, context: DeskContext, tmp_path: Path
) -> None:
    page = look.page
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(pdf(1, (14_000, 14_000)))
    page.set_input_files("#file", bomb)
    expect(page.locator("[data-error]")).to_contain_text("bomb.pdf: 58333 x 58333 pixels")
    printed = Printed(Form.parse(EIGHT))
    hand = Hand(page, printed)
    hand.open(printed.write(tmp_path / "members.png"))
    other = Look(browser, look.base, viewport={"width": 1300, "height": 1700})
    sign_in(other.page)
    other.page.goto(page.url)
    expect(other.page.locator(".boxes .field")).to_have_count(8)
    hand.click(64, 45)
    hand.type("Delete")
    hand.saved()
    second = Hand(other.page, printed)
    second.click(64, 65)
    second.fill("Name", "mine")
    expect(other.page.locator("[data-error]")).to_contain_text("Meanwhile anna changed this draft")
    other.page.get_by_role("button", name="Keep mine as a draft of its own").click()
    expect(other.page).not_to_have_url(page.url)
    expect(other.page.locator(".boxes .field")).to_have_count(8)
    counts = sorted(len(found.draft.template["fields"]) for found in Drafts(context.store).all())
    assert counts == [7, 8]
    assert other.wrong == []
    other.context.close()


def test_nothing_serious_for_axe_and_everything_by_keyboard(look: Look, tmp_path: Path) -> None:
    page = look.page
    look.is_accessible()
    printed = Printed(Form.parse(EIGHT))
    hand = Hand(page, printed)
    hand.open(printed.write(tmp_path / "members.png"))
    page.locator("[data-stage]").focus()
    hand.type("n", "Enter", "member", "Enter", "Escape")
    hand.type("n", "Delete")
    expect(page.locator(".boxes .field")).to_have_count(7)
    hand.type("a")
    expect(page.locator(".boxes .field")).to_have_count(8)
    look.is_accessible()
    page.locator("[data-stage]").focus()
    hand.type("?")
    expect(page.locator("dialog[open]")).to_contain_text("Copy down")
    look.is_accessible()
    hand.type("Escape")
    hand.saved()
    hand.press("Save")
    expect(page.locator("[data-hint]")).to_contain_text("is saved")
    page.goto("/templates")
    expect(page.get_by_role("button", name="Edit members")).to_be_visible()
    look.is_accessible()
