"""What people type for a field, and the value that it stands for.

People type what is written on the paper; the value follows from the field's meaning, as it does for
the model's readings. Otherwise a table or an audit would treat equal values as different.
"""

from __future__ import annotations

from inkmill.codes import EMPTY_CELL
from inkmill.people.lists import TypedValue
from inkmill.records.events import UNREADABLE
from inkmill.rules.meaning import meaning
from inkmill.template.form import FormField

#: Typed for: the value shown is right; nothing is written.
AS_SHOWN, NOTHING = ".", "_"


def value(field: FormField | None, entry: TypedValue, blind: bool = False) -> str:
    """The value of a field that was typed. Raises ValueError with the reason and the remedy.

    In a ``blind`` list no value was shown, even if the entry has one for comparison.
    """
    if field is None:
        raise ValueError(f"is for item {entry.item}, which has no such field in this job")
    if entry.typed == AS_SHOWN:
        return _as_shown(field, "" if blind else entry.shown)
    if entry.typed == UNREADABLE:
        return UNREADABLE
    if entry.typed == NOTHING:
        return _of_nothing(field)
    return _digits(field, entry.typed) if field.read else _chosen(field, entry.typed)


def _as_shown(field: FormField, shown: str) -> str:
    """The value shown, if there is one; blank may also mean that the cells could not be read."""
    if shown in ("", UNREADABLE):
        crossed = f", {field.none_marks[0]} if it is crossed out" if field.none_marks else ""
        raise ValueError(
            "says that the value shown is right, but none is shown: type what is written, "
            f"{NOTHING} if nothing is{crossed}"
        )
    if field.read and shown == _of_nothing(field):
        return shown
    try:
        return _digits(field, shown) if field.read else _chosen(field, shown)
    except ValueError:
        # A spreadsheet makes 7 of the 007 in a CSV file: nobody saw 7 on the page.
        raise ValueError(
            f"says that the value shown is right, but in this file it is {shown!r}, which is not a "
            "value of the field: type what is written"
        ) from None


def _of_nothing(field: FormField) -> str:
    count = len(field.cells.rectangles())
    if field.read:
        return meaning(field, EMPTY_CELL * count) or ""
    return "0" if _is_single_box(field) else ""


def _is_single_box(field: FormField) -> bool:
    return field.type == "checkbox" and len(field.cells.rectangles()) == 1 and not field.labels


def _digits(field: FormField, typed: str) -> str:
    if field.strip:
        return _number(field, typed)
    count = len(field.cells.rectangles())
    if len(typed) > count:
        raise ValueError(f"is longer than its {count} cells")
    # People leave out empty cells; a code without unused cells has a digit in each cell.
    written = typed.upper()
    if field.end_unused:
        written = written.ljust(count, EMPTY_CELL)
    elif field.front_unused:
        written = written.rjust(count, EMPTY_CELL)
    elif field.type == "number":
        written = written.rjust(count, "0")
    value = meaning(field, written)
    if value is None or (len(written) != count and not field.none_marks):
        raise ValueError(f"is not a value of {count} digits")
    return value


def _number(field: FormField, typed: str) -> str:
    """A number without cells, with points or without."""
    value = meaning(field, typed.upper().replace(" ", ""))
    if value is None:
        least, most = field.least_digits, field.most_digits
        digits = f"{most}" if least == most else f"{least} to {most}"
        decimals = f" and {field.decimals} behind a point" if field.decimals else ""
        raise ValueError(f"is not a number of {digits} digits{decimals}")
    return value


def _chosen(field: FormField, typed: str) -> str:
    """Checkboxes: labels, or numbers of boxes, separated by semicolons."""
    if _is_single_box(field):
        if typed not in ("0", "1"):
            raise ValueError("is neither 1 (ticked) nor 0 (not ticked)")
        return typed
    count = len(field.cells.rectangles())
    labels = field.labels or tuple(str(number) for number in range(1, count + 1))
    chosen = [part.strip() for part in typed.split(";") if part.strip()]
    unknown = [part for part in chosen if part not in labels]
    if unknown:
        raise ValueError(f"is not one of {', '.join(labels)}")
    return ";".join(label for label in labels if label in chosen)
