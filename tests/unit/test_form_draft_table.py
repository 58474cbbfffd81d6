"""The table of a draft: filled in, it makes the template, or is refused by line and column."""

from __future__ import annotations

import pytest

from inkmill.errors import FormError
from inkmill.forms.make.detecting import detect_pages
from inkmill.forms.make.rule_text import parse_rules
from inkmill.forms.make.table import build
from inkmill.template.form import Form
from inkmill.template.parts import Cells
from tests.unit.test_form_detect import printed


def filled_table(made: Form) -> str:
    lines = ["number;name;type;cells;unused;none;sum_of"]
    names = ["first", "second", "sum", "", "total"]
    for number, name in enumerate(names, 1):
        kind = "number" if name else "skip"
        sums = {"sum": "first+second"}.get(name, "")
        lines.append(f"{number};{name};{kind};3;leading;X;{sums}")
    return "\ufeff" + "\n".join(lines)


def test_build_makes_the_template_of_draft_and_table() -> None:
    made = detect_pages([printed("strip", 150)], "strip").form
    form = build(made, filled_table(made), "strip.csv")
    assert [field.name for field in form.fields] == ["first", "second", "sum", "total"]
    assert form.fields[0].unused == "leading"
    assert form.fields[0].none_marks == ("X",)
    assert form.checks[0].equals == "sum"
    assert form.registration == made.registration


def test_a_single_box_becomes_one_for_an_amount() -> None:
    made = detect_pages([printed("strip", 150)], "strip").form
    (field, *_) = made.fields
    one = field.model_copy(update={"cells_given": Cells(boxes=((0.1, 0.1, 0.2, 0.05),))})
    made = made.model_copy(update={"fields": (one, *made.fields[1:])})
    text = "number,name,type,digits,decimals\n1,total,number,1 to 6,2\n2,first,digits,,\n"
    total, first = build(made, text, "strip.csv").fields
    assert (total.box, total.digits, total.decimals) == ((0.1, 0.1, 0.2, 0.05), (1, 6), 2)
    assert not first.strip
    with pytest.raises(FormError, match=r"line 3, digits: only for a number that is written into"):
        build(made, text.replace("first,digits,", "first,number,1 to 6"), "strip.csv")
    with pytest.raises(FormError, match=r"line 2, digits: 'some': give how many digits it has"):
        build(made, text.replace("1 to 6", "some"), "strip.csv")


def test_each_box_of_a_row_may_be_a_number_of_its_own(strip: Form) -> None:
    """As in the rows of a table: marks for each question, and their total in the last box."""
    boxes = strip.fields[0].cells.rectangles()
    assert len(boxes) == 3
    head = "number,name,type,digits,sum_of\n"
    lines = (
        "1 box 1 to 2,mark_##,number,1 to 2,\n1 box 3,total,number,1 to 3,mark_*\n2,rest,digits,,"
    )
    form = build(strip, head + lines, "t.csv")
    assert [each.name for each in form.fields] == ["mark_01", "mark_02", "total", "rest"]
    assert [each.box for each in form.fields[:3]] == list(boxes)
    assert form.checks[0].equals == "total"
    (unnamed,) = build(strip, head + "3 box 2,,number,1,", "t.csv").fields
    assert unnamed.name == "box_003_02"
    for line, said in (
        ("1 box 4,a,number,1,", "'1 box 4': row 1 of the picture has the boxes 1 to 3"),
        ("1 box 0,a,number,1,", "'1 box 0': row 1 of the picture has the boxes 1 to 3"),
        ("1 box two,a,number,1,", "'1 box two': give boxes of a row as 4 box 2"),
        ("77 box 1,a,number,1,", "the picture has no box '77'"),
        ("1 box 2,a,number,1,\n1,b,digits,,", "1 is in line 2 as well"),
        ("1,b,digits,,\n1 boxes 2 to 3,a_#,number,1,", "1 box 2 is in line 2 as well"),
        ("1 box 1 to 2,a,number,1,", "2 fields need different names"),
    ):
        with pytest.raises(FormError, match=said):
            build(strip, head + line, "t.csv")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("\n2;", "\n99;", r"strip\.csv, line 3, number: the picture has no box '99'"),
        ("\n2;", "\n1;", r"strip\.csv, line 3, number: 1 is in line 2 as well"),
        ("second;number", "second;numbr", r"line 3, type: 'numbr' is not a type: did you mean 'nu"),
        ("first+second", "first+third", r"line 4, sum_of: a check names third, which is not a"),
        ("2;second", "2;first", r"strip\.csv, line 3, name: two fields are called first"),
        ("2;second", "2;9th", r"strip\.csv, line 3, name: string should match"),
        ("2;second;number;3;leading", "2;second;number;3;lead", r"line 3, unused: .*did you mean"),
        ("number;name;type", "number;nmae;type", r"line 1, nmae: no such column: did you mean 'na"),
        ("1;first;", "1 to 2;first;", r"line 2, name: 2 fields need different names: write #"),
        ("second;number", "second;image", r"line 3, type: an image field has exactly one box"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line_and_column(
    right: str, wrong: str, said: str
) -> None:
    made = detect_pages([printed("strip", 150)], "strip").form
    with pytest.raises(FormError, match=said):
        build(made, filled_table(made).replace(right, wrong, 1), "strip.csv")


HEAD = "number,name,type,digits,group,none,empty,optional,rules,choose,labels"


@pytest.fixture(scope="module")
def strip() -> Form:
    return detect_pages([printed("strip", 150)], "strip").form


def test_a_table_names_rows_by_pattern_and_gives_rules(strip: Form) -> None:
    lines = [
        HEAD,
        '1 to 3,row_##,number,,,X -,zero,yes,"range 0-250; length 1-3",,',
        '4,row_##,code,,,,,,"allowed 101, 102 once",,',
        "5,rest,skip,,,,,,,,",
    ]
    form = build(strip, "\n".join(lines), "t.csv")
    assert [field.name for field in form.fields] == ["row_01", "row_02", "row_03", "row_04"]
    first, last = form.fields[0], form.fields[-1]
    assert (first.empty, first.optional, first.none_marks) == ("zero", True, ("X", "-"))
    assert [rule.word for rule in first.rules] == ["range", "length"]
    assert last.rules[0].allowed == ("101", "102")
    assert last.rules[0].once


@pytest.mark.parametrize(
    "days",
    ["2026-01-01 to 2027-06-30", "from 2026-01-01 TO 2027-06-30", ", 2026-01-01 \u2013 2027-06-30"],
)
def test_a_date_of_a_table_lies_between_two_days(days: str) -> None:
    found = {"date": "%d%m%Y", "between": ["2026-01-01", "2027-06-30"]}
    assert parse_rules(f"date %d%m%Y{'' if days[0] == ',' else ' '}{days}; length 8") == [
        found,
        {"length": 8},
    ]


def test_a_table_joins_boxes(strip: Form) -> None:
    lines = [HEAD, '1,,checkbox,,answer,,,,,one,"yes,no,?"', '2,,checkbox,,answer,,,,,one,"a|b|c"']
    (answer,) = build(strip, "\n".join(lines), "t.csv").fields
    assert answer.name == "answer"
    assert answer.labels == ("yes", "no", "?", "a", "b", "c")
    assert answer.choose == "one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rnage 0-9", "'rnage' is not a rule: did you mean 'range'"),
        ("range", "range demands nothing"),
        ("range nine", "give two numbers"),
        ("date %d%m%y 2026", "give the first and the last day"),
        ("check_digit luhm", "unknown check digit"),
    ],
)
def test_a_wrong_rule_is_named(strip: Form, text: str, said: str) -> None:
    with pytest.raises(FormError, match=rf"t\.csv, line 2, rules: .*{said}"):
        build(strip, f"{HEAD}\n1,a,code,,,,,,{text},,", "t.csv")
