"""Numbers without cells: their templates, what texts mean, and how rules judge readings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest

from inkmill.codes import Code, Status
from inkmill.errors import FormError
from inkmill.people import typed
from inkmill.people.lists import TypedValue
from inkmill.records import rows
from inkmill.records.rows import FieldResult, Row, StringReading
from inkmill.rules.joint.decode import PAPER_WRONG
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_strip
from inkmill.rules.statuses import certainty
from inkmill.template.form import Form
from inkmill.template.numbers import value_of

AMOUNT = "type: number, digits: [1, 6], decimals: 2"
SUM = "checks:\n  - {sum: [a, b], equals: total}\n"


def form(fields: Mapping[str, str], more: str = "") -> Form:
    """A form with a box for each of these fields, one below the other."""
    lines = [
        f"  - {{name: {name}, box: [20, {40 + 10 * place}, 60, 8], {rest}}}"
        for place, (name, rest) in enumerate(fields.items())
    ]
    head = (
        "inkmill_form: 1\nname: sheet\npage: {width: 210, height: 297}\n"
        "registration:\n  marks: {at: [[10, 10], [200, 10], [200, 287], [10, 287]]}\n"
        "  code: {kind: qr, box: [170, 18, 24, 24], value: sheet-1}\n"
    )
    return Form.parse(head + "fields:\n" + "\n".join(lines) + "\n" + more)


def strings(**probabilities: float) -> tuple[StringReading, ...]:
    """Readings by text; ``n12`` stands for the text 12."""
    return tuple(StringReading(text.lstrip("n"), p) for text, p in probabilities.items())


def judged(of: Form, readings: Mapping[str, tuple[StringReading, ...]]) -> dict[str, FieldResult]:
    results = [read_strip(each, readings[each.name]) for each in of.all_fields]
    return {each.name: each for each in judge(of, results)}


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("1250", 0, "1250"),
        ("1.250", 0, "1250"),
        ("1'250'000", 0, "1250000"),
        ("22.000.-", 0, "22000"),
        ("15000=", 0, "15000"),
        ("2.348.", 0, "2348"),
        ("17.800-.", 0, "17800"),
        ("330.640..", 0, "330640"),
        ("12.50", 0, None),
        ("1.25.000", 0, None),
        ("1.250,000", 0, None),
        ("-12", 0, None),
        ("", 0, None),
        ("12,50", 2, "12.50"),
        ("12,50.", 2, "12.50"),
        ("12,-.", 2, "12.00"),
        ("12..", 2, None),
        ("12.50-", 2, "12.50"),
        ("1.250,50", 2, "1250.50"),
        ("1.250.50", 2, "1250.50"),
        ("$ 1.250.50-", 2, "1250.50"),
        ("$75", 0, "75"),
        ("12.-", 2, "12.00"),
        ("12--", 2, "12.00"),
        ("1.250,--", 2, "1250.00"),
        ("1250", 2, None),
        ("12.", 2, None),
        (",50", 2, None),
        ("12,5", 2, None),
    ],
)
def test_what_a_written_number_stands_for(text: str, decimals: int, value: str | None) -> None:
    assert value_of(text, decimals, ("thousands", "dashes", "currency")) == value
    if not text.isdigit() and value is not None and text != "12,50":
        assert value_of(text, decimals, ()) is None


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("type: number", "a box needs digits: [least, most]"),
        ("type: number, digits: [5, 2]", "5 is above 2"),
        ("type: digits, digits: 3", "box is for type number or code"),
        ("type: number, digits: 3, cells: {origin: [1, 1], size: [2, 2]}", "and not both"),
        ("type: number, digits: 3, unused: leading", "unused is for cells"),
        ("type: code, digits: 3, decimals: 2", "a code is digits only"),
        ("type: number, digits: 3, decimals: 2, rules: [{length: 3}]", "length is a rule for dig"),
        ("type: number, digits: 2, rules: [{range: [100, 200]}]", "it needs 3 digits"),
        ("type: number, digits: 2, skip: [points]", "skip"),
    ],
)
def test_a_wrong_box_is_explained(rest: str, words: str) -> None:
    with pytest.raises(FormError, match=r"field total") as error:
        form({"total": rest})
    assert words in str(error.value)


def test_cells_and_strips_do_not_mix() -> None:
    with pytest.raises(FormError, match="digits is for a number in a box"):
        form({"a": "type: number, digits: 3, box: null, cells: {origin: [1, 1], size: [2, 2]}"})
    with pytest.raises(FormError, match="compares a with 2 decimals and total with 0"):
        form({"a": AMOUNT, "b": AMOUNT, "total": "type: number, digits: [1, 6]"}, SUM)
    sheet = form({"a": AMOUNT, "year": "type: code, digits: 4"})
    assert [each.name for each in sheet.strips(1)] == ["a", "year"]
    assert not sheet.cells(1)
    assert Form.parse(sheet.to_text()).hash == sheet.hash


@pytest.mark.parametrize(
    ("rest", "readings", "value", "raw", "code"),
    [
        ("type: number, digits: [1, 4]", strings(n012=0.6, n12=0.395), "12", "012", None),
        ("type: code, digits: [1, 4]", strings(n012=0.995), "012", "012", None),
        ("type: number, digits: [1, 4]", strings(n12=0.98), "12", "12", Code.LOW_CONFIDENCE),
        ("type: number, digits: [1, 4]", strings(n12345=0.999), "", "12345", Code.NOT_A_DIGIT),
        ("type: number, digits: [3, 4]", strings(n12=0.999), "", "12", Code.NOT_A_DIGIT),
        ("type: number, digits: [1, 4]", strings(n12=0.3, n72=0.2), "", "?", Code.NOT_A_DIGIT),
        ("type: number, digits: [1, 4]", (), "", "?", Code.NOT_A_DIGIT),
        ("type: number, digits: [1, 4]", strings(_=1.0), "", "_", Code.BLANK),
        ("type: number, digits: [1, 4], optional: true", strings(_=1.0), "", "_", None),
        (f"{AMOUNT}, empty: zero", strings(_=1.0), "0.00", "_", None),
        ("type: number, digits: [1, 4]", strings(X=1.0), "", "X", Code.NOT_A_DIGIT),
        ("type: number, digits: [1, 4], none: X", strings(X=1.0), "0", "X", None),
    ],
)
def test_what_a_strip_says_by_itself(
    rest: str, readings: tuple[StringReading, ...], value: str, raw: str, code: Code | None
) -> None:
    found = judged(form({"a": rest}), {"a": readings})["a"]
    assert (found.value, found.raw, found.code) == (value, raw, code)
    assert (found.status is Status.OK) == (code is None)


@pytest.mark.parametrize(
    ("typed_", "value"),
    [
        ("1.250,50", "1250.50"),
        ("12.50", "12.50"),
        ("12.-", "12.00"),
        ("_", ""),
        ("X", "0.00"),
        (".", "7.00"),
        ("1250", None),
        ("12345678,00", None),
    ],
)
def test_what_people_type_for_an_amount(typed_: str, value: str | None) -> None:
    (field,) = form({"a": f"{AMOUNT}, none: X"}).all_fields
    entry = TypedValue(0, "a", "7.00", typed_, 2)
    if value is not None:
        assert typed.value(field, entry) == value
        return
    with pytest.raises(ValueError, match="not a number of 1 to 6 digits and 2 behind a point"):
        typed.value(field, entry)


# --- sums ----------------------------------------------------------------------------------------


def test_odds_of_a_sum_are_those_of_all_assignments() -> None:
    """Brute force: what is none of the texts can keep no check."""
    number = "type: number, digits: [1, 4]"
    readings = {
        "a": strings(n12=0.7, n72=0.2, n17=0.05),
        "b": strings(n30=0.6, n36=0.3),
        "total": strings(n42=0.5, n48=0.3, n102=0.1),
    }
    found = judged(form({"a": number, "b": number, "total": number}, SUM), readings)
    masses: dict[tuple[str, str], float] = {}
    whole = 0.0
    options = [
        [
            *((each.text, each.probability) for each in read),
            ("", 1 - sum(e.probability for e in read)),
        ]
        for read in readings.values()
    ]
    for (a, p), (b, q), (total, r) in itertools.product(*options):
        holds = "" not in (a, b, total) and int(a) + int(b) == int(total)
        mass = p * q * r * (1 if holds else PAPER_WRONG)
        whole += mass
        for name, value in (("a", a), ("b", b), ("total", total)):
            masses[name, value] = masses.get((name, value), 0.0) + mass
    for name, result in found.items():
        expected = masses[name, result.proposed] / whole
        assert 1 / (1 + math.exp(-result.margin)) == pytest.approx(expected, abs=2e-3)
    assert {name: each.proposed for name, each in found.items()} == {
        "a": "12",
        "b": "30",
        "total": "42",
    }
    assert certainty(found["total"]) > 0.5


def test_a_sum_of_amounts_lifts_a_doubtful_one_and_finds_a_misreading() -> None:
    sheet = form({"a": AMOUNT, "b": AMOUNT, "total": AMOUNT}, SUM)
    sure = StringReading("1.250,50", 0.999)
    doubtful = {
        "a": (sure,),
        "b": (StringReading("10,00", 0.97), StringReading("70,00", 0.02)),
        "total": (StringReading("1.260,50", 0.999),),
    }
    assert {each.status for each in judged(sheet, doubtful).values()} == {Status.OK}
    wrong = {**doubtful, "total": (StringReading("1.320,50", 0.9),)}
    found = judged(sheet, wrong)
    assert {each.status for each in found.values()} == {Status.REVIEW}
    assert found["b"].proposed == "70.00"
    assert "1250.50 + 10.00 is 1260.50, and total is 1320.50" in found["b"].message


def test_no_sum_accepts_a_strip_that_was_not_read() -> None:
    number = "type: number, digits: [1, 4]"
    sheet = form({"a": number, "b": number, "total": number}, SUM)
    read = {"a": strings(n12=0.999), "b": strings(n30=0.3), "total": strings(n42=0.999)}
    found = judged(sheet, read)
    assert found["b"].status is Status.REVIEW
    assert found["b"].proposed == "30"


def test_strings_survive_storage() -> None:
    field = FieldResult("a", "12", "12", 0.75, strings=strings(n12=0.75, n72=0.125))
    row = Row(1, "a.png", fields=(field,), strips_model="f" * 64)
    assert rows.decode(rows.encode([row])) == [row]
