"""Fields, tables and checks of a form template."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from inkmill.template.numbers import Skipped
from inkmill.template.parts import Box, Cells, Part, Point
from inkmill.template.rule import Rule

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,59}$")]
NoneMark = Literal["X", "-"]
#: No number that people write by hand has more digits.
_DigitCount = Annotated[int, Field(ge=1, le=20)]


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

    A number or code that is written without a box for each digit has a ``box`` in place of
    ``cells``, and ``digits``, the least and the most digits that it has. ``decimals`` are the
    digits behind its decimal point or comma, which must be written; ``skip`` is what may be
    written besides and means nothing.
    """

    name: Name
    type: Literal["digits", "number", "code", "checkbox", "image"] = "digits"
    page: Annotated[int, Field(ge=1)] = 1
    cells_given: Annotated[Cells | None, Field(alias="cells")] = None
    box: Box | None = None
    digits: _DigitCount | tuple[_DigitCount, _DigitCount] | None = None
    decimals: Annotated[int, Field(ge=0, le=4)] = 0
    skip: tuple[Skipped, ...] | None = None
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
    def cells(self) -> Cells:
        """Where it is written: its cells, or the one box of a number without cells."""
        return self.cells_given or Cells(boxes=(self.box,) if self.box is not None else ())

    @property
    def read(self) -> bool:
        """Whether a model reads it."""
        return self.type in ("digits", "number", "code")

    @property
    def strip(self) -> bool:
        """Whether it is a number or code written into one box, not digit by digit into cells."""
        return self.box is not None

    @property
    def least_digits(self) -> int:
        """The least number of digits in a strip, without decimals."""
        return self.digits[0] if isinstance(self.digits, tuple) else self.digits or 1

    @property
    def most_digits(self) -> int:
        """The number of its cells, or the most digits in a strip, without decimals."""
        if not self.strip:
            return len(self.cells.rectangles())
        return self.digits[1] if isinstance(self.digits, tuple) else self.digits or 1

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What may be written besides the digits of a strip and means nothing."""
        if self.skip is None:
            return get_args(Skipped) if self.strip and self.type == "number" else ()
        return self.skip

    def moved(self, dx: float, dy: float) -> dict[str, object]:
        """Its place ``(dx, dy)`` further on, for ``model_copy``."""
        if self.cells_given is not None:
            return {"cells_given": self.cells_given.moved(dx, dy)}
        assert self.box is not None
        x, y, w, h = self.box
        return {"box": (x + dx, y + dy, w, h)}

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
    def _fits_place(self) -> FormField:
        if (self.cells_given is None) == (self.box is None):
            raise ValueError(
                "give cells, with a box for each digit, or box, in which a number is written "
                "freely, and not both"
            )
        if not self.strip:
            given = {"digits": self.digits, "decimals": self.decimals, "skip": self.skip}
            if words := [word for word, value in given.items() if value]:
                raise ValueError(f"{words[0]} is for a number in a box: give box in place of cells")
            return self
        if self.type not in ("number", "code"):
            raise ValueError(f"a {self.type} field has cells; box is for type number or code")
        if self.digits is None:
            raise ValueError("a box needs digits: [least, most], the digits that a number may have")
        if self.least_digits > self.most_digits:
            raise ValueError(f"digits: {self.least_digits} is above {self.most_digits}")
        if self.unused != "no":
            raise ValueError("unused is for cells: digits says how long a number in a box may be")
        return self._check_decimals()

    def _check_decimals(self) -> FormField:
        if (self.decimals or self.skip) and self.type == "code":
            raise ValueError("decimals and skip are for type number: a code is digits only")
        if self.decimals and (
            wrong := [each.word for each in self.rules if each.word not in ("range", "regex")]
        ):
            raise ValueError(f"{wrong[0]} is a rule for digits: a field with decimals has none")
        return self

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
        count = self.most_digits
        for rule in self.rules:
            if self.type == "number":
                _check_no_zeros(rule)
            if rule.fewest_cells > count:
                raise ValueError(
                    f"no value can satisfy {rule.word}: it needs {rule.fewest_cells} "
                    f"{'digits' if self.strip else 'cells'}, but the field has {count}"
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
                    **column.moved(row * dx, row * dy),
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
