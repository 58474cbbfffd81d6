"""From readings to fields: raw as written, value as meant, and what the template demands.

A rule never changes a value. A field that breaks one, or that the model did not read surely,
goes to review; so do all fields of a check that does not hold, since nobody knows which of
them is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status
from inkmill.form import Form, FormField, Rule
from inkmill.form_fields import Check
from inkmill.rows import CellReading, FieldResult

if TYPE_CHECKING:
    from inkmill.forms.reader import PageCells

#: What a crossed-out cell is in ``raw`` where the template gives it a meaning.
CROSSED = "X"
#: A field is read surely when all its cells together are right with this probability.
LEAST_CONFIDENCE = 0.9
#: An X from corner to corner is one: 0 of 60,000 MNIST digits and 10,000 others passed for it.
CROSS_CONFIDENCE = 0.999
#: A checkbox with less ink than the first is empty, with more than the second filled.
_BOX_EMPTY, _BOX_FILLED = 0.01, 0.03


def build_fields(
    form: Form,
    page_number: int,
    readings: Sequence[CellReading],
    cells: PageCells | None = None,
) -> list[FieldResult]:
    """The fields of a page, in the template's order.

    ``readings`` are those of ``form.cells(page_number)``, in that order; ``cells`` gives the
    fields' boxes on the scan and the checkboxes, which the model does not read.

    Raises ValueError when readings and cells differ in number: a defect of ours.
    """
    expected = len(form.cells(page_number))
    if len(readings) != expected:
        raise ValueError(f"{len(readings)} readings for {expected} cells of {form.name}")
    results, start = [], 0
    for field in form.page_fields(page_number):
        count = len(field.cells.rectangles()) if field.read else 0
        result = (
            _digits(field, _with_crosses(readings, cells, start, start + count))
            if field.read
            else _unread(field, cells)
        )
        start += count
        box = cells.boxes.get(field.name) if cells is not None else None
        results.append(replace(result, box=box))
    return check_fields(form, results)


def _with_crosses(
    readings: Sequence[CellReading], cells: PageCells | None, start: int, stop: int
) -> tuple[CellReading, ...]:
    """The readings of a field's cells; an X that was seen goes before what the model made of it."""
    return tuple(
        replace(reading, symbol=CROSSED, confidence=CROSS_CONFIDENCE)
        if cells is not None and cells.crossed[number]
        else reading
        for number, reading in enumerate(readings[start:stop], start)
    )


def _digits(field: FormField, cells: tuple[CellReading, ...]) -> FieldResult:
    """A field of digits from its cells' readings."""
    raw = "".join(
        UNREAD_CELL if cell.symbol == CROSSED and field.none is None else cell.symbol
        for cell in cells
    )
    confidence = float(np.prod([cell.confidence for cell in cells]))
    result = FieldResult(field.name, "", raw, confidence, cells=cells)
    meaning = _meaning(field, raw)
    if meaning is None:
        return replace(
            result,
            status=Status.REVIEW,
            code=Code.NOT_A_DIGIT,
            message=f"cells read {raw!r}, which is no value of this field",
        )
    if meaning == "":
        status = Status.OK if field.optional else Status.REVIEW
        code = None if field.optional else Code.BLANK
        return replace(
            result, status=status, code=code, message="" if field.optional else "nothing is written"
        )
    result = replace(result, value=meaning)
    if confidence < LEAST_CONFIDENCE:
        return replace(
            result,
            status=Status.REVIEW,
            code=Code.LOW_CONFIDENCE,
            message=f"read surely with probability {confidence:.2f} only",
        )
    broken = next((rule for rule in field.rules if not _holds(rule, meaning)), None)
    if broken is None:
        return result
    return _failed(result, f"{broken.word}: {_wanted(broken)}, and this is {meaning}", broken.word)


def _meaning(field: FormField, raw: str) -> str | None:
    """The value that ``raw`` stands for: "" for nothing, None for no value at all."""
    if all(symbol == EMPTY_CELL for symbol in raw):
        return ""
    front = (EMPTY_CELL if field.unused == "leading" else "") + (field.none or "")
    digits = raw.lstrip(front) if front else raw
    if not digits and field.none and field.none in raw:
        # All cells crossed out: the form's way to write none.
        return "0" if field.type == "number" else ""
    if not digits.isascii() or not digits.isdigit():
        return None
    return digits.lstrip("0") or "0" if field.type == "number" else digits


def _unread(field: FormField, cells: PageCells | None) -> FieldResult:
    """A checkbox or image field: judged by its ink, or only looked at."""
    if field.type == "image" or cells is None:
        return FieldResult(field.name, "", "", 1.0)
    shares = cells.filled[field.name]
    raw = "".join(
        "1" if share >= _BOX_FILLED else "0" if share <= _BOX_EMPTY else UNREAD_CELL
        for share in shares
    )
    labels = field.labels or tuple(str(number) for number in range(1, len(raw) + 1))
    chosen = [label for label, symbol in zip(labels, raw, strict=True) if symbol == "1"]
    value = ";".join(chosen) if len(raw) > 1 or field.labels else raw
    result = FieldResult(field.name, value, raw, 1.0)
    if UNREAD_CELL in raw:
        return replace(
            result,
            confidence=0.5,
            status=Status.REVIEW,
            code=Code.LOW_CONFIDENCE,
            message="a box holds a little ink: ticked or touched?",
        )
    if field.choose == "one" and len(chosen) > 1:
        return _failed(result, f"one box is to be ticked, and {len(chosen)} are", "choose")
    if field.choose == "one" and not chosen and not field.optional:
        return replace(result, status=Status.REVIEW, code=Code.BLANK, message="no box is ticked")
    return result


def _failed(result: FieldResult, message: str, rule: str) -> FieldResult:
    return replace(result, status=Status.REVIEW, code=Code.RULE_FAILED, message=message, rule=rule)


# --- rules of one field ----------------------------------------------------------------------


def _holds(rule: Rule, value: str) -> bool:
    if rule.range is not None:
        return rule.range[0] <= int(value) <= rule.range[1]
    if rule.length is not None:
        low, high = (rule.length, rule.length) if isinstance(rule.length, int) else rule.length
        return low <= len(value) <= high
    if rule.regex is not None:
        return re.fullmatch(rule.regex, value) is not None
    if rule.allowed is not None:
        return value in rule.allowed
    if rule.date is not None:
        return _is_date(value, rule.date)
    assert rule.check_digit is not None
    return _CHECK_DIGITS[rule.check_digit](value)


def _wanted(rule: Rule) -> str:
    if rule.range is not None:
        return f"from {rule.range[0]} to {rule.range[1]}"
    if rule.allowed is not None:
        return f"one of {len(rule.allowed)} values"
    return str(getattr(rule, rule.word))


def _is_date(value: str, layout: str) -> bool:
    try:
        # A date on paper has no time zone; only whether it exists matters.
        datetime.strptime(value, layout)
    except ValueError:
        return False
    return True


def _luhn(value: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [
        digit * 2 - 9 * (digit > 4) if place % 2 else digit
        for place, digit in enumerate(map(int, reversed(value)))
    ]
    return sum(doubled) % 10 == 0


def _ean(value: str) -> bool:
    """GS1 General Specifications, section 7.9: weights 3 and 1 from the right."""
    return sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(reversed(value))) % 10 == 0


def _mod11(value: str) -> bool:
    """Weights 1, 2, 3 ... from the right, as ISBN-10's."""
    return sum(int(d) * (i + 1) for i, d in enumerate(reversed(value))) % 11 == 0


def _mod97(value: str) -> bool:
    """ISO/IEC 7064, MOD 97-10: the whole number leaves 1."""
    return int(value) % 97 == 1


_CHECK_DIGITS: dict[str, Callable[[str], bool]] = {
    "luhn": _luhn,
    "ean": _ean,
    "mod11": _mod11,
    "mod97": _mod97,
}


# --- checks between fields ---------------------------------------------------------------------


def check_fields(form: Form, results: Sequence[FieldResult]) -> list[FieldResult]:
    """The same fields, those in a failed check sent to review.

    A check that needs a field which is not among ``results`` (it is on another page) is left
    to whoever puts the document's pages together.
    """
    by_name = {result.name: result for result in results}
    for check in form.checks:
        parts = [name for word in check.sum or check.equal or () for name in form.names_in(word)]
        names = [*parts, *filter(None, [check.equals])]
        if not all(name in by_name for name in names):
            continue
        problem = _problem(check, [by_name[name] for name in parts], by_name)
        if problem is None:
            continue
        for name in names:
            if by_name[name].status is Status.OK:
                by_name[name] = _failed(by_name[name], problem, "sum" if check.sum else "equal")
    return [by_name[result.name] for result in results]


def _problem(
    check: Check, parts: Sequence[FieldResult], by_name: dict[str, FieldResult]
) -> str | None:
    """What is wrong, in words; None when the check holds or a value for it is missing."""
    total = by_name[check.equals] if check.equals else None
    if any(not part.value and part.code is not None for part in parts) or (
        total is not None and not total.value and total.code is not None
    ):
        # The unread field is in review already; the others may be right.
        return None
    numbers = [int(part.value or 0) for part in parts]
    if total is not None:
        if sum(numbers) == int(total.value or 0):
            return None
        return (
            f"{' + '.join(map(str, numbers))} is {sum(numbers)}, and {total.name} is {total.value}"
        )
    if len(set(numbers)) == 1:
        return None
    return f"{', '.join(part.name for part in parts)} should be the same: {numbers}"
