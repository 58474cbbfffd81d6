"""From a page's cells and their readings to its fields, by the rules and by what the pixels show.

`inkmill.rules` decides; what needs pixels is here: where the fields are, how much ink the
checkboxes hold, and whether a cell without a digit has a cross or a dash, a form's marks for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status
from inkmill.records.rows import SYMBOLS, CellReading, FieldResult, StringReading
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_field, read_strip
from inkmill.template.form import Form, FormField

if TYPE_CHECKING:
    from inkmill.forms.reader import PageCells

Crop = NDArray[np.uint8]
#: How a strip may be read, the most probable first.
Strings = Sequence[StringReading]

#: By how much a shape that only a mark has raises the mark's odds. An X all along both diagonals:
#: about a third of the crosses that people draw, one struck-out digit in thirty, and none of
#: 60,000 digits of MNIST.
_SHAPE_ODDS = 20.0
#: Confidence of a mark recognised by its shape alone, if the model has no class for it.
_SHAPE_CONFIDENCE = 0.999
#: Levels of 255 above which a crop has ink; least ratio of a dash's width to its height.
_INK, _DASH = 96, 3.0
#: For a cell with a streak: the probability that it holds nothing else, and for each digit the
#: probability that the streak made another digit of it. High enough that only a sum can make the
#: reading certain.
_STREAK_ALONE, _STREAK_MIXED = 0.05, 0.005
#: The probability that a number is meant where a strip has more than one line of writing: so low
#: that only a check can make it certain.
_ONE_OF_LINES = 0.5
#: A checkbox with less ink than the first is empty, with more than the second it is ticked.
_BOX_EMPTY, _BOX_FILLED = 0.01, 0.03


def build_fields(
    form: Form,
    page_number: int,
    readings: Sequence[CellReading],
    cells: PageCells | None = None,
    strings: Sequence[Strings] = (),
) -> list[FieldResult]:
    """The fields of a page, checked by its rules, in the template's order.

    ``readings`` are those of ``form.cells(page_number)``, ``strings`` those of
    ``form.strips(page_number)``, in that order; ``cells`` has the fields' boxes on the scan, the
    crops, and the checkboxes, which the model does not read.

    Raises ValueError if the numbers of readings and cells differ, which is a bug.
    """
    expected = len(form.cells(page_number)), len(form.strips(page_number))
    if (len(readings), len(strings)) != expected:
        raise ValueError(
            f"{len(readings)} and {len(strings)} readings for {expected[0]} cells and "
            f"{expected[1]} strips of {form.name}"
        )
    results, start, of_strip = [], 0, dict(zip(form.strips(page_number), strings, strict=True))
    for field in form.page_fields(page_number):
        if field.strip:
            result = read_strip(field, of_strip[field])
        elif field.read:
            count = len(field.cells.rectangles())
            mine = list(readings[start : start + count])
            if cells is not None:
                mine = [_as_seen(field, each, cells, n) for n, each in enumerate(mine, start)]
            start += count
            result = read_field(field, mine)
        else:
            result = _unread(field, cells)
        box = cells.boxes.get(field.name) if cells is not None else None
        results.append(replace(result, box=box))
    covered = () if cells is None else _covered(results, cells)
    return judge(form, results, covered=covered)


def strip_readings(
    form: Form, page_number: int, cells: PageCells, read: Sequence[Strings]
) -> list[Strings]:
    """The readings of a page's strips: what their reader says, and what the page shows besides.

    ``read`` are those of ``cells.strip_pictures``, in that order. A strip without ink is empty, an
    X from corner to corner is a mark for none; a streak may have made another number of it, and of
    two lines of writing one may be struck out.
    """
    left, found = iter(read), list[Strings]()
    for number, field in enumerate(form.strips(page_number)):
        strip = cells.strips[number]
        if strip.picture is None:
            found.append([StringReading(EMPTY_CELL, 1.0)])
            continue
        strings = next(left)
        if strip.crossed and "X" in field.none_marks:
            strings = [StringReading("X", _SHAPE_CONFIDENCE)]
        sure = _ONE_OF_LINES if strip.crowded else 1.0
        if cells.streaked_strips[number]:
            sure *= 1 - _STREAK_ALONE - _STREAK_MIXED * len(SYMBOLS)
        if sure < 1:
            strings = [replace(each, probability=sure * each.probability) for each in strings]
        found.append(strings)
    return found


def _covered(results: Sequence[FieldResult], cells: PageCells) -> set[str]:
    """The fields whose printed lines were not found."""
    sees = cells.registration.sees
    return {each.name for number, each in enumerate(results) if not sees(number)}


def _as_seen(field: FormField, reading: CellReading, cells: PageCells, number: int) -> CellReading:
    """A reading, corrected by what the cell shows besides the crop: streaks, marks for none."""
    if cells.streaked[number]:
        reading = _doubted(reading)
    return _marked(field, reading, cells, number) if field.none_marks else reading


# --- marks for none ----------------------------------------------------------------------------


def _marked(field: FormField, reading: CellReading, cells: PageCells, number: int) -> CellReading:
    """A reading; a shape that only a mark has makes the mark more probable."""
    if "X" in field.none_marks and cells.crossed[number]:
        return _raised(reading, "X")
    if "-" in field.none_marks and is_dash(cells.crops[number]):
        return _raised(reading, "-")
    return reading


def _raised(reading: CellReading, mark: str) -> CellReading:
    """The reading with higher odds of a mark whose shape was seen."""
    if not reading.probabilities:
        return reading
    odds = np.array(reading.probabilities, np.float64)
    place = SYMBOLS.index(mark)
    if odds[place] == 0:
        odds *= 1 - _SHAPE_CONFIDENCE
        odds[place] = _SHAPE_CONFIDENCE
    else:
        odds[place] *= _SHAPE_ODDS
        odds /= odds.sum()
    second, first = np.argsort(odds)[-2:].tolist()
    return CellReading(
        SYMBOLS[first],
        confidence=float(odds[first]),
        probabilities=tuple(odds.tolist()),
        runner_up=SYMBOLS[second],
        runner_up_confidence=float(odds[second]),
    )


def is_dash(crop: Crop) -> bool:
    """Whether a crop (white ink on black) holds one level stroke and nothing else."""
    rows, columns = np.nonzero(crop > _INK)
    if not len(rows):
        return False
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    return width >= _DASH * height


def _doubted(reading: CellReading) -> CellReading:
    """A reading of a cell with a streak: it may hold only the streak, or another digit."""
    if not reading.probabilities:
        return reading  # the cell holds only the streak, and was recognised as empty
    doubt = [_STREAK_ALONE if s == EMPTY_CELL else _STREAK_MIXED for s in SYMBOLS]
    whole = sum(doubt)
    probabilities = [
        (1 - whole) * each + more for each, more in zip(reading.probabilities, doubt, strict=True)
    ]
    return replace(
        reading,
        confidence=(1 - whole) * reading.confidence,
        probabilities=tuple(probabilities),
        runner_up_confidence=(1 - whole) * reading.runner_up_confidence,
    )


# --- fields that the model does not read ---------------------------------------------------------


def _unread(field: FormField, cells: PageCells | None) -> FieldResult:
    """A checkbox, read by its ink, or an image field, which is not read."""
    if field.type == "image" or cells is None:
        return FieldResult(field.name, "", "", 1.0)
    shares = cells.filled[field.name]
    raw = "".join(
        "1" if share >= _BOX_FILLED else "0" if share <= _BOX_EMPTY else UNREAD_CELL
        for share in shares
    )
    labels = field.labels or tuple(str(number) for number in range(1, len(raw) + 1))
    chosen = [label for label, symbol in zip(labels, raw, strict=True) if symbol == "1"]
    value = ";".join(chosen) if len(raw) > 1 or field.labels else raw
    result = FieldResult(field.name, value, raw, 1.0)
    if UNREAD_CELL in raw:
        message = "a box holds a little ink: ticked or touched?"
        return _review(replace(result, confidence=0.5), Code.LOW_CONFIDENCE, message)
    if field.choose == "one" and len(chosen) > 1:
        message = f"exactly one box must be ticked, but {len(chosen)} are"
        return _review(replace(result, rule="choose"), Code.RULE_FAILED, message)
    if field.choose == "one" and not chosen and not field.optional:
        return _review(result, Code.BLANK, "no box is ticked")
    return result


def _review(result: FieldResult, code: Code, message: str) -> FieldResult:
    return replace(result, status=Status.REVIEW, code=code, message=message)
