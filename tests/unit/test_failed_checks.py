"""Checks that fail: which of their fields go to review, and what is said of the paper."""

from __future__ import annotations

import pytest

from inkmill.codes import Code, Status
from inkmill.rules.statuses import certainty
from tests.unit.form_pages import cell, form, judged
from tests.unit.test_rules import FIVE, NUMBER, SUM, TWO_SUMS


def test_a_failed_sum_sends_what_it_may_fail_by_to_review_and_changes_no_value() -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER, "other": NUMBER}, SUM)
    raw = {"a": "_61", "b": "_41", "total": "108", "other": "_45"}
    # 67 + 41 and 61 + 47 make 108 alike.
    doubts = {("a", 2): cell("1", 0.6, d7=0.39), ("b", 2): cell("1", 0.7, d7=0.29)}
    found = judged(page, raw, doubts)
    assert {name: each.code for name, each in found.items()} == {
        "a": Code.RULE_FAILED,
        "b": Code.RULE_FAILED,
        "total": None,  # right in either case
        "other": None,
    }
    assert (found["a"].value, found["a"].raw, found["a"].proposed) == ("61", "_61", "67")
    assert "61 + 41 is 102, and total is 108" in found["a"].message


@pytest.mark.parametrize("where", [("a", 2, "1", "7"), ("b", 1, "3", "4"), ("total", 0, "7", "1")])
def test_a_failed_sum_that_one_misreading_accounts_for_leaves_only_that_field(
    where: tuple[str, int, str, str],
) -> None:
    name, place, read, right = where
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_67", "b": "_45", "total": "112"}
    symbols = list(raw[name])
    symbols[place] = read
    found = judged(
        page,
        raw | {name: "".join(symbols)},
        {(name, place): cell(read, 0.6, **{f"d{right}": 0.39})},
    )
    assert {other for other, each in found.items() if each.code is Code.RULE_FAILED} == {name}
    assert found[name].proposed == raw[name].lstrip("_")
    # A person says that it stands there as it was read: now the others are in doubt.
    typed = "".join(symbols).lstrip("_")
    found = judged(page, raw | {name: "".join(symbols)}, typed={name: typed})
    assert [each.status for other, each in found.items() if other != name] == [Status.REVIEW] * 2


def test_a_failed_sum_that_only_the_paper_accounts_for_leaves_all_its_fields() -> None:
    """However sure they are: the failure may be the only sign of an error."""
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    raw = {"a": "_61", "b": "_45", "total": "112"}
    sure = {(name, place): cell(raw[name][place], 1 - 1e-6) for name in raw for place in (1, 2)}
    found = judged(page, raw, sure | {("total", 0): cell("1", 0.9, d4=0.09)})
    assert {each.code for each in found.values()} == {Code.RULE_FAILED}


def test_a_failed_check_takes_nothing_from_what_another_proves() -> None:
    page = form(FIVE, TWO_SUMS)
    raw = {"a": "_12", "b": "_34", "c": "_46", "d": "_11", "e": "_57"}
    doubt = {("b", 2): cell("4", 0.7, d9=0.29)}
    both = judged(page, raw, doubt)["b"]
    one = judged(page, {**raw, "e": "_59"}, doubt)["b"]
    assert certainty(both) == pytest.approx(0.998, abs=0.001)
    assert certainty(one) == pytest.approx(certainty(both), abs=0.0005)
    assert one.status is Status.OK
    alone = judged(form(FIVE, TWO_SUMS.splitlines()[1] + "\n"), {**raw, "e": "_59"}, doubt)["b"]
    assert alone.code is Code.LOW_CONFIDENCE
    assert certainty(alone) == pytest.approx(0.7, abs=0.01)


def test_a_field_of_a_failed_check_is_accepted_where_another_proves_it() -> None:
    page = form(FIVE, TWO_SUMS)
    raw = {"a": "_12", "b": "_34", "c": "_46", "d": "_11", "e": "_59"}
    found = judged(page, raw)
    assert {name for name, each in found.items() if each.code is Code.RULE_FAILED} == {"d", "e"}
    assert (found["c"].status, found["c"].rule, found["c"].value) == (Status.OK, "sum", "46")
    assert found["e"].message.endswith("the paper itself is wrong with probability 0.96")


def test_a_failed_check_stays_in_review_though_others_prove_all_its_fields() -> None:
    """Nobody would see that a sum on the paper is wrong."""
    page = form(
        dict.fromkeys("abcdefgh", NUMBER),
        "  - {sum: [a, b], equals: c}\n"  # fails; the others hold
        "  - {sum: [a, d], equals: e}\n"
        "  - {sum: [b, d], equals: f}\n"
        "  - {sum: [c, d], equals: g}\n",
    )
    raw = {"a": "_12", "b": "_34", "c": "_49", "d": "_11", "e": "_23", "f": "_45", "g": "_60"}
    found = judged(page, raw | {"h": "__1"})
    assert {name for name, each in found.items() if each.code is Code.RULE_FAILED} == set("abc")
    # A person has looked, and said what is written.
    found = judged(page, raw | {"h": "__1"}, typed={"c": "49"})
    assert {each.status for each in found.values()} == {Status.OK}


def test_a_field_that_may_be_what_a_failed_check_fails_by_stays_in_review() -> None:
    """c read as 48 would satisfy the second sum, and break the first: one is wrong anyway."""
    page = form(FIVE, TWO_SUMS)
    raw = {"a": "_12", "b": "_34", "c": "_46", "d": "_11", "e": "_59"}
    found = judged(page, raw, {("c", 2): cell("6", 0.7, d8=0.299)})
    assert [found[name].code for name in "cde"] == [Code.RULE_FAILED] * 3
    assert found["a"].status is found["b"].status is Status.OK
    # Both checks fail: nothing that holds proves it.
    found = judged(page, {**raw, "b": "_37"})
    assert {each.code for each in found.values()} == {Code.RULE_FAILED}
    # Two that fail by it, and one that holds: a misreading explains more than two slips do.
    third = TWO_SUMS + "  - {sum: [c, f], equals: g}\n"
    page = form(FIVE | {"f": NUMBER, "g": NUMBER}, third)
    found = judged(page, {**raw, "f": "_20", "g": "_68"}, {("c", 2): cell("6", 0.99, d8=0.0099)})
    assert found["c"].code is Code.RULE_FAILED


@pytest.mark.parametrize(("misread", "least", "most"), [(0.0001, 0.9, 0.99), (0.3, 0.01, 0.05)])
def test_a_failed_check_says_how_probably_the_paper_is_wrong(
    misread: float, least: float, most: float
) -> None:
    page = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    doubt = {("a", 2): cell("1", 0.999 - misread, d7=misread)}
    found = judged(page, {"a": "_61", "b": "_45", "total": "112"}, doubt)["a"]
    words, _, said = found.message.rpartition(" ")
    assert words == "61 + 45 is 106, and total is 112; the paper itself is wrong with probability"
    assert least <= float(said) <= most


def test_where_the_checks_cannot_all_be_kept_those_that_hold_still_count() -> None:
    page = form(
        {"a": NUMBER, "b": NUMBER, "total": NUMBER, "c": NUMBER, "all": NUMBER},
        SUM + "  - {sum: [total, c], equals: all}\n",
    )
    raw = {"a": "_67", "b": "_45", "total": "112", "c": "__9", "all": "999"}
    sure = {("all", n): cell("9", 1 - 1e-9) for n in range(3)}
    found = judged(page, raw, {("a", 2): cell("7", 0.9, d1=0.09), **sure})
    assert [found[name].code for name in ("total", "c", "all")] == [
        None,
        Code.RULE_FAILED,
        Code.RULE_FAILED,
    ]
    assert (found["a"].status, found["a"].rule) == (Status.OK, "sum")
