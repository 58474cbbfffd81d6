"""Checks as constraints between fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inkmill.records.rows import FieldResult
from inkmill.rules.decode import Constraint
from inkmill.template.fields import Check
from inkmill.template.form import Form, FormField


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


def fields_of(form: Form, check: Check) -> tuple[FormField, ...]:
    """The fields that a check is about."""
    words = (*(check.sum or check.equal or ()), *filter(None, [check.equals]))
    names = {name for word in words for name in form.names_in(word)}
    return tuple(field for field in form.all_fields if field.name in names)
