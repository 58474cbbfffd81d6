"""The evidence of cells and rules together, for the fields that checks tie together.

cells -> readings (meaning) -> variables (with each field's own rules) -> decode
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkmill.codes import EMPTY_CELL, Code
from inkmill.records.rows import FieldResult
from inkmill.rules import kept, meaning
from inkmill.rules.joint.balances import Constraint, Option
from inkmill.rules.joint.decode import PAPER_WRONG, Decoded, TooOpen, Variable, decode
from inkmill.rules.meaning import Reading
from inkmill.template.fields import Check
from inkmill.template.form import Form, FormField
from inkmill.template.numbers import as_value, number

#: Seconds of processor time that asking the rules of a group's fields may take: by the clock,
#: a busy machine would judge otherwise than an idle one.
_MOST_SECONDS = 0.5
#: How improbable an assignment may be, as a logarithm: tried in turn, until what is not looked
#: at can weigh only so much of the best. Each check that is wrong on the paper takes 5.3 of it.
_BUDGETS, _LEFT_OUT = (10.0, 15.0, 20.0, 25.0), 1e-4
#: Readings without a value that are less probable than this are not looked into.
_SLIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Tied:
    """A check whose fields are all there: what it is called, its fields, what it requires.

    A sum's total comes last.
    """

    check: Check
    word: str
    names: tuple[str, ...]
    constraint: Constraint


def tie_of(form: Form, check: Check, there: Mapping[str, FieldResult]) -> Tied | None:
    """The check as a constraint, if all its fields are there."""
    parts = [name for word in check.sum or check.equal or () for name in form.names_in(word)]
    parts = [name for name in parts if name != check.equals]
    names = (*parts, *filter(None, [check.equals]))
    if not all(name in there for name in names) or len(set(names)) != len(names):
        return None
    if check.equals is None:
        return Tied(check, "equal", names, Constraint(names))
    factors = {**dict.fromkeys(parts, 1), check.equals: -1}
    return Tied(check, "sum", names, Constraint(names, factors))


def problem(tie: Tied, values: Mapping[str, str], decimals: int = 0) -> str | None:
    """What is wrong with a check by the values of its fields; None if it holds.

    ``decimals`` are those of its fields, which all have the same.
    """
    if tie.check.equals is None:
        if len({values[name] for name in tie.names}) == 1:
            return None
        told = ", ".join(f"{name} {values[name] or 'empty'}" for name in tie.names)
        return f"these should be the same: {told}"
    *parts, total = (number(values[name]) for name in tie.names)
    if sum(parts) == total:
        return None
    *shown, made, stated = (as_value(each, decimals) for each in (*parts, sum(parts), total))
    return f"{' + '.join(shown)} is {made}, and {tie.names[-1]} is {stated}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the fields: their odds, and how far their ink is what it looks like.

    ``legible`` has, by field and value, the probability that all cells are the digits that they
    look like, if this is the value: otherwise one of them was only meant as such a digit.
    """

    decoded: Decoded
    legible: Mapping[str, Mapping[str | None, float]]

    @property
    def whole(self) -> bool:
        """Whether what was not looked at weighs too little to matter."""
        return self.decoded.left_out < _LEFT_OUT

    def margin(self, name: str, value: str, legible: bool = False) -> float:
        """The log odds of a field's value; with ``legible``, that its ink is nothing else too."""
        share = self.legible[name].get(value, 1.0) if legible else 1.0
        return self.decoded.margin(name, value, share)


def weigh(
    fields: Mapping[str, FormField],
    results: Mapping[str, FieldResult],
    typed: Mapping[str, str],
    ties: Sequence[Tied],
) -> Evidence | None:
    """What cells, rules and checks say of ``fields``.

    None if there is too much to look at, or a field's pattern takes too long. ``typed`` are
    people's values, which are certain.
    """
    constraints = [tie.constraint for tie in ties]
    found: Evidence | None = None
    for budget in _BUDGETS:
        deadline = time.thread_time() + _MOST_SECONDS
        made = [
            _typed(results[name])
            if name in typed or not results[name].by_model
            else _read(field, results[name], math.exp(-budget), deadline)
            for name, field in fields.items()
        ]
        if time.thread_time() > deadline:
            return found
        try:
            decoded = decode([variable for variable, _ in made], constraints, budget)
        except TooOpen:
            return found
        if decoded is not None:
            found = Evidence(decoded, {variable.name: legible for variable, legible in made})
            if found.whole:
                break
    return found


_Made = tuple[Variable, Mapping[str | None, float]]


def _typed(result: FieldResult) -> _Made:
    """A field whose value is certain, or of whose ink nothing is known."""
    if result.code in (Code.NOT_A_DIGIT, Code.BLANK) and not result.value:
        return Variable(result.name, (Option(None, 0, 1.0, kept=False),)), {}
    return Variable(result.name, (Option(result.value, number(result.value), 1.0),)), {}


def _read(field: FormField, result: FieldResult, floor: float, deadline: float) -> _Made:
    """A field by its reading and its own rules, as long as there is time to ask them."""
    weights, legible = dict[str | None, float](), dict[str | None, float]()
    for reading in meaning.values(field, result, floor):
        share = _share(field, reading, deadline) if reading.value is None else 1.0
        weights[reading.value] = weights.get(reading.value, 0.0) + reading.weight * share
        legible[reading.value] = legible.get(reading.value, 0.0) + reading.legible
    if not weights:
        # So many readings are as probable as the best that none can be picked out.
        return Variable(field.name, (Option(None, 0, 1.0, kept=False),)), {}
    found = [_option(field, value, weight, deadline) for value, weight in weights.items()]
    best = max(each.weight for each in found)
    options = sorted(
        (Option(each.value, each.number, each.weight / best, each.kept) for each in found),
        key=lambda each: -each.weight,
    )
    shares = {value: legible[value] / weight for value, weight in weights.items() if weight}
    return Variable(field.name, tuple(options)), shares


def _option(field: FormField, value: str | None, weight: float, deadline: float) -> Option:
    if value is None:
        return Option(None, 0, weight, kept=False)
    if time.thread_time() > deadline or kept.broken(field, value) is not None:
        return Option(value, number(value), weight * PAPER_WRONG, kept=False)
    return Option(value, number(value), weight)


def _share(field: FormField, reading: Reading, deadline: float) -> float:
    """How many of the digits that an empty box between digits might hold the rules allow.

    A rule that leaves one digit of ten for a cell makes that digit ten times as probable as
    without it, and an empty box no more probable.
    """
    places = [place for place, symbol in enumerate(reading.raw) if symbol == EMPTY_CELL]
    if field.strip or not field.rules or not places or reading.weight < _SLIGHT:
        return 1.0
    filled = [
        meaning.meaning(field, reading.raw[:place] + digit + reading.raw[place + 1 :])
        for place in places
        for digit in meaning.DIGITS
    ]
    if not any(filled):
        return 1.0  # more is amiss than one box
    allowed = 0
    for value in filter(None, filled):
        if time.thread_time() > deadline:
            return 1.0
        allowed += kept.broken(field, value) is None
    return min(allowed / len(meaning.DIGITS), 1.0)
