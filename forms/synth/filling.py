"""Pages filled by hand, with known ground truth: values and where each cell lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.numbers import write_number, written_number
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.rules import kept
from inkmill.template.form import Form, FormField, Rule
from inkmill.template.numbers import as_value, digits_of

Grey = NDArray[np.uint8]

#: Least and largest height of a digit, as a part of its cell's.
_HEIGHT = (0.5, 0.72)
_WIDEST = 0.8
#: The same for a cross.
_CROSS_HEIGHT = (0.45, 0.9)
#: Largest distance of a digit's middle from its cell's, as a part of the cell.
_OFF = 0.06
#: Days of a date that may be any.
_USUAL_DAYS = date(1930, 1, 1), date(2029, 12, 31)


@dataclass(frozen=True)
class FilledPage:
    """A filled page, not yet scanned.

    ``grey`` uint8 (height, width); ``transform`` 3x3 maps template units to its pixels; ``raw`` is
    what is written in each field, cell by cell, and ``values`` what it means; ``digits`` are the
    numbers of the drawn digits in their source, in the order of the cells, -1 for none.
    """

    grey: Grey
    transform: Matrix
    raw: dict[str, str]
    values: dict[str, str]
    digits: tuple[int, ...] = field(default=())


def fill_page(
    form: Form,
    digits: HandwrittenDigits,
    rng: np.random.Generator,
    page_number: int = 1,
    dpi: float = 200,
    blank: Grey | None = None,
    share_empty: float = 0.0,
    values: Mapping[str, str] | None = None,
) -> FilledPage:
    """A page filled by hand, with digits of ``digits``.

    ``values`` are what is written, by default values that satisfy the form's rules; ``blank`` is
    the empty page, if already drawn; ``share_empty`` of the fields are left blank.
    """
    place = template_to_pixels(form, dpi)
    page = (draw_page(form, page_number, dpi) if blank is None else blank).copy()
    values = random_values(form, rng) if values is None else dict(values)
    ink = int(rng.integers(15, 70))
    raw: dict[str, str] = {}
    numbers: list[int] = []
    for each in form.page_fields(page_number):
        if not each.read:
            raw[each.name] = _tick(page, each, place, rng, ink)
            values[each.name] = raw[each.name]
            continue
        if rng.random() < share_empty:
            values[each.name] = ""
        if each.strip:
            text = raw[each.name] = written_number(each, values[each.name], rng)
            write_number(page, place, each, text, digits, ink, rng)
            continue
        written = raw[each.name] = _cells_of(each, values[each.name], rng)
        for symbol, box in zip(written, each.cells.rectangles(), strict=True):
            if symbol.isdigit():
                image, number = digits.draw(int(symbol), rng)
                numbers.append(number)
                write(page, place, box, image, ink, rng)
            else:
                numbers.append(-1)
                if symbol == "X":
                    _cross_out(page, place, box, digits, ink, rng)
    names = {each.name for each in form.page_fields(page_number)}
    kept = {name: value for name, value in values.items() if name in names}
    return FilledPage(page, place, raw, kept, tuple(numbers))


# --- values ------------------------------------------------------------------------------------


def random_values(form: Form, rng: np.random.Generator) -> dict[str, str]:
    """A value for every field of digits, such that sums, equalities and ranges hold.

    Raises UsageError if no values are found that fit the fields' cells.
    """
    fields = {each.name: each for each in form.all_fields if each.read}
    for _ in range(100):
        values = _drawn_values(form, rng)
        if all(_fits(fields[name], values[name]) for name in fields):
            return values
    raise UsageError(f"the sums of {form.name} do not fit: give the totals more cells")


def _fits(each: FormField, value: str) -> bool:
    return len(digits_of(value)) <= each.most_digits + each.decimals


def _drawn_values(form: Form, rng: np.random.Generator) -> dict[str, str]:
    totals = {check.equals for check in form.checks if check.equals}
    fields = {each.name: each for each in form.all_fields if each.read}
    parts_of = {
        check.equals: [name for word in check.sum or () for name in form.names_in(word)]
        for check in form.checks
        if check.equals
    }
    values: dict[str, str] = {}
    for name, each in fields.items():
        if name not in totals:
            shares = max((len(parts) for parts in parts_of.values() if name in parts), default=1)
            values[name] = _random_value(each, rng, shares)
    # A total may be part of another: as many rounds as there are totals are enough.
    for _ in parts_of:
        for total, parts in parts_of.items():
            if all(part in values for part in parts):
                values[total] = str(sum(int(values[part] or 0) for part in parts))
    for check in form.checks:
        if check.equal:
            same = [name for word in check.equal for name in form.names_in(word)]
            values.update(dict.fromkeys(same, values[same[0]]))
    return {
        name: _fitted(fields[name], value) if name in fields else value
        for name, value in values.items()
    }


def _random_value(each: FormField, rng: np.random.Generator, shares: int) -> str:
    """A value without its decimal point, as it is added up."""
    count = each.most_digits + each.decimals
    rules = {rule.word: rule for rule in each.rules}
    if "allowed" in rules and rules["allowed"].allowed:
        return str(rng.choice(rules["allowed"].allowed))
    if "date" in rules and each.type != "number":
        return _random_date(each, rules["date"], rng)
    if each.type == "code" or (each.unused == "no" and each.type == "digits" and shares == 1):
        return _random_code(each, count, rng)
    low, high = 0, 10**count - 1
    if "range" in rules and rules["range"].range:
        low, high = (end * 10**each.decimals for end in rules["range"].range)
    # Small numbers are as common as large ones on real forms, and a sum must fit its boxes.
    most = min(high, (10**count - 1) // shares, 10 ** int(rng.integers(1, count + 1)) - 1)
    return str(int(rng.integers(low, max(low, most) + 1)))


def _random_date(each: FormField, rule: Rule, rng: np.random.Generator) -> str:
    """A day that the rule allows, as its digits."""
    first, last = rule.between or _USUAL_DAYS
    for _ in range(5000):
        day = first + timedelta(days=int(rng.integers((last - first).days + 1)))
        value = day.strftime(rule.date or "")
        if kept.broken(each, value) is None:
            return value
    raise UsageError(f"field {each.name}: no day drawn at random satisfies its rules")


def _random_code(each: FormField, count: int, rng: np.random.Generator) -> str:
    """Draw digits until they satisfy the field's rules; one in ten has a right check digit."""
    for _ in range(5000):
        length = int(rng.integers(each.least_digits, count + 1)) if each.strip else count
        value = "".join(map(str, rng.integers(0, 10, length)))
        if kept.broken(each, value) is None:
            return value
    raise UsageError(f"field {each.name}: no digits drawn at random satisfy its rules")


def _fitted(each: FormField, value: str) -> str:
    if each.strip:
        return as_value(int(value), each.decimals) if value and each.type == "number" else value
    count = len(each.cells.rectangles())
    return value if each.unused != "no" or not value else value.zfill(count)


def _cells_of(each: FormField, value: str, rng: np.random.Generator) -> str:
    """The value cell by cell; unused cells stay empty or get the mark for none."""
    count = len(each.cells.rectangles())
    if not value:
        return "_" * count
    spare = each.none_marks[0] if each.none_marks and rng.random() < 0.5 else "_"
    to_the_left = each.unused == "trailing" or (each.unused == "either" and rng.random() < 0.5)
    return value.ljust(count, spare) if to_the_left else value.rjust(count, spare)


# --- ink ------------------------------------------------------------------------------------------


def write(
    page: Grey,
    place: Matrix,
    box: tuple[float, float, float, float],
    image: Grey,
    ink: int,
    rng: np.random.Generator,
    height_range: tuple[float, float] = _HEIGHT,
) -> None:
    """Draw a digit or mark into a cell, in place; pixels only get darker.

    ``place`` maps template units to the page's pixels, ``box`` is the cell in template units,
    ``image`` white ink on black, cut to its ink, and ``ink`` the grey level to draw with.
    ``height_range`` are its least and largest height as parts of the cell's.
    """
    points = apply(place, corners(box))
    width, height = points[2] - points[0]
    scale = rng.uniform(*height_range) * height / image.shape[0]
    scale = min(scale, _WIDEST * width / image.shape[1])
    size = (max(2, round(image.shape[1] * scale)), max(2, round(image.shape[0] * scale)))
    drawn = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    middle = points.mean(axis=0) + rng.uniform(-_OFF, _OFF, 2) * (width, height)
    left, top = (round(v) for v in middle - np.array(size) / 2)
    left, top = max(0, left), max(0, top)
    part = page[top : top + size[1], left : left + size[0]]
    cover = drawn[: part.shape[0], : part.shape[1]].astype(np.float32) / 255.0
    part[:] = np.minimum(part, 255.0 - cover * (255.0 - ink)).astype(np.uint8)


def _cross_out(
    page: Grey,
    place: Matrix,
    box: tuple[float, float, float, float],
    digits: HandwrittenDigits,
    ink: int,
    rng: np.random.Generator,
) -> None:
    """The mark X in a cell: a person's, or drawn from corner to corner."""
    image = digits.cross(rng)
    if image is None:
        _cross(page, place, box, ink, rng)
    else:
        write(page, place, box, image, ink, rng, _CROSS_HEIGHT)


def _cross(
    page: Grey,
    place: Matrix,
    box: tuple[float, float, float, float],
    ink: int,
    rng: np.random.Generator,
) -> None:
    """The mark X across a cell, by hand."""
    points = apply(place, corners(box))
    size = points[2] - points[0]
    thick = max(1, round(0.05 * float(size.max())))
    for start, end in ((0, 2), (1, 3)):
        ends = points[[start, end]]
        ends = ends + (ends.mean(axis=0) - ends) * 0.25 + rng.normal(0, 0.04, (2, 2)) * size
        one, other = (tuple(int(v) for v in np.rint(point)) for point in ends)
        cv2.line(page, one, other, ink, thick, cv2.LINE_AA)


def _tick(page: Grey, each: FormField, place: Matrix, rng: np.random.Generator, ink: int) -> str:
    """Tick boxes of a checkbox field at random; returns 1 or 0 for each box."""
    if each.type != "checkbox":
        return ""
    boxes = each.cells.rectangles()
    chosen = [False] * len(boxes)
    if each.choose == "one":
        chosen[int(rng.integers(len(boxes)))] = True
    else:
        chosen = [bool(rng.random() < 0.4) for _ in boxes]
    for box, ticked in zip(boxes, chosen, strict=True):
        if ticked:
            _cross(page, place, box, ink, rng)
    return "".join("1" if ticked else "0" for ticked in chosen)
