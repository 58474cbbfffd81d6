"""The meaning of a field's cells: ``raw`` as written, ``value`` as meant, and the alternatives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status
from inkmill.records.rows import MARKS, SYMBOLS, CellReading, FieldResult, StringReading
from inkmill.template.form import FormField
from inkmill.template.numbers import digits_of, value_of

#: A symbol less probable than this is not thought of; a cell's probabilities are no finer.
_LEAST_PROBABLE = 1e-7
DIGITS = "0123456789"
#: Readings of one field that are thought of, at most; else the floor is raised by this factor.
_MOST_READINGS, _FEWER = 2_000, 8.0


class Reading(NamedTuple):
    """A way to read a field's cells.

    ``value`` is what it means: None for nothing, as with an empty box between digits. ``weight``
    is its probability, ``legible`` the part of it in which every cell holds what it looks like;
    in the rest, ink that is no digit was meant as this one.
    """

    value: str | None
    raw: str
    weight: float
    legible: float


class _Choice(NamedTuple):
    """What a cell may be, its probability, and the part of that in which it is legible."""

    symbol: str
    probability: float
    legible: float


def read_field(field: FormField, cells: Sequence[CellReading]) -> FieldResult:
    """A field of digits by its cells alone: no rule is asked yet.

    Cells that are no value of the field, or empty where something is wanted, are in review
    with NOT_A_DIGIT or BLANK and an empty value.
    """
    raw = "".join(cell.symbol if _is_read(field, cell) else UNREAD_CELL for cell in cells)
    confidence = math.prod(cell.confidence for cell in cells)
    result = FieldResult(field.name, "", raw, confidence, cells=tuple(cells))
    value = meaning(field, raw)
    if value is None:
        return replace(
            result,
            status=Status.REVIEW,
            code=Code.NOT_A_DIGIT,
            message=f"cells read {raw!r}, which is not a value of this field",
        )
    if value == "" and not may_be_empty(field, raw):
        return replace(result, status=Status.REVIEW, code=Code.BLANK, message="nothing is written")
    return replace(result, value=value)


def read_strip(field: FormField, strings: Sequence[StringReading]) -> FieldResult:
    """A number without cells by its reading alone: no rule is asked yet.

    Texts that mean the same, such as 1.250 and 1250, speak for one value together. A reading that
    is probably none of the texts, or no value of the field, is in review with NOT_A_DIGIT; an empty
    one with BLANK.
    """
    readings = _meant(field, strings)
    shares = dict[str | None, float]()
    for each in readings:
        shares[each.value] = shares.get(each.value, 0.0) + each.weight
    value = max(shares, key=lambda each: shares[each])
    raw = max((each for each in readings if each.value == value), key=lambda each: each.weight).raw
    result = FieldResult(field.name, value or "", raw, shares[value], strings=tuple(strings))
    if value is not None:
        return result
    if raw == EMPTY_CELL:
        return replace(result, status=Status.REVIEW, code=Code.BLANK, message="nothing is written")
    message = "no number could be read in the box"
    if raw != UNREAD_CELL:
        message = f"{raw!r} was read, which is not a value of this field"
    return replace(result, status=Status.REVIEW, code=Code.NOT_A_DIGIT, message=message)


def read_again(field: FormField, result: FieldResult) -> FieldResult:
    """A field by its reading alone, in place of what rules and people made of it."""
    if not result.by_model:
        return result
    read = read_strip(field, result.strings) if field.strip else read_field(field, result.cells)
    return replace(read, box=result.box)


def may_be_empty(field: FormField, raw: str) -> bool:
    """Whether a field without a value is in order: it may be left out, or is crossed out."""
    return field.optional or any(mark in raw for mark in field.none_marks)


def meaning(field: FormField, raw: str) -> str | None:
    """The value that ``raw`` stands for: "" for nothing, None for no value at all.

    ``number`` drops leading zeros, the others keep every place. A field that is crossed out
    means 0 if it is a number, and nothing else; so does an empty one with ``empty: zero``.
    """
    if field.strip:
        return _meaning_of_text(field, raw)
    if all(symbol == EMPTY_CELL for symbol in raw):
        return "0" if field.empty == "zero" else ""
    marks = "".join(field.none_marks)
    front = EMPTY_CELL * field.front_unused + ("" if field.unused == "trailing" else marks)
    end = (EMPTY_CELL + marks) * field.end_unused
    digits = raw.lstrip(front).rstrip(end)
    if not digits and any(mark in raw for mark in marks):
        rest = raw.lstrip(EMPTY_CELL * field.front_unused).rstrip(EMPTY_CELL * field.end_unused)
        if EMPTY_CELL in rest:
            return None  # where a digit belongs, one may be too faint to be seen
        return "0" if field.type == "number" else ""
    if not digits.isascii() or not digits.isdigit():
        return None
    return digits.lstrip("0") or "0" if field.type == "number" else digits


def _meaning_of_text(field: FormField, text: str) -> str | None:
    """The value of a number without cells; None if it is none, or has too few or many digits."""
    if text == EMPTY_CELL:
        return zero(field) if field.empty == "zero" else ""
    if text and set(text) <= set(field.none_marks):
        return zero(field) if field.type == "number" else ""
    value = value_of(text, field.decimals, field.skipped)
    if value is None:
        return None
    digits = len(digits_of(value)) - field.decimals
    if not field.least_digits <= digits <= field.most_digits:
        return None
    if field.type == "number":
        whole, point, part = value.partition(".")
        return (whole.lstrip("0") or "0") + point + part
    return value


def zero(field: FormField) -> str:
    """The value 0 of a field: with its decimals."""
    return f"0.{'0' * field.decimals}" if field.decimals else "0"


def places(field: FormField, value: str) -> tuple[str, ...]:
    """The ways to write a value into a field's cells: ``_12``, ``12_``; none if it is too long."""
    width = len(field.cells.rectangles())
    if field.unused == "no":
        return (value.rjust(width, "0"),) if len(value) <= width else ()
    spare = width - len(value)
    fronts = range(spare + 1) if field.unused == "either" else [spare * field.front_unused]
    return tuple(
        EMPTY_CELL * front + value + EMPTY_CELL * (spare - front) for front in fronts if spare >= 0
    )


def values(field: FormField, result: FieldResult, floor: float) -> Iterator[Reading]:
    """A field's readings: all that are above ``floor`` times the best.

    Readings that mean the same, such as _05 and 005, come one by one: the caller adds them up.
    A field of many doubtful cells has too many; then the least probable ones are left out.
    """
    if field.strip:
        yield from _meant(field, result.strings)
        return
    choices = [_weighed(field, cell) for cell in result.cells]
    best = math.prod(choice[0].probability for choice in choices)
    readings = _above(choices, floor)
    while readings is None:
        floor *= _FEWER
        readings = _above(choices, floor)
    for raw, weight, legible in readings:
        value = meaning(field, raw)
        meant = value if value or may_be_empty(field, raw) else None
        yield Reading(meant, raw, weight * best, weight * best * legible)


def _meant(field: FormField, strings: Sequence[StringReading]) -> list[Reading]:
    """The readings of a number without cells; what is none of its texts comes last.

    That part means no value of its own: were it one, a sum that holds would be a coincidence, which
    is as rare as a sum that is wrong on the paper.
    """
    found = list[Reading]()
    for each in strings:
        value = meaning(field, each.text)
        meant = value if value or may_be_empty(field, each.text) else None
        found.append(Reading(meant, each.text, each.probability, each.probability))
    rest = max(0.0, 1.0 - math.fsum(each.probability for each in strings))
    return [*found, Reading(None, UNREAD_CELL, rest, 0.0)]


def _above(
    choices: Sequence[Sequence[_Choice]], floor: float
) -> list[tuple[str, float, float]] | None:
    """All readings that weigh at least ``floor`` of the best; None where they are too many."""
    readings = [("", 1.0, 1.0)]
    for choice in choices:
        first = choice[0].probability
        longer = []
        for raw, weight, legible in readings:
            for each in choice:
                together = weight * each.probability / first
                if together < floor:
                    break
                longer.append((raw + each.symbol, together, legible * each.legible))
        if len(longer) > _MOST_READINGS:
            return None
        readings = longer
    return readings


def _is_read(field: FormField, cell: CellReading) -> bool:
    """Whether a cell was read as something that the field may hold."""
    return cell.symbol.isdigit() or cell.symbol in (EMPTY_CELL, *field.none_marks)


def _weighed(field: FormField, cell: CellReading) -> list[_Choice]:
    """What one cell may be, the most probable first.

    Of a cell that was not read, each digit is as probable as the others, whatever the model
    leans to: what it knows of ink that it rejects is not enough to be evidence for a sum.
    """
    if not cell.probabilities and not _is_read(field, cell):
        return [_Choice(digit, 1 / len(DIGITS), 0.0) for digit in DIGITS]
    choices = dict(_choices(field, cell))
    odds = _odds(field, cell) if cell.probabilities else choices
    if _is_read(field, cell):
        return [_Choice(each, p, min(odds.get(each, p) / p, 1.0)) for each, p in choices.items()]
    whole = sum(choices.get(digit, 0.0) for digit in DIGITS)
    legible = sum(odds[digit] for digit in DIGITS) / whole
    digits = sorted(DIGITS, key=lambda digit: -odds[digit])
    found = [_Choice(digit, whole / len(DIGITS), legible) for digit in digits]
    found += [_Choice(each, p, 1.0) for each, p in choices.items() if each not in digits]
    return sorted(found, key=lambda each: -each.probability)


def _choices(field: FormField, cell: CellReading) -> list[tuple[str, float]]:
    """What one cell may be, the most probable first.

    Ink that the model takes for no digit (scribbled over, two in a box) was meant as one all the
    same: each of the ten is then as probable, and only a check can tell which.
    """
    if not cell.probabilities:
        return [(cell.symbol, 1.0)] if cell.symbol != UNREAD_CELL else []
    odds = _odds(field, cell)
    unreadable = odds.pop(UNREAD_CELL)
    odds |= {digit: odds[digit] + unreadable / len(DIGITS) for digit in DIGITS}
    found = [(symbol, p) for symbol, p in odds.items() if p > _LEAST_PROBABLE]
    return sorted(found, key=lambda each: -each[1])


def _odds(field: FormField, cell: CellReading) -> dict[str, float]:
    """The probability of each symbol; a mark that means nothing on this form is unreadable."""
    odds = dict(zip(SYMBOLS, cell.probabilities, strict=True))
    for mark in MARKS:
        if mark not in field.none_marks:
            odds[UNREAD_CELL] += odds.pop(mark)
    return odds
