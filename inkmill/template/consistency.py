"""Checks of a template as a whole, after each of its parts was found valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inkmill.template.text import Misplaced

if TYPE_CHECKING:
    from inkmill.template.fields import Check
    from inkmill.template.form import Form

#: How far cells must differ from themselves upside down, as a share of the smallest one, for
#: their lines to show which side is up.
_SYMMETRY = 0.25
#: A page of fewer printed boxes than this needs marks or a blank.
_LEAST_BOXES = 8


def check(form: Form) -> None:
    """Raises ValueError, or Misplaced where the fault has a place, for what cannot hold."""
    names = [field.name for field in form.all_fields]
    if not names:
        raise ValueError("a form needs fields or tables")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Misplaced(f"two fields are called {doubled[0]}: give each its own name", doubled[0])
    _check_names(form, set(names))
    _check_extent(form)
    _check_codes_tell_pages(form)
    for number in range(1, form.page_count + 1):
        _check_boxes_suffice(form, number)
        if not _tells_up_from_down(form, number):
            raise ValueError(
                f"nothing on page {number} shows which side is up: add an odd mark, a code or a "
                "blank to the registration, or say upright: true if no page comes turned"
            )


def _check_boxes_suffice(form: Form, number: int) -> None:
    """A few boxes are found on many a page: they do not say which form it is, nor where."""
    registration = form.registration_of(number)
    if registration.marks is not None or registration.blank is not None:
        return
    count = len(_centres(form, number))
    if form.page_fields(number) and count < _LEAST_BOXES:
        raise ValueError(
            f"page {number} has {count} printed boxes, too few to locate it by them alone (at "
            f"least {_LEAST_BOXES}): add marks or a blank to its registration"
        )


def _check_names(form: Form, names: set[str]) -> None:
    readable = {field.name for field in form.all_fields if field.read}
    for check in form.checks:
        for pattern in (*(check.sum or check.equal or ()), *filter(None, [check.equals])):
            found = form.names_in(pattern)
            if not found or not set(found) <= readable:
                raise Misplaced(f"a check names {pattern}, which is not a field of digits", pattern)
        _check_compares(form, check)
    key = form.document_key
    if key is not None and key.field is not None and key.field not in names:
        raise Misplaced(f"document_key names {key.field}, which is not a field", key.field)
    if key is not None and form.code_keys and (key.source != "code" or key.pattern is not None):
        raise ValueError(
            "the document's key is in the pattern of the page code and in document_key: keep one "
            "of them"
        )


def _check_compares(form: Form, check: Check) -> None:
    """A check that could never be made is worse than none: it looks like one."""
    words = check.sum or check.equal or ()
    if check.equals is not None and check.equals in words:
        raise Misplaced(
            f"a check names {check.equals} on both sides: take it out of the sum", check.equals
        )
    parts = [name for word in words for name in form.names_in(word) if name != check.equals]
    doubled = sorted({name for name in parts if parts.count(name) > 1})
    if doubled:
        raise Misplaced(f"a check names {doubled[0]} twice: name it once", doubled[0])
    if check.equals is not None and check.equals not in form.names_in(check.equals):
        raise Misplaced(f"equals names {check.equals}: give one field by its name", check.equals)
    if len(parts) < (1 if check.equals is not None else 2):
        raise Misplaced(f"a check of {words[0]} compares nothing: name more fields", words[0])
    _check_decimals(form, [*parts, *filter(None, [check.equals])])


def _check_decimals(form: Form, names: Sequence[str]) -> None:
    """Sums are over numbers of one unit: 12 and 12.00 are not the same to a check."""
    decimals = {field.name: field.decimals for field in form.all_fields}
    first, *others = names
    for other in others:
        if decimals[other] != decimals[first]:
            raise Misplaced(
                f"a check compares {first} with {decimals[first]} decimals and {other} with "
                f"{decimals[other]}: give both the same",
                other,
            )


def _check_extent(form: Form) -> None:
    if form.page.unit != "mm" or form.page.width is None or form.page.height is None:
        return
    for field in form.all_fields:
        for x, y, w, h in field.cells.rectangles():
            if x < 0 or y < 0 or x + w > form.page.width or y + h > form.page.height:
                raise Misplaced(f"field {field.name} extends beyond the page", field.name)


def _check_codes_tell_pages(form: Form) -> None:
    """Pages that look alike, under a code that may say which is which: it must be asked for it."""
    for first in range(1, form.page_count + 1):
        code = form.code_of(first)
        if code is None or code.pattern is not None:
            continue
        for second in range(first + 1, form.page_count + 1):
            if form.code_of(second) == code and _alike(form, first, second):
                raise Misplaced(
                    f"pages {first} and {second} have the same boxes and the same code: give each "
                    r"its own value, or the code a pattern such as form-(?P<page>\d+)",
                    code.value or "",
                )


def _alike(form: Form, first: int, second: int) -> bool:
    """Whether two pages could be read as each other: their cells are in the same places."""
    pages = [
        sorted(
            box
            for field in form.page_fields(number)
            if field.type != "image"
            for box in field.cells.rectangles()
        )
        for number in (first, second)
    ]
    if not pages[0] or len(pages[0]) != len(pages[1]):
        return False
    reach = _SYMMETRY * min(_smallest_cell(form, first), _smallest_cell(form, second))
    return all(
        abs(a - b) < reach
        for one, other in zip(*pages, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _tells_up_from_down(form: Form, number: int) -> bool:
    registration = form.registration_of(number)
    marks = registration.marks
    if registration.code or registration.blank or registration.upright or (marks and marks.odd):
        return True
    centres = _centres(form, number)
    if not centres:
        return False
    size = _smallest_cell(form, number)
    if marks is not None:
        x, y = (sum(at[axis] for at in marks.at[:4]) / 4 for axis in (0, 1))
        return not _symmetric(centres, (x, y), size)
    x, y = ((min(all_) + max(all_)) / 2 for all_ in zip(*centres, strict=True))
    # A quarter turn of a page in fractions depends on the scan.
    turns = (1, 2) if form.page.unit == "mm" else (2,)
    return not any(_symmetric(centres, (x, y), size, quarters) for quarters in turns)


def _centres(form: Form, number: int) -> list[tuple[float, float]]:
    """The middles of a page's printed boxes."""
    return [
        (x + w / 2, y + h / 2)
        for field in form.page_fields(number)
        if field.lined and form.registration_of(number).lines and field.type != "image"
        for x, y, w, h in field.cells.rectangles()
    ]


def _smallest_cell(form: Form, number: int) -> float:
    return min(
        min(w, h) for field in form.page_fields(number) for _, _, w, h in field.cells.rectangles()
    )


def _symmetric(
    centres: list[tuple[float, float]], about: tuple[float, float], size: float, quarters: int = 2
) -> bool:
    """Whether some quarter turns about a point map the cells onto each other."""
    reach = _SYMMETRY * size

    def turned(x: float, y: float) -> tuple[float, float]:
        dx, dy = x - about[0], y - about[1]
        return (about[0] - dy, about[1] + dx) if quarters == 1 else (about[0] - dx, about[1] - dy)

    return all(
        any(abs(x - at_x) < reach and abs(y - at_y) < reach for at_x, at_y in centres)
        for x, y in (turned(*centre) for centre in centres)
    )
