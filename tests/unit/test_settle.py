"""Documents of several pages; lists of which each value belongs to one; order does not matter."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from inkmill.codes import Code, Status
from inkmill.records.events import Event, verdicts
from inkmill.records.rows import CellReading, FieldResult, Row
from inkmill.rules import roster
from inkmill.rules.accept import Acceptance
from inkmill.rules.settle import Settlement
from inkmill.rules.statuses import rolled_up, unseen
from inkmill.template.form import Form
from tests.unit.form_pages import HEAD, cell, form, row

NUMBER = "3|type: number, unused: leading"
SUM = "  - {sum: [a, b], equals: total}\n"
CELLS = "size: [3, 3], pitch: [3.5, 0], count: 3"
TWO_PAGES = f"""{HEAD}
document_key: {{from: source, pattern: 'doc_([0-9]+)'}}
fields:
  - {{name: a, type: number, unused: leading, cells: {{origin: [20, 30], {CELLS}}}}}
  - {{name: b, type: number, unused: leading, cells: {{origin: [20, 40], {CELLS}}}}}
  - {{name: total, page: 2, type: number, unused: leading, cells: {{origin: [20, 30], {CELLS}}}}}
checks:
  - {{sum: [a, b], equals: total}}
"""


def settled(template: Form, pages: Sequence[Row], events: Sequence[Event] = ()) -> dict[int, Row]:
    known = Settlement(template, verdicts(events))
    return {each.item: each for each in known.settle(lambda: pages)}


def document(
    template: Form,
    number: int,
    raw: Mapping[str, str],
    doubts: Mapping[tuple[str, int], CellReading] | None = None,
) -> list[Row]:
    """Its two pages."""
    key = str(number)
    first = row(template, 2 * number, raw, doubts, page=1, key=key)
    second = row(template, 2 * number + 1, raw, doubts, page=2, key=key)
    return [first, second]


RIGHT = {"a": "_10", "b": "_20", "total": "_30"}
WRONG = {"a": "_61", "b": "_45", "total": "112"}


def test_a_sum_over_two_pages_is_checked_when_both_are_there() -> None:
    template = Form.parse(TWO_PAGES)
    wavering = {("a", 2): cell("1", 0.6, d7=0.39)}
    pages = [*document(template, 0, RIGHT), *document(template, 1, WRONG, wavering)]
    found = settled(template, pages)
    assert [found[n].status for n in (0, 1)] == [Status.OK, Status.OK]
    # A misreading on the first page accounts for it.
    assert [found[n].code for n in (2, 3)] == [Code.RULE_FAILED, None]
    first = found[2].fields[0]
    assert (first.value, first.proposed) == ("61", "67")


def test_a_sum_that_fails_over_two_pages_takes_nothing_from_one_that_holds_on_the_first() -> None:
    cells = f"type: number, unused: leading, cells: {{origin: [20, 30], {CELLS}}}"
    below = [cells.replace("30", str(30 + 10 * n)) for n in range(3)]
    template = Form.parse(
        f"""{HEAD}
document_key: {{from: source, pattern: 'doc_([0-9]+)'}}
fields:
  - {{name: a, {below[0]}}}
  - {{name: b, {below[1]}}}
  - {{name: c, {below[2]}}}
  - {{name: d, page: 2, {below[0]}}}
  - {{name: e, page: 2, {below[1]}}}
checks:
  - {{sum: [a, b], equals: c}}
  - {{sum: [c, d], equals: e}}
"""
    )
    raw = {"a": "_12", "b": "_34", "c": "_46", "d": "_11", "e": "_59"}
    doubts = {("b", 2): cell("4", 0.7, d9=0.29), ("d", 2): cell("1", 0.7, d3=0.29)}
    first, second = settled(template, document(template, 0, raw, doubts)).values()
    assert [each.code for each in first.fields] == [None] * 3
    assert [each.code for each in second.fields] == [Code.RULE_FAILED, None]
    d = second.fields[0]
    assert (d.value, d.proposed) == ("11", "13")
    # Through a cell of the other page that is not read, the sum still speaks for the tens of c.
    doubts = {("c", 1): cell("4", 0.8, d3=0.19), ("a", 1): cell("1", 0.8, d0=0.19)}
    first, second = settled(template, document(template, 1, raw | {"e": "_5?"}, doubts)).values()
    assert [each.code for each in first.fields] == [None] * 3
    assert second.fields[1].code is Code.NOT_A_DIGIT
    assert (second.fields[1].value, second.fields[1].proposed) == ("", "57")


def test_a_persons_value_settles_the_whole_document() -> None:
    template = Form.parse(TWO_PAGES)
    pages = document(template, 1, WRONG)
    events = [Event(2, "a", "67", "61", "anna", 5.0)]
    found = settled(template, pages, events)
    assert [each.status for each in found.values()] == [Status.OK, Status.OK]
    assert found[2].fields[0].source == "review:anna"


def test_a_missing_page_and_a_page_too_many_go_to_review_in_words() -> None:
    template = Form.parse(TWO_PAGES)
    lonely = settled(template, document(template, 0, RIGHT)[:1])
    assert lonely[0].code is Code.RULE_FAILED
    assert "a page of this document is missing" in lonely[0].message
    twice = [*document(template, 0, RIGHT), replace(document(template, 0, RIGHT)[1], item=9)]
    found = settled(template, twice)
    assert {each.code for each in found.values()} == {Code.DUPLICATE}
    assert "duplicate pages" in found[9].message


def test_the_order_of_items_does_not_matter() -> None:
    template = Form.parse(TWO_PAGES)
    pages = [page for n in range(6) for page in document(template, n, WRONG if n % 3 else RIGHT)]
    pages.append(replace(pages[3], item=99))
    pages.append(row(template, 100, RIGHT, page=1, key="alone"))
    expected = settled(template, pages)
    for seed in range(5):
        mixed = random.Random(seed).sample(pages, len(pages))
        assert settled(template, mixed) == expected


def test_a_value_that_two_documents_claim_goes_to_review_with_a_proposal() -> None:
    rule = "rules: [{allowed: ['101', '102', '107', '555'], once: true}]"
    template = form({"a": f"3|type: code, {rule}"})
    pages = [
        row(template, 0, {"a": "101"}),
        row(template, 1, {"a": "101"}, {("a", 2): cell("1", 0.9, d7=0.09)}),
        row(template, 2, {"a": "555"}),
        row(template, 3, {"a": "102"}),
    ]
    found = settled(template, pages)
    assert [found[n].code for n in (2, 3)] == [None, None]
    assert found[0].code is found[1].code is Code.RULE_FAILED
    assert (found[0].fields[0].proposed, found[1].fields[0].proposed) == ("101", "107")
    assert found[1].fields[0].value == "101"


def test_a_dispute_about_a_long_list_is_told_without_a_proposal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which of 200,000 values a hundred documents have would take hours to weigh."""
    template = form({"a": "3|type: code, rules: [{allowed: ['101', '102', '107'], once: true}]"})
    pages = [row(template, number, {"a": "101"}) for number in range(2)]
    monkeypatch.setattr(roster, "_MOST_PAIRS", 5)
    found = settled(template, pages)
    assert [each.fields[0].code for each in found.values()] == [Code.RULE_FAILED] * 2
    assert [each.fields[0].proposed for each in found.values()] == ["", ""]


def test_what_undisputed_documents_hold_is_proposed_to_nobody() -> None:
    template = form({"a": "3|type: code, rules: [{allowed: ['101', '107', '102'], once: true}]"})
    doubt = {("a", 2): cell("1", 0.5, d7=0.3, d2=0.19)}
    pages = [row(template, 0, {"a": "101"}), row(template, 1, {"a": "101"}, doubt)]
    both = settled(template, pages)
    assert both[1].fields[0].proposed == "107"
    held = settled(template, [*pages, row(template, 2, {"a": "107"})])
    assert held[1].fields[0].proposed == "102"


def test_without_anything_beside_them_rows_are_as_workers_wrote_them() -> None:
    template = form({"a": NUMBER})
    known = Settlement(template)
    assert not known.changes
    page = row(template, 0, {"a": "_12"})
    assert list(known.settle(lambda: [page])) == [page]


def test_a_key_that_a_person_typed_holds() -> None:
    """Misread or not read at all: its row stands under the right key, beside its other pages."""
    keyed = TWO_PAGES.replace("{from: source, pattern: 'doc_([0-9]+)'}", "{from: field, field: a}")
    template = Form.parse(keyed.replace("checks:\n  - {sum: [a, b], equals: total}\n", ""))
    first, second = document(template, 1, {"a": "_17", "b": "_20", "total": "_30"})
    for read in ("17", ""):
        pages = [replace(first, document_key=read), replace(second, document_key="11")]
        found = settled(template, pages, [Event(first.item, "a", "11", "17", "anna", 5.0)])
        assert found[first.item].document_key == "11"
        assert [each.status for each in found.values()] == [Status.OK, Status.OK]


def test_a_field_whose_lines_were_not_seen_is_not_accepted_by_what_others_typed() -> None:
    template = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    judged_row = row(template, 0, {"a": "_10", "b": "_21", "total": "_30"})
    covered = replace(judged_row, fields=(unseen(judged_row.fields[0]), *judged_row.fields[1:]))
    assert covered.fields[0].code is Code.UNREGISTERED
    found = settled(template, [covered], [Event(0, "b", "20", "21", "anna", 5.0)])[0]
    assert [each.code for each in found.fields] == [Code.UNREGISTERED, None, None]


def test_a_repair_proves_no_target() -> None:
    asks = f"{NUMBER}, repair: true, target_error: 0.001"
    template = form({"a": asks, "b": asks, "total": asks}, SUM)
    wavering = {("a", 2): cell("1", 0.55, d7=0.44)}
    pages = [row(template, 0, {"a": "_61", "b": "_45", "total": "112"}, wavering)]
    assert pages[0].fields[0].code is Code.REPAIRED
    unproven = Settlement(template, {}, acceptance=lambda *_: Acceptance.of(template, None, []))
    (found,) = unproven.settle(lambda: pages)
    assert found.fields[0].code is Code.UNPROVEN
    assert found.fields[0].value == "67"


def test_a_checkbox_that_a_person_looked_at_is_settled() -> None:
    template = form({"a": NUMBER, "sealed": "2|type: checkbox, choose: one, labels: ['yes', 'no']"})
    page = row(template, 0, {"a": "_12"})
    words = "a box holds a little ink: ticked or touched?"
    faint = (Status.REVIEW, Code.LOW_CONFIDENCE, words)
    page = rolled_up(page, [*page.fields, FieldResult("sealed", "", "??", 0.5, *faint)])
    assert page.status is Status.REVIEW
    found = settled(template, [page], [Event(0, "sealed", "yes", "", "anna", 5.0)])[0]
    field = found.fields[-1]
    assert (field.value, field.status, field.code) == ("yes", Status.OK, None)
    assert found.status is Status.OK


def test_what_a_person_typed_holds_though_another_page_is_missing() -> None:
    template = Form.parse(TWO_PAGES)
    first, _ = document(template, 0, RIGHT)
    found = settled(template, [first], [Event(0, "a", "10", "10", "anna", 5.0)])[0]
    typed, other = found.fields
    assert (typed.value, typed.status, typed.code) == ("10", Status.OK, None)
    assert (other.status, other.code) == (Status.REVIEW, Code.RULE_FAILED)
    assert found.status is Status.REVIEW
