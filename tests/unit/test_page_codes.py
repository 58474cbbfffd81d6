"""A page code says which page of which document a scan is, and nothing else may say otherwise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from inkmill.codes import Code, PageBy, Status
from inkmill.errors import FormError, ItemError, UsageError
from inkmill.forms.geometry import apply, corners
from inkmill.forms.intake import Page
from inkmill.forms.locate.choosing import ChosenSide, choose
from inkmill.forms.synth.filling import FilledPage
from inkmill.forms.synth.printing import draw_code
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.rows import Row, decode
from inkmill.rules.settle import Settlement
from inkmill.template.form import Form
from inkmill.template.pagecode import CodeText, PageCode
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Recipe
from tests.unit.sheets import sheet

PATTERN = r"exam-(?P<document>\d+)-(?P<page>\d+)"
MARKS = "marks: {size: 5, at: [[12, 12], [198, 12], [198, 285], [12, 285]]}"
CELLS = "size: [9, 13], pitch: [10, 0], count: 3"


def exam(code: str = f"pattern: '{PATTERN}'", kind: str = "qr", more: str = "") -> Form:
    """Three pages: the first two have the same boxes, the last has none."""
    return Form.parse(f"""
inkmill_form: 1
name: exam
page: {{width: 210, height: 297}}
registration:
  {MARKS}
  code: {{kind: {kind}, box: [140, 20, 44, 44], {code}}}
pages: [{{number: 3}}]
{more}
fields:
  - {{name: a, type: number, cells: {{origin: [30, 80], {CELLS}}}}}
  - {{name: b, type: number, cells: {{origin: [30, 130], {CELLS}}}}}
  - {{name: c, type: number, page: 2, cells: {{origin: [30, 80], {CELLS}}}}}
  - {{name: d, type: number, page: 2, cells: {{origin: [30, 130], {CELLS}}}}}
""")


def coded(form: Form, number: int, text: str) -> FilledPage:
    """A filled page whose code says ``text``; without a code if that is empty."""
    made = sheet(form, page_number=number)
    code = form.registration.code
    assert code is not None
    if text:
        draw_code(made.grey, made.transform, code, text)
    return made


def chosen(grey: np.ndarray, form: Form, position: int = 1) -> ChosenSide:
    return choose(Page(np.ascontiguousarray(grey)), Templates((form,)), position)


def refusal(grey: np.ndarray, *forms: Form) -> ItemError:
    with pytest.raises(ItemError) as caught:
        choose(Page(np.ascontiguousarray(grey)), Templates(forms), 1)
    return caught.value


def read_file(form: Form, pages: Sequence[np.ndarray], source: str = "exam.tif") -> list[Row]:
    """The rows that a worker makes of a file's pages; its model reads 7 everywhere."""
    files = [cv2.imencode(".png", grey)[1].tobytes() for grey in pages]
    items = tuple(Item(n, f"{n}.png", data=data) for n, data in enumerate(files))
    batch = PageBatch(
        ChunkTable.decode(Chunk("job", 0, items).encode()),
        Templates((form,)),
        Recipe(28, ()),
        Limits(),
    )
    for number in range(len(items)):
        batch.read(number, {})
    classes = (*"0123456789", "blank", "reject")
    odds = np.zeros((len(batch.crops), len(classes)), np.float32)
    odds[:, 7] = 1.0
    rows = decode(batch.answer(odds, Reader(classes, "ab" * 32, "float32", 0.9)).data)
    return [replace(row, source=source, page=n) for n, row in enumerate(rows, 1)]


def settled(form: Form, rows: Sequence[Row]) -> list[Row]:
    found = list(Settlement(form).settle(lambda: rows))
    mixed = random.Random(3).sample(rows, len(rows))
    again = {row.item: row for row in Settlement(form).settle(lambda: mixed)}
    assert [again[row.item] for row in found] == found, "it depends on the order of the rows"
    return found


# --- the template ------------------------------------------


@pytest.mark.parametrize(
    ("text", "page", "document"),
    [
        ("exam-7-2", 2, "7"),
        ("exam-007-012", 12, "007"),
        ("exam-7-", None, None),
        ("exam-7-2x", None, None),
    ],
)
def test_a_pattern_matches_the_whole_text(
    text: str, page: int | None, document: str | None
) -> None:
    code = exam().code_of(1)
    assert code is not None
    said = code.read(text)
    assert said == (CodeText(page, document) if page else None)


@pytest.mark.parametrize(
    ("content", "value", "fits"),
    [
        ("tally-1", "tally-1", True),
        ("tally-1/0042", "tally-1", True),
        ("tally-12", "tally-1", False),
        ("exam-7-2", "exam-", True),
        ("exam", "exam-", False),
    ],
)
def test_a_value_is_how_the_content_begins(content: str, value: str, fits: bool) -> None:
    code = PageCode(box=(0, 0, 1, 1), value=value)
    assert (code.read(content) is not None) == fits


@pytest.mark.parametrize(
    ("code", "more", "message"),
    [
        ("pattern: 'exam-('", "", "not a regular expression"),
        ("pattern: 'exam-(.*)'", "", "name the parts of the code"),
        ("pattern: 'exam-(?P<side>.*)'", "", "name the parts"),
        (f"pattern: '{PATTERN}'", "document_key: {from: source}", "keep one of them"),
        ("value: exam-", "", "pages 1 and 2 have the same boxes and the same code"),
    ],
)
def test_a_code_that_cannot_work_is_refused_when_loaded(code: str, more: str, message: str) -> None:
    with pytest.raises(FormError, match=message):
        exam(code, more=more)


def test_a_pattern_that_never_ends_is_stopped() -> None:
    code = exam("pattern: '(?P<document>(a+)+)b'").code_of(1)
    assert code is not None
    assert code.read("a" * 60) is None


def test_two_templates_with_one_pattern_are_refused() -> None:
    other = Form.parse(exam().to_text().replace("name: exam", "name: other", 1))
    with pytest.raises(UsageError, match="the same page code"):
        Templates.of([("a.yaml", exam()), ("b.yaml", other)])


# --- one page ------------------------------------------


@pytest.mark.parametrize("kind", ["qr", "datamatrix", "code128", "code39"])
def test_the_code_says_the_page_whatever_its_turn(kind: str) -> None:
    form = exam(r"pattern: '(?i)exam-(?P<document>\d+)-(?P<page>\d+)'", kind)
    for number in (1, 2):
        found = chosen(coded(form, number, f"EXAM-7-{number}").grey, form, 3 - number)
        assert (found.side.number, found.by) == (number, PageBy.CODE)


def test_interleaved_2_of_5_says_the_page() -> None:
    form = exam(r"pattern: '40(?P<document>\d{4})(?P<page>\d{2})'", "itf")
    found = chosen(coded(form, 2, "40001702").grey, form, 1)
    assert (found.side.number, found.by, found.text) == (2, PageBy.CODE, "40001702")


def test_a_code_beside_the_forms_own_does_not_matter() -> None:
    form = exam()
    page = coded(form, 2, "exam-7-2")
    code = form.registration.code
    assert code is not None
    sticker = code.model_copy(update={"box": (20, 20, 30, 30)})
    draw_code(page.grey, page.transform, sticker, "https://example.org")
    assert chosen(page.grey, form).side.number == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exam-7-9", "page 9, but exam has 3 pages"),
        ("other-7-1", "does not match the pattern"),
    ],
)
def test_a_code_of_no_page_is_wrong_form(text: str, message: str) -> None:
    (row,) = read_file(exam(), [coded(exam(), 1, text).grey])
    assert row.code is Code.WRONG_FORM
    assert message in row.message
    assert text in row.message


def test_two_documents_in_one_picture_are_refused() -> None:
    form = exam()
    both = np.hstack([coded(form, 1, f"exam-{document}-1").grey for document in (7, 8)])
    error = refusal(both, form)
    assert error.code is Code.UNREGISTERED
    assert "exam-7-1" in error.message
    assert "exam-8-1" in error.message


# --- the pages of a file ------------------------------------------


def test_pages_that_lie_out_of_order_are_read_as_what_they_are() -> None:
    form = exam()
    rows = read_file(form, [coded(form, n, f"exam-7-{n}").grey for n in (3, 2, 1)])
    found = settled(form, rows)
    assert [row.form_page for row in found] == [3, 2, 1]
    assert [row.document_key for row in found] == ["7"] * 3
    assert [[field.name for field in row.fields] for row in found] == [[], ["c", "d"], ["a", "b"]]
    assert [row.status for row in found] == [Status.OK] * 3


def test_a_page_that_cannot_be_located_is_missed_by_its_name() -> None:
    form = exam()
    page = coded(form, 2, "exam-7-2")
    wiped = page.grey.copy()
    wiped[: round(wiped.shape[0] * 0.06)] = 255
    wiped[round(wiped.shape[0] * 0.26) :] = 255
    rows = read_file(form, [coded(form, n, f"exam-7-{n}").grey for n in (3, 1)] + [wiped])
    assert rows[2].status is Status.ERROR
    assert (rows[2].document_key, rows[2].form_page) == ("7", 2)
    found = settled(form, rows)
    assert found[0].code is found[1].code is Code.MISSING
    assert "page 2 of this document is missing; item 2 would be it" in found[1].message


def test_an_unread_page_that_must_be_the_missing_one_is_taken_for_it_and_checked() -> None:
    form = exam()
    pages = [coded(form, 1, "").grey, *(coded(form, n, f"exam-7-{n}").grey for n in (2, 3))]
    found = settled(form, read_file(form, pages))
    assert (found[0].document_key, found[0].form_page) == ("7", 1)
    assert found[0].status is Status.REVIEW
    assert "must be page 1 of document 7" in found[0].message
    assert [row.status for row in found[1:]] == [Status.OK, Status.OK]


def test_an_unread_page_is_never_read_as_the_one_that_another_page_is() -> None:
    """By its turn it would be page 1, but that is the second in the file, by its code."""
    form = exam()
    pages = [coded(form, 2, "").grey, *(coded(form, n, f"exam-7-{n}").grey for n in (1, 3))]
    rows = read_file(form, pages)
    assert (rows[0].form_page, rows[0].page_by) == (1, PageBy.ORDER)
    found = settled(form, rows)
    assert (found[0].status, found[0].code) == (Status.ERROR, Code.UNREGISTERED)
    assert "must be page 2" in found[0].message
    assert "inkmill fix --page 2" in found[0].message
    assert not found[0].fields
    assert found[1].code is Code.MISSING
    assert "page 2 of this document is missing; it must be item 0" in found[1].message


@pytest.mark.parametrize(
    ("unread", "guesses", "adopted"),
    [((1,), (1,), True), ((1, 2), (1, 2), True), ((1, 2), (0, 2), False), ((1, 3), (1, 0), False)],
)
def test_what_the_other_pages_say_of_unread_ones(
    unread: tuple[int, ...], guesses: tuple[int, ...], adopted: bool
) -> None:
    """A guess of 0 is a page in error: then it could be either of them."""
    form = exam()
    rows = read_file(form, [coded(form, n, f"exam-7-{n}").grey for n in (1, 2, 3)])
    for number, guess in zip(unread, guesses, strict=True):
        lost = replace(rows[number - 1], document_key="", form_page=guess, page_by=PageBy.ORDER)
        rows[number - 1] = lost if guess else lost.failed(Code.FAINT, "too faint")
    found = settled(form, rows)
    assert all((found[number - 1].document_key == "7") == adopted for number in unread)
    for row in found:
        if row.page in unread:
            assert row.status is not Status.OK
        elif adopted:
            assert row.status is Status.OK
        else:
            items = " and ".join(f"item {number - 1}" for number in unread)
            assert f"they must be {items}" in row.message


def test_a_file_without_keys_is_one_document_whatever_its_order() -> None:
    form = exam(r"pattern: 'exam-(?P<page>\d+)'")
    pages = [coded(form, n, f"exam-{n}").grey for n in (2, 3, 1)]
    assert [row.status for row in settled(form, read_file(form, pages))] == [Status.OK] * 3
    # Its order says nothing of an unread page: only one page is left that it can be.
    pages[2] = coded(form, 1, "").grey
    rows = [replace(row, form_page=2) if row.item == 2 else row for row in read_file(form, pages)]
    found = settled(form, rows)
    assert (found[2].status, found[2].code) == (Status.ERROR, Code.UNREGISTERED)
    assert "must be page 1" in found[2].message


def test_one_swapped_page_makes_every_turn_of_a_stack_doubtful() -> None:
    form = exam(r"pattern: 'exam-(?P<page>\d+)'")
    fields = {number: coded(form, number, f"exam-{number}").grey for number in (1, 2, 3)}
    first, second, third = read_file(form, list(fields.values()))
    by_turn = replace(first, page_by=PageBy.ORDER)
    placed = [first, second, third, second, first, third, by_turn, second, third]
    rows = [replace(row, item=n, page=n + 1) for n, row in enumerate(placed)]
    found = settled(form, rows)
    assert [row.status for row in found[:3]] == [Status.OK] * 3
    assert (found[6].status, found[6].code) == (Status.ERROR, Code.UNREGISTERED)
    assert "not in order" in found[6].message


def test_between_two_documents_an_unread_page_belongs_to_the_one_that_lacks_it() -> None:
    form = exam()
    first, second, third = read_file(form, [coded(form, n, f"exam-7-{n}").grey for n in (1, 2, 3)])
    unread = replace(first, document_key="", page_by=PageBy.LOOK)
    eighth = [replace(row, document_key="8") for row in (unread, second, third)]
    placed = [first, second, third, unread, *eighth[1:]]
    rows = [replace(row, item=n, page=n + 1) for n, row in enumerate(placed)]
    assert settled(form, rows)[3].document_key == "8"
    # Where both lack it, nothing is guessed.
    rows = [replace(row, item=n, page=n + 1) for n, row in enumerate([second, third, *placed[3:]])]
    found = settled(form, rows)
    assert found[2].document_key == ""
    assert "no key was found" in found[2].message


def test_a_place_on_the_page_is_not_needed_by_a_code_that_says_it_all() -> None:
    """The code is read wherever it is; where it should be helps only if it is hard to read."""
    form = exam()
    page = sheet(form, page_number=1)
    code = form.registration.code
    assert code is not None
    draw_code(
        page.grey, page.transform, code.model_copy(update={"box": (30, 200, 40, 40)}), "exam-7-1"
    )
    (row,) = read_file(form, [page.grey])
    assert (row.document_key, row.form_page, row.page_by) == ("7", 1, PageBy.CODE)


def test_a_smeared_code_is_no_reason_to_guess_a_page_without_boxes() -> None:
    form = exam()
    page = coded(form, 3, "exam-7-3")
    code = form.registration.code
    assert code is not None
    place = np.rint(apply(page.transform, corners(code.box))).astype(np.int32)
    cv2.fillPoly(page.grey, [place], 255)
    (row,) = read_file(form, [page.grey])
    assert row.status is Status.ERROR
    assert row.form_page == 0
