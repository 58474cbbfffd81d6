"""The rows behind a task, judged again while people type: what is left, and what is off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inkmill.codes import Code, Status
from inkmill.records.events import UNREADABLE, Place
from inkmill.records.rows import Row
from inkmill.rules import kept
from inkmill.rules.evidence import problem, tie_of
from inkmill.rules.settled_fields import SettledFields
from inkmill.template.form import Form

#: Reasons that judging a document by itself does not take away: they concern other pages.
_OF_OTHER_PAGES = ("pages", "once", "double entry")
_LASTING = (Code.DUPLICATE, Code.UNREGISTERED)


def still_in_review(settled: SettledFields, pages: Sequence[Row]) -> set[Place]:
    """The fields of a document's pages that `inkmill results` will still have in review."""
    found = set[Place]()
    judged = iter(settled.of(pages))
    for row in pages:
        for before, after in zip(row.fields, judged, strict=False):
            place = row.item, before.name
            lasting = before.code in _LASTING or before.rule in _OF_OTHER_PAGES
            waits = before.status is Status.REVIEW and lasting and place not in settled.verdicts
            if after.status is Status.REVIEW or waits:
                found.add(place)
    return found


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule or check that does not hold: its word, the message, and the fields it is about."""

    word: str
    message: str
    fields: tuple[str, ...]


def problems(
    form: Form, pages: Iterable[Row], typed: Mapping[str, str], held: Mapping[str, str]
) -> list[Problem]:
    """What the rules say of typed values at once, together with the values beside them.

    ``typed`` are the values being typed, ``held`` those that people entered before. A check says
    nothing while a value for it is missing: neither read surely nor typed.
    """
    fields = {each.name: each for each in form.all_fields}
    results = {result.name: result for row in pages for result in row.fields}
    values = {
        name: result.value
        for name, result in results.items()
        if result.status is Status.OK or result.value
    }
    values |= held
    values |= typed
    values = {name: value for name, value in values.items() if value != UNREADABLE}
    found = [
        Problem(rule.word, f"{name}: {kept.wanted(rule)}, but this is {value}", (name,))
        for name, value in typed.items()
        if name in fields and name in values and (rule := kept.broken(fields[name], value))
    ]
    for check in form.checks:
        tie = tie_of(form, check, results)
        if tie is None or not set(tie.names) & set(typed) or not set(tie.names) <= values.keys():
            continue
        if (message := problem(tie, values, fields[tie.names[-1]].decimals)) is not None:
            found.append(Problem(tie.word, message, tie.names))
    return found
