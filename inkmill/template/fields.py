"""Fields, tables and checks of a form template."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from inkmill.template.parts import Cells, Part, Point
from inkmill.template.rule import Rule

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,59}$")]
NoneMark = Literal["X", "-"]


class FormField(Part):
    """A named value. ``page`` counts from 1.

    Types: ``digits`` is taken as written; ``number`` drops leading zeros (005 means 5);
    ``code`` keeps every place (005 means 005); ``checkbox`` and ``image`` are not read by the
    model. ``unused`` lets cells be empty: ``leading`` in front of the digits, ``trailing`` behind
    them (written from the left), ``either`` on both sides; never between them. ``none`` is the
    mark that crosses such a cell out, X or a dash, or both. ``empty`` says what a field means in
    which nothing is written. ``target_error`` is the share of wrong values among the accepted
    that is allowed; ``repair`` lets the form's rules correct the value. ``lined: false`` says
    that the cells' boxes are not printed; ``double_entry`` has a second person key, blind, what
    one keyed at the desk.
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
    double_entry: bool = False

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
                raise ValueError("choose: one needs two boxes or more: drop choose, or add boxes")
        elif self.labels or self.choose == "one":
            raise ValueError("labels and choose are for type checkbox")
        if self.type == "image" and count != 1:
            raise ValueError("an image field has exactly one box")
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
                    f"no value can satisfy {rule.word}: it needs {rule.fewest_cells} cells, "
                    f"but the field has {count}"
                )
        return self


def _check_no_zeros(rule: Rule) -> None:
    for value in rule.allowed or ():
        if value != "0" and value.startswith("0"):
            raise ValueError(
                f"{value} is never the value of a number, which drops leading zeros: list "
                f"{value.lstrip('0') or '0'}, or make the field a code"
            )


class TableRows(Part):
    """How often a table's first row is repeated, and by which step."""

    count: Annotated[int, Field(ge=1, le=500)]
    pitch: Point
    first: Annotated[int, Field(ge=0)] = 1


class FieldTable(Part):
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
