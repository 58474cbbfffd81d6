"""Remarks about a valid template's weaknesses, and how it fits scans, for `inkmill form check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inkmill.forms.locate.registration import Located
from inkmill.forms.synth.printing import page_size
from inkmill.template.form import Form, FormField

#: Fewer marks than these do not locate a page.
_LEAST_MARKS = 3

Box = tuple[float, float, float, float]

#: In cells smaller than this, in mm, scans of 150 dpi blur the digits.
_SMALLEST_CELL = 4.0
#: Marks nearer to the paper's edge than this, in mm, are cut off by many feeders and printers.
_EDGE = 5.0
#: Cells overlap if they share more than this part of the smaller one.
_OVERLAP = 0.1


def remarks(form: Form) -> Iterator[str]:
    """Sentences that name a field or mark and what to do about it."""
    for number in range(1, form.page_count + 1):
        fields = form.page_fields(number)
        if not fields:
            yield f"page {number} has no field: leave the page out of the template"
        yield from _overlaps(fields)
    yield from _sizes(form)
    yield from _edges(form)
    yield from _looseness(form)


def _overlaps(fields: tuple[FormField, ...]) -> Iterator[str]:
    boxes = [(field.name, box) for field in fields for box in field.cells.rectangles()]
    for index, (name, box) in enumerate(boxes):
        for other, other_box in boxes[index + 1 :]:
            if _shared(box, other_box) > _OVERLAP:
                where = f"cells of {name}" if name == other else f"{name} and {other}"
                yield f"{where} overlap: a stroke would be read twice"
                return


def _shared(one: Box, other: Box) -> float:
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / min(one[2] * one[3], other[2] * other[3])


def _sizes(form: Form) -> Iterator[str]:
    if form.page.unit != "mm":
        return
    for field in form.all_fields:
        width, height = field.cells.rectangles()[0][2:]
        if field.read and min(width, height) < _SMALLEST_CELL:
            size = f"{width:g} x {height:g} mm"
            yield f"cells of {field.name} are {size}: digits below 4 mm are often misread"


def _edges(form: Form) -> Iterator[str]:
    marks = form.registration.marks
    if form.page.unit != "mm" or marks is None:
        return
    width, height = page_size(form)
    half = (marks.size or 0.0) / 2
    for x, y in marks.at:
        if min(x, y, width - x, height - y) - half < _EDGE:
            yield f"the mark at {x:g}, {y:g} is within {_EDGE:g} mm of the edge: feeders cut it off"


def _looseness(form: Form) -> Iterator[str]:
    registration = form.registration
    if (
        registration.code is None
        and registration.blank is None
        and (registration.marks is None or registration.marks.odd is None)
    ):
        yield (
            "only the printed boxes show which way up the page is: a code or an odd mark is more "
            "reliable, and a code also keeps other forms out"
        )
    checked = {
        name
        for check in form.checks
        for word in (*(check.sum or check.equal or ()), *filter(None, [check.equals]))
        for name in form.names_in(word)
    }
    bare = [
        field.name
        for field in form.all_fields
        if field.read and not field.rules and field.name not in checked
    ]
    if bare:
        shown = ", ".join(bare[:5]) + (" ..." if len(bare) > 5 else "")
        yield f"no rule or check covers {shown}: only confidence can reveal a misread digit there"


# --- on scans ------------------------------------------------------------------------------------


def place_on_scan(form: Form, page_number: int, located: Located) -> str:
    """How a scan was located, and which fields are not on their printed lines there."""
    off = f"{located.residual:.2g} {form.page.unit} off"
    text = f"located by {located.method}, {located.marks} marks, {off}"
    fields = form.page_fields(page_number)
    lost = [field.name for number, field in enumerate(fields) if not located.sees(number)]
    if not lost:
        return text
    return f"{text}; not on their printed lines: {', '.join(lost)}"


def marks_seen(form: Form, marks: Sequence[int]) -> str | None:
    """On how many scans marks located the page; None if the form has no marks.

    ``marks`` are the numbers of marks found on each scan, 0 where it was not located.
    """
    if all(form.registration_of(n).marks is None for n in range(1, form.page_count + 1)):
        return None
    seen = sum(count >= _LEAST_MARKS for count in marks)
    text = f"marks: seen on {seen} of {len(marks)} scans"
    if seen or not marks:
        return text
    return f"{text}: compare their shape, size and places in the template with a scan"
