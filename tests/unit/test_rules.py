"""What readings come to: meanings, rules, checks, proposals, repairs, statuses."""

from __future__ import annotations

import math
import time

import pytest

from inkmill.codes import Code, Status
from inkmill.errors import FormError
from inkmill.records.rows import FieldResult
from inkmill.rules.judge import judge
from inkmill.rules.statuses import certainty
from tests.unit.form_pages import cell, fields_of, form, judged

NUMBER = "3|type: number, unused: leading, none: X"
SUM = "  - {sum: [a, b], equals: total}\n"
TWO_SUMS = "  - {sum: [a, b], equals: c}\n  - {sum: [c, d], equals: e}\n"
FIVE = dict.fromkeys("abcde", NUMBER)


@pytest.mark.parametrize(
    ("rest", "raw", "value", "code"),
    [
        ("3|type: number, unused: leading", "_05", "5", None),
        ("3|type: number", "005", "5", None),
        ("3|type: code", "005", "005", None),
        ("3|type: number, none: X, unused: leading", "XX5", "5", None),
        ("3|type: digits, none: X, unused: leading", "X45", "45", None),
        ("3|type: number, none: X", "XXX", "0", None),
        ("3|type: number, none: X, unused: leading", "__X", "0", None),
        ("3|type: number, none: X, unused: leading", "X__", "", Code.NOT_A_DIGIT),
        ("3|type: number, none: X, unused: leading", "_X_", "", Code.NOT_A_DIGIT),
        ("3|type: number, none: X, unused: trailing", "X__", "0", None),
        ("3|type: code, none: X", "X_X", "", Code.NOT_A_DIGIT),
        ("3|type: code, none: X", "XXX", "", None),
        ("3|type: number, none: [X, '-'], unused: leading", "-_5", "5", None),
        ("3|type: number", "X05", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: leading", "1_5", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: leading", "?15", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: trailing", "12_", "12", None),
        ("3|type: number, unused: trailing", "05_", "5", None),
        ("3|type: code, unused: trailing", "05_", "05", None),
        ("3|type: number, unused: trailing, none: X", "7XX", "7", None),
        ("3|type: number, unused: trailing, none: X", "XXX", "0", None),
        ("3|type: number, unused: trailing, none: X", "XX7", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: trailing", "_12", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: trailing", "1_2", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: trailing", "___", "", Code.BLANK),
        ("4|type: number, unused: either", "_12_", "12", None),
        ("4|type: number, unused: either, none: X", "X12_", "12", None),
        ("4|type: number, unused: either", "1_2_", "", Code.NOT_A_DIGIT),
        ("3|type: number", "12_", "", Code.NOT_A_DIGIT),
        ("3|type: number, unused: leading", "12_", "", Code.NOT_A_DIGIT),
        ("3|type: number", "___", "", Code.BLANK),
        ("3|type: number, optional: true", "___", "", None),
        ("3|type: number, empty: zero", "___", "0", None),
    ],
)
def test_what_is_written_and_what_it_means(
    rest: str, raw: str, value: str, code: Code | None
) -> None:
    found = judged(form({"a": rest}), {"a": raw})["a"]
    assert (found.value, found.code) == (value, code)
    assert found.raw == (raw.replace("X", "?") if "none" not in rest else raw)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("range: [10, 20]", "0015", "0021"),
        ("length: 4", "1234", None),
        ("regex: '0[1-9]+'", "0123", "1123"),
        ("allowed: ['0007', '0123']", "0123", "0124"),
        ("date: '%d%m'", "2902", "3002"),
        ("date: '%d%m'", "0112", "1300"),
        ("check_digit: luhn", "0018", "0019"),
        ("check_digit: mod11", "0019", "0018"),
        ("check_digit: mod97", "0195", "0196"),
        ("check_digit: verhoeff", "2363", "2364"),
        ("check_digit: damm", "5724", "5727"),
    ],
)
def test_rules_of_one_field(rule: str, good: str, bad: str | None) -> None:
    page = form({"a": f"4|type: code, rules: [{{{rule}}}]"})
    assert judged(page, {"a": good})["a"].status is Status.OK
    if bad is not None:
        found = judged(page, {"a": bad})["a"]
        assert (found.status, found.code, found.value) == (Status.REVIEW, Code.RULE_FAILED, bad)
        assert rule.split(":")[0] in found.message


def test_isbn_ean_and_national_numbers_are_pythons_stdnum() -> None:
    isbn = form({"a": "13|type: code, rules: [{check_digit: isbn}]"})
    assert judged(isbn, {"a": "9780471117094"})["a"].status is Status.OK
    assert judged(isbn, {"a": "9780471117095"})["a"].code is Code.RULE_FAILED
    swiss = form({"a": "13|type: code, rules: [{check_digit: ch.ssn}]"})
    assert judged(swiss, {"a": "7569217076985"})["a"].status is Status.OK
    with pytest.raises(FormError, match="unknown check digit"):
        form({"a": "13|type: code, rules: [{check_digit: ch.nonsense}]"})
    with pytest.raises(FormError, match="unknown check digit"):
        form({"a": "13|type: code, rules: [{check_digit: os.path}]"})


def test_a_pattern_that_takes_for_ever_is_stopped() -> None:
    page = form({"a": "40|type: code, rules: [{regex: '(0|00)+1'}]"})
    began = time.process_time()
    assert judged(page, {"a": "0" * 40})["a"].code is Code.RULE_FAILED
    assert time.process_time() - began < 3


@pytest.mark.parametrize("unreadable", ["?", "_"])
def test_a_rule_of_the_field_alone_says_nothing_of_a_doubtful_cell(unreadable: str) -> None:
    """A range forbids no value here: what is half unreadable stays so."""
    doubtful = {("a", 1): cell("2", 0.55, **{"d" + unreadable: 0.449})}
    raw = {"a": "123"}
    plain = judged(form({"a": "3|type: number"}), raw, doubtful)["a"]
    ranged = judged(form({"a": "3|type: number, rules: [{range: [0, 999]}]"}), raw, doubtful)["a"]
    assert plain.code is Code.LOW_CONFIDENCE
    assert ranged.code is Code.LOW_CONFIDENCE
    assert certainty(ranged) < 0.65


@pytest.mark.parametrize(
    "rule",
    ["allowed: ['2019']", "range: [2019, 2019]", "regex: '2019'", "allowed: ['2019', '3528']"],
)
def test_a_rule_that_leaves_one_value_accepts_what_reads_like_it(rule: str) -> None:
    page = form({"a": f"4|type: code, rules: [{{{rule}}}]"})

    def read(confidence: float, **others: float) -> FieldResult:
        doubts = {("a", n): cell(digit, confidence, **others) for n, digit in enumerate("2019")}
        return judged(page, {"a": "2019"}, doubts)["a"]

    assert math.prod([0.95] * 4) < 0.82 < 0.99 < certainty(read(0.95))
    assert read(0.95).status is Status.OK
    # Not where the ink may be no digit, or the boxes empty.
    assert read(0.95, **{"d?": 0.04}).code is Code.LOW_CONFIDENCE
    assert read(0.95, d_=0.04).code is Code.LOW_CONFIDENCE
    scribbled = judged(page, {"a": "20?9"})["a"]
    assert (scribbled.code, scribbled.value, scribbled.proposed) == (Code.NOT_A_DIGIT, "", "2019")
    wrong = judged(page, {"a": "2018"})["a"]
    assert (wrong.code, wrong.value) == (Code.RULE_FAILED, "2018")


@pytest.mark.parametrize("rule", ["allowed: ['123', '456']", "range: [120, 125]"])
def test_a_rule_that_forbids_the_other_digits_makes_no_digit_of_a_scribble(rule: str) -> None:
    page = form({"a": f"3|type: code, rules: [{{{rule}}}]"})
    found = judged(page, {"a": "123"}, {("a", 1): cell("2", 0.55, **{"d?": 0.449})})["a"]
    assert found.code is Code.LOW_CONFIDENCE
    # One digit instead of ten is left for a digit, and for a scribble what there was.
    assert certainty(found) == pytest.approx(0.55 / (0.55 + 0.0449), abs=0.01)
    # What it may have been otherwise is another digit: that the rule does forbid.
    found = judged(page, {"a": "123"}, {("a", 1): cell("2", 0.55, d7=0.449)})["a"]
    assert found.status is Status.OK


def test_a_sum_that_comes_out_right_tells_what_is_half_unreadable() -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_61", "b": "_45", "total": "106"}
    found = judged(page, raw, {("a", 1): cell("6", 0.55, **{"d?": 0.449})})
    assert found["a"].status is Status.OK


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("{sum: ['a*', a1], equals: total}", "names a1 twice"),
        ("{sum: [a1], equals: 'tot*'}", "give one field by its name"),
        ("{sum: ['tot*'], equals: total}", "compares nothing"),
        ("{sum: [a1, total], equals: total}", "total on both sides"),
        ("{equal: ['a*', a1]}", "names a1 twice"),
        ("{equal: [a1, a1]}", "names a1 twice"),
    ],
)
def test_a_check_that_could_never_be_made_is_refused(check: str, words: str) -> None:
    with pytest.raises(FormError, match=words):
        form({"a1": NUMBER, "a2": NUMBER, "total": NUMBER}, f"  - {check}\n")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("0012", "0012", True), ("0012", "__12", False), ("0000", "____", False)],
)
def test_equal_values_are_the_same_place_for_place(first: str, second: str, same: bool) -> None:
    code = "4|type: code, unused: leading, optional: true"
    found = judged(form({"a": code, "b": code}, "  - {equal: [a, b]}\n"), {"a": first, "b": second})
    assert found["a"].code is (None if same else Code.RULE_FAILED)


def test_a_doubtful_digit_is_accepted_because_of_a_sum_that_comes_out_right() -> None:
    fields = {"a": NUMBER, "b": NUMBER, "total": NUMBER}
    raw, doubt = {"a": "_67", "b": "_45", "total": "112"}, {("a", 2): cell("7", 0.9, d1=0.09)}
    assert judged(form(fields), raw, doubt)["a"].code is Code.LOW_CONFIDENCE
    found = judged(form(fields, SUM), raw, doubt)["a"]
    assert (found.status, found.rule) == (Status.OK, "sum")
    assert certainty(found) > 0.98 > found.confidence


@pytest.mark.parametrize("b", ["_4?", "_??", "???"])
def test_a_sum_through_an_unread_cell_makes_no_digit_sure_that_it_could_account_for(b: str) -> None:
    """Whatever the model leans to in the unread cell: a 3 was once accepted as a 4 this way."""
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_67", "b": b, "total": "112"}
    doubts = {
        ("a", 2): cell("7", 0.97, d4=0.0299),
        ("b", 2): cell("?", 0.6, d5=0.39),  # might be the 5 that the sum wants
    }
    found = judged(page, raw, doubts)["a"]
    assert (found.value, found.code) == ("67", Code.LOW_CONFIDENCE)
    assert certainty(found) == pytest.approx(found.confidence, abs=0.002)


def test_a_sum_of_two_fields_that_are_not_read_makes_no_digit_sure() -> None:
    page = form(dict.fromkeys("abcd", NUMBER), "  - {sum: [a, b, c], equals: d}\n")
    doubts = {("a", 2): cell("4", 0.9, d3=0.0999)}
    found = judged(page, {"a": "_64", "b": "_1?", "c": "__?", "d": "_85"}, doubts)["a"]
    assert found.code is Code.LOW_CONFIDENCE
    # Two digits make 11 in eight ways, and 12 in seven: the sum says no more than that.
    assert certainty(found) == pytest.approx(0.9 * 8 / (0.9 * 8 + 0.1 * 7), abs=0.002)


def test_a_sum_through_an_unread_cell_tells_what_no_digit_there_accounts_for() -> None:
    """With 4? for b and 112 for the total, a is from 63 to 72."""
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    doubts = {("a", 1): cell("6", 0.9, d5=0.0999)}
    found = judged(page, {"a": "_67", "b": "_4?", "total": "112"}, doubts)
    assert (found["a"].status, found["a"].rule) == (Status.OK, "sum")
    assert found["a"].confidence < 0.9
    assert (found["b"].code, found["b"].value, found["b"].proposed) == (
        Code.NOT_A_DIGIT,
        "",
        "45",
    )
    assert found["b"].margin > 2


def test_a_sum_that_no_digit_in_an_unread_cell_can_satisfy_takes_from_what_was_read() -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    doubts = {("a", 2): cell("1", 0.992, d7=0.0075)}
    found = judged(page, {"a": "_61", "b": "_?5", "total": "112"}, doubts)["a"]
    assert found.confidence > 0.99
    assert found.code is Code.LOW_CONFIDENCE
    assert certainty(found) < 0.95


@pytest.mark.parametrize("b", ["___", "1_5", "????"])
def test_a_field_without_a_number_silences_its_own_check_alone(b: str) -> None:
    page = form(FIVE | {"b": NUMBER.replace("3", str(len(b)))}, TWO_SUMS)
    raw = {"a": "_12", "b": b, "c": "_46", "d": "_11", "e": "_57"}
    found = judged(
        page, raw, {("a", 2): cell("2", 0.9, d7=0.09), ("d", 2): cell("1", 0.9, d7=0.09)}
    )
    assert found["a"].code is Code.LOW_CONFIDENCE
    assert certainty(found["a"]) == pytest.approx(0.89, abs=0.02)
    assert found["d"].status is Status.OK
    assert found["b"].value == ""


def test_an_unread_cell_is_proposed_by_the_sum_and_stays_in_review() -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_6?", "b": "_45", "total": "112"}
    found = judged(page, raw, {("a", 2): cell("?", 0.7, d7=0.1, d1=0.1)})
    assert (found["a"].code, found["a"].value, found["a"].proposed) == (Code.NOT_A_DIGIT, "", "67")
    assert found["b"].status is found["total"].status is Status.OK


def test_repair_changes_a_value_only_where_the_field_says_so_and_marks_it() -> None:
    fields = {"a": NUMBER, "b": NUMBER, "total": NUMBER}
    raw, wavering = {"a": "_61", "b": "_45", "total": "112"}, {("a", 2): cell("1", 0.52, d7=0.479)}
    assert judged(form(fields, SUM), raw, wavering)["a"].value == "61"
    asked = form({**fields, "a": f"{NUMBER}, repair: true"}, SUM)
    found = judged(asked, raw, wavering)
    assert [each.status for each in found.values()] == [Status.OK] * 3
    repaired = found["a"]
    assert (repaired.value, repaired.raw, repaired.source) == ("67", "_61", "repair")
    assert repaired.code is Code.REPAIRED
    assert "requires 67, but 61 was read" in repaired.message
    # Where the reading is sure of itself, the paper is the more likely to be wrong.
    found = judged(asked, raw, {("a", 2): cell("1", 0.98, d7=0.019)})
    assert (found["a"].value, found["a"].code) == ("61", Code.RULE_FAILED)


def test_a_repair_that_keeps_the_number_and_not_the_places_is_none() -> None:
    fields = {"a": "4|type: code, repair: true", "b": "4|type: code, unused: leading"}
    page = form(fields, "  - {equal: [a, b]}\n")
    wavering = {("a", 3): cell("7", 0.52, d2=0.479)}
    found = judged(page, {"a": "0017", "b": "__12"}, wavering)
    assert [each.code for each in found.values()] == [Code.RULE_FAILED] * 2
    assert (found["a"].value, found["a"].source) == ("0017", found["b"].source)


def test_a_persons_value_is_certain_and_the_rules_are_asked_again() -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_61", "b": "_45", "total": "112"}
    found = judged(page, raw, typed={"a": "67"})
    assert [each.status for each in found.values()] == [Status.OK] * 3
    assert (found["a"].value, found["a"].raw) == ("67", "_61")
    # They said what is written: the paper itself is wrong, and the others are still open.
    found = judged(page, raw, typed={"a": "61"})
    assert found["a"].status is Status.OK
    assert found["b"].code is found["total"].code is Code.RULE_FAILED


def test_a_sum_of_scribbled_fields_stays_in_review(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkmill.rules.joint.decode._MOST_STEPS", 2000)
    fields = {"a": NUMBER, "b": NUMBER, "total": NUMBER}
    page = form(fields, "  - {sum: [a, b], equals: total}\n")
    scribbled = {(name, at): cell("?", 0.95) for name in ("a", "b") for at in range(3)}
    found = judged(page, {"a": "???", "b": "???", "total": "106"}, scribbled)
    assert [found[name].status for name in ("a", "b")] == [Status.REVIEW, Status.REVIEW]
    assert found["a"].proposed == ""


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("3|type: number, rules: [{range: [9, 1]}]", "9 is above 1"),
        ("3|type: digits, rules: [{length: [3, 2]}]", "3 is above 2"),
        ("8|type: code, rules: [{date: '%d.%m.%Y'}]", "without points or dashes"),
        ("8|type: code, rules: [{date: DDMMYYYY}]", "cells hold digits only"),
        ("8|type: code, rules: [{date: '2028'}]", "cells hold digits only"),
        (
            "4|type: code, rules: [{date: '%d%m', between: [2026-01-01, 2026-02-01]}]",
            "of day, month",
        ),
        (
            "6|type: code, rules: [{date: '%m%Y', between: [2026-01-01, 2026-02-01]}]",
            "of day, month",
        ),
        ("4|type: code, rules: [{date: '%Y', between: [2026-01-01, 2026-02-01]}]", "of day, month"),
        ("3|type: code, rules: [{length: 3, between: [2026-01-01, 2026-02-01]}]", "of day, month"),
        (
            "8|type: code, rules: [{date: '%d%m%Y', between: [1.1.2026, 2.1.2026]}]",
            "as in .2026-01",
        ),
        (
            "8|type: code, rules: [{date: '%d%m%Y', between: [2026, 2027]}]",
            "the first and the last",
        ),
        ("8|type: code, rules: [{date: '%d%m%Y', between: 2026-01-01}]", "the first and the last"),
        ("6|type: code, rules: [{date: '%d%m%y', between: [2026-02-01, 2026-01-01]}]", "is above"),
        ("6|type: code, rules: [{date: '%d%m%Y'}]", "needs 8 cells, but the field has 6"),
        ("3|type: number, rules: [{range: [1000, 2000]}]", "needs 4 cells"),
        ("3|type: number, rules: [{range: [-9, -1]}]", "cells hold no sign"),
        ("3|type: digits, rules: [{length: 5}]", "needs 5 cells"),
        ("3|type: code, rules: [{allowed: ['12345', '1234']}]", "needs 4 cells"),
        ("3|type: code, rules: [{allowed: [abc]}]", "cells hold digits only"),
        ("3|type: number, rules: [{allowed: ['7', '007']}]", "007"),
    ],
)
def test_a_rule_that_no_value_can_keep_is_refused(field: str, words: str) -> None:
    with pytest.raises(FormError, match=words):
        form({"a": field})


def test_a_list_of_codes_keeps_its_zeros() -> None:
    page = form({"a": "3|type: code, rules: [{allowed: ['007', '000']}]"})
    assert judged(page, {"a": "007"})["a"].status is Status.OK


def test_a_field_off_its_lines_is_evidence_for_nothing() -> None:
    page = form(
        dict.fromkeys("abc", "2|type: number, unused: leading"),
        "  - {sum: [a, b], equals: c}",
    )
    doubts = {("b", 1): cell("3", 0.9, d8=0.09)}
    results = fields_of(page, {"a": "11", "b": "23", "c": "34"}, doubts)
    assert [each.status for each in judge(page, results)] == [Status.OK] * 3
    found = judge(page, results, covered={"a"})
    assert [each.code for each in found] == [Code.UNREGISTERED, Code.LOW_CONFIDENCE, None]
    assert (found[0].value, found[0].raw) == ("11", "11")
    # A person's value is evidence again.
    typed = judge(page, results, {"a": "11"}, covered={"a"})
    assert [each.status for each in typed] == [Status.OK] * 3


def test_a_field_off_its_lines_breaks_no_check() -> None:
    page = form(
        dict.fromkeys("abc", "2|type: number, unused: leading"),
        "  - {sum: [a, b], equals: c}",
    )
    results = fields_of(page, {"a": "99", "b": "23", "c": "34"})
    found = judge(page, results, covered={"a"})
    assert [each.code for each in found] == [Code.UNREGISTERED, None, None]
    assert found[0].proposed == "11"
