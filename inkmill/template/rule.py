"""Rules for a field's value: a range, length, pattern, list, date or check digit."""

from __future__ import annotations

import datetime
import re
from importlib.util import find_spec
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from inkmill.template.parts import Part
from inkmill.template.patterns import LONGEST_PATTERN, check_pattern

#: Check digits by their common names; besides them stands any number that python-stdnum knows,
#: by country and name: ``ch.ssn``, ``de.idnr``, ``es.nif``.
CheckDigit = Literal["luhn", "ean", "isbn", "mod11", "mod97", "mod11_10", "verhoeff", "damm"]
_NATIONAL = re.compile(r"[a-z]{2}_?\.[a-z0-9_]{1,30}")

#: What goes with another word of a rule, and is not a rule on its own.
COMPANIONS = ("once", "between")

#: Any day will do.
_A_DATE = datetime.date(2028, 12, 31)


class Rule(Part):
    """One rule that a field's value must satisfy; exactly one word each.

    ``once`` goes with ``allowed``: each value of the list belongs to one document of a job.
    ``between`` goes with ``date``: the first and the last day that it may be.
    """

    range: tuple[int, int] | None = None
    length: int | tuple[int, int] | None = None
    regex: Annotated[str, Field(max_length=LONGEST_PATTERN)] | None = None
    allowed: Annotated[tuple[str, ...], Field(min_length=1, max_length=200_000)] | None = None
    date: str | None = None
    check_digit: CheckDigit | str | None = None
    once: bool = False
    between: tuple[datetime.date, datetime.date] | None = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern

    @field_validator("range", "length", "between")
    @classmethod
    def _rising(cls, ends: Any) -> Any:
        if isinstance(ends, tuple) and ends[0] > ends[1]:
            raise ValueError(f"no value can satisfy it: {ends[0]} is above {ends[1]}")
        return ends

    @field_validator("range")
    @classmethod
    def _not_below_zero(cls, ends: tuple[int, int] | None) -> tuple[int, int] | None:
        if ends is not None and ends[1] < 0:
            raise ValueError(
                f"no value can satisfy it: cells hold no sign, so {ends[1]} is impossible"
            )
        return ends

    @field_validator("between", mode="before")
    @classmethod
    def _days(cls, days: Any) -> Any:
        if days is None:
            return None
        try:
            found = tuple(
                day if type(day) is datetime.date else datetime.date.fromisoformat(day)
                for day in days
            )
        except (TypeError, ValueError):
            found = ()
        if len(found) != 2 or found[0].year < 1000:
            raise ValueError(
                "give the first and the last day, as in [2026-01-31, 2026-12-31], from 1000 on"
            )
        return found

    @field_validator("allowed")
    @classmethod
    def _digits(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            if value and not (value.isascii() and value.isdecimal()):
                raise ValueError(f"{value!r} is listed, but cells hold digits only")
        return values

    @field_validator("date")
    @classmethod
    def _of_digits(cls, layout: str | None) -> str | None:
        if layout is not None and ("%" not in layout or not _A_DATE.strftime(layout).isdecimal()):
            raise ValueError(
                f"no value can satisfy {layout!r}: cells hold digits only, as in %d%m%Y, without "
                "points or dashes; the days that it lies between are a key of their own, between"
            )
        return layout

    @field_validator("check_digit")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is None or name in get_args(CheckDigit):
            return name
        if _NATIONAL.fullmatch(name) and _is_national(name):
            return name
        raise ValueError(
            f"unknown check digit: use one of {', '.join(get_args(CheckDigit))}, "
            "or a number from python-stdnum by country and name, such as ch.ssn"
        )

    @model_validator(mode="after")
    def _one(self) -> Rule:
        words = [name for name in type(self).model_fields if name not in COMPANIONS]
        if sum(getattr(self, name) is not None for name in words) != 1:
            raise ValueError("a rule has exactly one of " + ", ".join(words))
        if self.once and self.allowed is None:
            raise ValueError("once goes with allowed: each value of the list belongs to one page")
        if self.between is not None and not (self.date and is_whole(self.date)):
            raise ValueError("between goes with a date of day, month and year, such as %d%m%Y")
        return self

    @property
    def fewest_cells(self) -> int:
        """The least number of cells that a value satisfying the rule needs."""
        if self.range is not None:
            return len(str(max(self.range[0], 0)))
        if self.length is not None:
            return self.length if isinstance(self.length, int) else self.length[0]
        if self.allowed is not None:
            return min(map(len, self.allowed))
        return len(_A_DATE.strftime(self.date)) if self.date is not None else 0

    @property
    def word(self) -> str:
        """Which rule it is: "range", "length" ..."""
        return next(
            name
            for name in type(self).model_fields
            if name not in COMPANIONS and getattr(self, name) is not None
        )


def has_year(layout: str) -> bool:
    """Whether a date's layout has a year."""
    return any(layout[place : place + 2] in ("%Y", "%y") for place in range(len(layout)))


def is_whole(layout: str) -> bool:
    """Whether a date's layout tells one day from all others, of its century at least.

    That it does not show in what two days have in common.
    """
    days = [datetime.date(2026, 2, 3), datetime.date(2026, 2, 4), datetime.date(2026, 3, 3)]
    return has_year(layout) and len({day.strftime(layout) for day in days}) == len(days)


def _is_national(name: str) -> bool:
    try:
        return find_spec(f"stdnum.{name}") is not None
    except ModuleNotFoundError:
        return False
