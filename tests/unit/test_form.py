"""Templates: what they say, and what is said of a wrong one."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from inkmill.errors import FormError
from inkmill.template.form import Form
from tests.unit.sheets import FORMS, load

TEXT = """\
inkmill_form: 1
name: tally
page: {width: 210, height: 297, unit: mm}
registration:
  marks: {shape: square, size: 5, at: [[10, 10], [200, 10], [200, 287], [10, 287]]}
fields:
  - name: votes_01
    type: digits
    cells: {origin: [160, 60], size: [9, 14], pitch: [10, 0], count: 3}
    unused: leading
    rules: [{range: [0, 999]}]
  - {name: total, cells: {origin: [160, 80], size: [9, 14], pitch: [10, 0], count: 3}}
checks:
  - {sum: [votes_01], equals: total}
"""


@pytest.mark.parametrize("path", sorted(FORMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_valid_and_survive_a_round_trip(path: Path) -> None:
    form = Form.load(path)
    assert Form.parse(form.to_text()).hash == form.hash


def test_cells_come_field_by_field_from_left_to_right() -> None:
    cells = Form.parse(TEXT).cells(1)
    assert [(cell.field, cell.index) for cell in cells[:4]] == [
        ("votes_01", 0),
        ("votes_01", 1),
        ("votes_01", 2),
        ("total", 0),
    ]
    assert cells[1].box == (170, 60, 9, 14)


def test_a_table_makes_a_field_for_each_row() -> None:
    form = load("tally")
    names = [field.name for field in form.all_fields if field.name.startswith("votes_")]
    assert names == [f"votes_{row:02d}" for row in range(1, 9)]
    assert form.names_in("votes_*") == tuple(names)


def test_comments_and_defaults_do_not_change_the_hash() -> None:
    other = TEXT.replace("type: digits", "type: digits   # as written").replace(
        "shape: square, ", ""
    )
    assert Form.parse(other).hash == Form.parse(TEXT).hash
    assert Form.parse(TEXT.replace("[160, 80]", "[160, 81]")).hash != Form.parse(TEXT).hash


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("unused: leading", "unsed: leading", r"line 10, field votes_01.*did you mean 'unused'"),
        ("type: digits", "type: digit", r"line 8, field votes_01.*did you mean 'digits'"),
        ("count: 3}\n    unused", "count: x}\n    unused", r"line 9, .*cells.count.*not 'x'"),
        ("equals: total", "equals: totl", r"line 14, .*totl, which is not a field"),
        ("name: total", "name: votes_01", r"line 12, .*two fields are called votes_01"),
        ("origin: [160, 80]", "origin: [190, 80]", r"line 12, .*total extends beyond the page"),
        ("[200, 287], [10, 287]", "[10, 287], [200, 287]", r"line 5, .*clockwise"),
        ("range: [0, 999]", "range: [0, 999], length: 3", r"line 11, .*exactly one of"),
        ("fields:\n", "fields: [\n", r"line \d+: not valid YAML"),
        ("inkmill_form: 1", "inkmill_form: 2", r"line 1, inkmill_form"),
    ],
)
def test_an_error_names_file_line_and_field(right: str, wrong: str, said: str) -> None:
    with pytest.raises(FormError, match=r"tally\.yaml, " + said):
        Form.parse(TEXT.replace(right, wrong, 1), "tally.yaml")


def test_something_must_tell_up_from_down() -> None:
    # The one field stands in the middle: half a turn puts its boxes upon themselves.
    middle = TEXT.replace("origin: [160, 60]", "origin: [90.5, 141.5]")
    middle = middle[: middle.index("  - {name: total")]
    with pytest.raises(FormError, match="shows which side is up"):
        Form.parse(middle)
    assert Form.parse(middle.replace("size: 5,", "size: 5, odd: {at: [40, 10]},"))


def test_a_blank_named_by_file_is_taken_in(tmp_path: Path) -> None:
    sink = io.BytesIO()
    Image.new("L", (84, 119), 255).save(sink, "PNG")
    (tmp_path / "blank.png").write_bytes(sink.getvalue())
    text = TEXT.replace("registration:\n", "registration:\n  blank: blank.png\n")
    (tmp_path / "form.yaml").write_text(text)
    form = Form.load(tmp_path / "form.yaml")
    blank = form.registration.blank
    assert blank is not None
    assert blank.data() == sink.getvalue()
    assert tuple(blank.box) == (0, 0, 210, 297)
    # What workers get needs no other file.
    assert base64.b64encode(sink.getvalue()).decode() in form.to_text().replace("\n", "")
    assert Form.parse(form.to_text()).hash == form.hash


def test_a_file_that_is_not_there_is_a_form_error(tmp_path: Path) -> None:
    with pytest.raises(FormError, match="cannot be read as a template"):
        Form.load(tmp_path / "none.yaml")
    with pytest.raises(FormError, match="needs the template's folder"):
        Form.parse(TEXT.replace("registration:\n", "registration:\n  blank: blank.png\n"))


def test_several_pages_have_their_own_fields_and_registration() -> None:
    second = (
        "pages:\n  - number: 2\n    side: back\n    registration:\n"
        "      marks: {shape: circle, size: 5, at: [[10, 10], [200, 10], [200, 287], [10, 287]]}\n"
        "fields:\n  - {name: back, page: 2, cells: {origin: [20, 60], size: [9, 14]}}\n"
    )
    form = Form.parse(TEXT.replace("fields:\n", second, 1))
    assert form.page_count == 2
    assert [field.name for field in form.page_fields(2)] == ["back"]
    marks = form.registration_of(2).marks
    assert marks is not None
    assert marks.shape == "circle"
