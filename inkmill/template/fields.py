"""Fields, tables and checks of a form template: what stands on the page and what must hold."""

from __future__ import annotations

import datetime
import re
from importlib.util import find_spec
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Point = tuple[Number, Number]
Extent = tuple[Size, Size]
#: left, top, width, height in the page's unit
Box = tuple[Number, Number, Size, Size]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,59}$")]

NoneMark = Literal["X", "-"]

_LONGEST_PATTERN = 200


class Part(BaseModel):
    """A part of a template: frozen, and an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cells(Part):
    """Boxes in a row (``origin``, ``size``, ``pitch``, ``count``) or one by one (``boxes``)."""

    origin: Point | None = None
    size: Extent | None = None
    pitch: Point = (0.0, 0.0)
    count: Annotated[int, Field(ge=1, le=200)] = 1
    boxes: Annotated[tuple[Box, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Cells:
        row = self.origin is not None and self.size is not None
        if row == bool(self.boxes) or (self.boxes and (self.origin or self.size)):
            raise ValueError("give origin and size (with pitch and count), or boxes, not both")
        if self.count > 1 and self.pitch == (0.0, 0.0):
            raise ValueError("several cells need a pitch: the step from one cell to the next")
        return self

    def rectangles(self) -> tuple[Box, ...]:
        """The boxes from first to last, each (left, top, width, height)."""
        if self.origin is None or self.size is None:
            return self.boxes
        (x, y), (w, h), (dx, dy) = self.origin, self.size, self.pitch
        return tuple((x + i * dx, y + i * dy, w, h) for i in range(self.count))

    def moved(self, dx: float, dy: float) -> Cells:
        """The same boxes, ``(dx, dy)`` further on."""
        if self.origin is not None:
            return self.model_copy(update={"origin": (self.origin[0] + dx, self.origin[1] + dy)})
        boxes = tuple((x + dx, y + dy, w, h) for x, y, w, h in self.boxes)
        return self.model_copy(update={"boxes": boxes})


#: Check digits by their common names; besides them stands any number that python-stdnum knows,
#: by country and name: ``ch.ssn``, ``de.idnr``, ``es.nif``.
CheckDigit = Literal["luhn", "ean", "isbn", "mod11", "mod97", "mod11_10", "verhoeff", "damm"]
_NATIONAL = re.compile(r"[a-z]{2}_?\.[a-z0-9_]{1,30}")


#: Any day will do.
_A_DATE = datetime.date(2028, 12, 31)


class Rule(Part):
    """One thing that a field's value must fulfil; exactly one word each.

    ``once`` goes with ``allowed``: each value of the list belongs to one document of a job.
    """

    range: tuple[int, int] | None = None
    length: int | tuple[int, int] | None = None
    regex: Annotated[str, Field(max_length=_LONGEST_PATTERN)] | None = None
    allowed: Annotated[tuple[str, ...], Field(min_length=1, max_length=200_000)] | None = None
    date: str | None = None
    check_digit: CheckDigit | str | None = None
    once: bool = False

    @field_validator("regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern

    @field_validator("range", "length")
    @classmethod
    def _rising(cls, ends: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if isinstance(ends, tuple) and ends[0] > ends[1]:
            raise ValueError(f"no value can keep it: {ends[0]} is above {ends[1]}")
        return ends

    @field_validator("range")
    @classmethod
    def _not_below_zero(cls, ends: tuple[int, int] | None) -> tuple[int, int] | None:
        if ends is not None and ends[1] < 0:
            raise ValueError(f"no value can keep it: cells hold no sign, and {ends[1]} is below 0")
        return ends

    @field_validator("allowed")
    @classmethod
    def _digits(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            if value and not (value.isascii() and value.isdecimal()):
                raise ValueError(f"{value!r} is listed, and cells hold digits only")
        return values

    @field_validator("date")
    @classmethod
    def _of_digits(cls, layout: str | None) -> str | None:
        if layout is not None and ("%" not in layout or not _A_DATE.strftime(layout).isdecimal()):
            raise ValueError(
                f"no value can keep {layout!r}: cells hold digits only, as in %d%m%Y, without "
                "points or dashes"
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
            f"no such check digit: use one of {', '.join(get_args(CheckDigit))}, "
            "or a number of python-stdnum by country and name, such as ch.ssn"
        )

    @model_validator(mode="after")
    def _one(self) -> Rule:
        words = [name for name in type(self).model_fields if name != "once"]
        if sum(getattr(self, name) is not None for name in words) != 1:
            raise ValueError("a rule holds exactly one of " + ", ".join(words))
        if self.once and self.allowed is None:
            raise ValueError("once goes with allowed: each value of the list belongs to one page")
        return self

    @property
    def fewest_cells(self) -> int:
        """A value that keeps the rule needs so many cells at least."""
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
            if name != "once" and getattr(self, name) is not None
        )


def _is_national(name: str) -> bool:
    try:
        return find_spec(f"stdnum.{name}") is not None
    except ModuleNotFoundError:
        return False


def check_pattern(pattern: str) -> None:
    """Refuse what is no regular expression. How long one may take is bounded where it runs."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


class FormField(Part):
    """A named value. ``page`` counts from 1.

    Types: ``digits`` is taken as written; ``number`` drops leading zeros (005 means 5);
    ``code`` keeps every place (005 means 005); ``checkbox`` and ``image`` are not read by the
    model. ``unused`` lets cells be empty: ``leading`` in front of the digits, ``trailing`` behind
    them (written from the left), ``either`` on both sides; never between them. ``none`` is the
    mark that crosses such a cell out, X or a dash, or both. ``empty`` says what a field means in
    which nothing is written. ``target_error`` is the share of wrong values among the accepted
    that is allowed; ``repair`` lets the form's rules correct the value. ``lined: false`` says
    that the cells' boxes are not printed.
    """

    name: Name
    type: Literal["digits", "number", "code", "checkbox", "image"] = "digits"
    page: Annotated[int, Field(ge=1)] = 1
    cells: Cells
    unused: Literal["leading", "trailing", "either", "no"] = "no"
    none: NoneMark | Annotated[tuple[NoneMark, ...], Field(min_length=1)] | None = None
    empty: Literal["missing", "zero"] = "missing"
    optional: bool = False
    rules: tuple[Rule, ...] = ()
    repair: bool = False
    target_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    choose: Literal["one", "any"] = "any"
    labels: tuple[str, ...] = ()
    lined: bool = True

    @property
    def read(self) -> bool:
        """Whether the model reads its cells."""
        return self.type in ("digits", "number", "code")

    @property
    def front_unused(self) -> bool:
        """Whether cells in front of the digits may be empty."""
        return self.unused in ("leading", "either")

    @property
    def end_unused(self) -> bool:
        """Whether cells behind the digits may be empty."""
        return self.unused in ("trailing", "either")

    @property
    def none_marks(self) -> tuple[str, ...]:
        """The marks that cross a cell out: some of "X" and "-"."""
        if self.none is None:
            return ()
        return (self.none,) if isinstance(self.none, str) else self.none

    @model_validator(mode="after")
    def _fits_type(self) -> FormField:
        count = len(self.cells.rectangles())
        if self.type == "checkbox":
            if self.labels and len(self.labels) != count:
                raise ValueError(f"{len(self.labels)} labels for {count} boxes")
            if self.choose == "one" and count < 2:
                raise ValueError("one of a single box is no choice: drop choose, or add boxes")
        elif self.labels or self.choose == "one":
            raise ValueError("labels and choose are for type checkbox")
        if self.type == "image" and count != 1:
            raise ValueError("an image field has one box")
        of_digits = self.rules or self.none or self.unused != "no" or self.empty != "missing"
        if not self.read and (of_digits or self.repair or self.target_error):
            raise ValueError(
                "rules, none, unused, empty, repair and target_error are for fields of digits"
            )
        return self

    @model_validator(mode="after")
    def _can_be_kept(self) -> FormField:
        count = len(self.cells.rectangles())
        for rule in self.rules:
            if self.type == "number":
                _check_no_zeros(rule)
            if rule.fewest_cells > count:
                raise ValueError(
                    f"no value can keep {rule.word}: it wants {rule.fewest_cells} cells, and the "
                    f"field has {count}"
                )
        return self


def _check_no_zeros(rule: Rule) -> None:
    for value in rule.allowed or ():
        if value != "0" and value.startswith("0"):
            raise ValueError(
                f"no number is {value}: its leading zeros are dropped. List "
                f"{value.lstrip('0') or '0'}, or make the field a code"
            )


class TableRows(Part):
    """How often a table's first row is repeated, and by which step."""

    count: Annotated[int, Field(ge=1, le=500)]
    pitch: Point
    first: Annotated[int, Field(ge=0)] = 1


class Table(Part):
    """Repeated rows, declared once: column ``votes`` makes fields votes_01, votes_02 ..."""

    rows: TableRows
    columns: Annotated[tuple[FormField, ...], Field(min_length=1)]

    def fields(self) -> tuple[FormField, ...]:
        """The fields that the table stands for, row by row."""
        dx, dy = self.rows.pitch
        return tuple(
            column.model_copy(
                update={
                    "name": f"{column.name}_{self.rows.first + row:02d}",
                    "cells": column.cells.moved(row * dx, row * dy),
                }
            )
            for row in range(self.rows.count)
            for column in self.columns
        )


class Check(Part):
    """Something that must hold between fields: a sum, or two values that are the same.

    ``sum`` and ``equal`` name fields; ``votes_*`` stands for all that begin so.
    """

    sum: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    equal: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    equals: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Check:
        if (self.sum is None) == (self.equal is None) or (self.sum is None) != (
            self.equals is None
        ):
            raise ValueError("a check is {sum: [...], equals: field} or {equal: [...]}")
        return self
