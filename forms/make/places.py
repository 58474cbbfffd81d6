"""What the column ``number`` of a draft's table stands for: rows of boxes, or boxes of a row.

A row of a table has a number of its own in each box; a row of digits' boxes is one number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from inkmill.template.fields import FormField
from inkmill.template.parts import Cells

#: Several: 3-10, 3..10, 3 to 10. Spreadsheets take 3-10 for a date: the others are safe.
SEVERAL = re.compile(r"(\d+)\s*(?:-|\.\.+|to|\u2013|\u2026)\s*(\d+)")
#: Single boxes of a row: 4 box 2, 4 box 1 to 8. With a point or a slash between the numbers, a
#: spreadsheet would take them for a fraction or a date.
_OF_ROW = re.compile(r"(\d+)\s*box(?:es)?\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A numbered row of the picture, or one of its boxes, counted from 1; 0 stands for all."""

    row: int
    box: int = 0

    def __str__(self) -> str:
        return f"{self.row} box {self.box}" if self.box else str(self.row)

    def meets(self, other: Place) -> bool:
        """Whether both have a box of this row in common."""
        return self.box == other.box or not self.box or not other.box

    def of(self, rows: Mapping[int, FormField]) -> FormField:
        """The draft's field there: the row's, or one with this box alone."""
        field = rows[self.row]
        if not self.box:
            return field
        box = field.cells.rectangles()[self.box - 1]
        alone = {"cells_given": Cells(boxes=(box,)), "name": f"{field.name}_{self.box:02d}"}
        return field.model_copy(update=alone)


def places(text: str, rows: Mapping[int, FormField]) -> list[Place]:
    """The places that a line of the table stands for. Raises ValueError for what is not there."""
    if (single := _OF_ROW.fullmatch(text)) is not None:
        row = int(single[1])
        _expect(row, rows)
        count = len(rows[row].cells.rectangles())
        boxes = _between(single[2])
        if boxes is None:
            raise ValueError(f"{text!r}: give boxes of a row as 4 box 2, or 4 box 1 to 8")
        if boxes[-1] > count or not boxes[0]:
            raise ValueError(f"{text!r}: row {row} of the picture has the boxes 1 to {count}")
        return [Place(row, box) for box in boxes]
    numbers = _between(text)
    if numbers is None:
        raise ValueError(
            f"{text!r} is no number of the picture: give one, or several as 3 to 10, or boxes of a "
            "row as 4 box 1 to 8"
        )
    for number in numbers:
        _expect(number, rows)
    return [Place(number) for number in numbers]


def _expect(row: int, rows: Mapping[int, FormField]) -> None:
    if row not in rows:
        raise ValueError(f"the picture has no box {str(row)!r}")


def _between(text: str) -> range | None:
    several = SEVERAL.fullmatch(text)
    first, last = (several[1], several[2]) if several else (text, text)
    # \d and isdecimal take digits of all scripts; int reads them.
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= 10_000):
        return None
    return range(int(first), int(last) + 1)
