"""Numbers as people write them without boxes, 1.250,50 or 22.000.-, and what they mean.

The reader of strips says which characters it sees. Which of them a field allows, and what value
they stand for, is decided here. Only complete ways to write a number count: 1.25 has no point
between thousands, and 12 has no decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

#: What may be written besides digits and means nothing: points, commas, apostrophes or spaces
#: between thousands; dashes, lines or a point behind the number; a currency's sign at either end.
Skipped = Literal["thousands", "dashes", "currency"]

_DASHES, _POINTS, _CURRENCIES = "-=", ".,", "$\u20ac\u00a3\u00a5 "
_THOUSANDS = re.compile(r"\d{1,3}([.,' ])\d{3}(?:\1\d{3})*", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)


def value_of(text: str, decimals: int, skipped: tuple[Skipped, ...]) -> str | None:
    """What a written number stands for: its digits, with a point before ``decimals``.

    "12.50" for 12,50 with two decimals, "22000" for 22.000.- without; None for what is not such a
    number. Leading zeros stay. A closing dash stands for decimals that are not written.
    """
    if "currency" in skipped:
        text = text.strip(_CURRENCIES)
    # People close a number by a dash, a point, or both, in any order.
    closed = text.rstrip(_DASHES + _POINTS) if "dashes" in skipped else text
    dashed = any(dash in text[len(closed) :] for dash in _DASHES)
    if not decimals:
        return _whole(closed, skipped)
    part = closed[-decimals:]
    point = closed[-decimals - 1 : -decimals]
    if point and point in _POINTS and _DIGITS.fullmatch(part):
        whole = _whole(closed[: -decimals - 1], skipped)
    elif dashed:
        whole, part = _whole(closed, skipped), "0" * decimals
    else:
        return None
    return None if whole is None else f"{whole}.{part}"


def _whole(text: str, skipped: tuple[Skipped, ...]) -> str | None:
    """The digits before the decimals; thousands stand apart by the same point throughout.

    It may be that of the decimals: a point by hand and a comma are hard to tell apart.
    """
    if _DIGITS.fullmatch(text):
        return text
    found = _THOUSANDS.fullmatch(text) if "thousands" in skipped else None
    return text.replace(found[1], "") if found is not None else None


def digits_of(value: str) -> str:
    """A value's digits, without the decimal point."""
    return value.replace(".", "")


def number(value: str) -> int:
    """What a value adds to a sum, in units of its last place; 0 if it is no number.

    The fields of a check have the same decimals (`inkmill.template.consistency`).
    """
    digits = digits_of(value)
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def as_value(units: int, decimals: int) -> str:
    """The value of so many units of the last place: 1250 with two decimals is 12.50."""
    if not decimals:
        return str(units)
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def is_between(value: str, ends: tuple[int, int]) -> bool:
    """Whether a value lies in a range, to which both ends belong."""
    return ends[0] <= Decimal(value) <= ends[1]
