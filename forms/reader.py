"""A page's cells as crops for the model: located, cut, cleaned, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.cells import (
    SHORTEST,
    Box,
    Cuts,
    cut_cells,
    cutting_size,
    reduced,
    usual_ink,
)
from inkmill.forms.cut.crops import normalise_cells
from inkmill.forms.cut.crossing import crossed_out
from inkmill.forms.cut.fieldstrips import SHORTEST as SHORTEST_STRIP
from inkmill.forms.cut.fieldstrips import Strip, cut_strips, strip_size
from inkmill.forms.cut.guides import learnt
from inkmill.forms.cut.inks import find_ink
from inkmill.forms.cut.streaks import Streaks
from inkmill.forms.dropout import without_colours
from inkmill.forms.geometry import Matrix, apply, corners, inverse
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import Located, locate
from inkmill.template.form import Form, FormField

Grey = NDArray[np.uint8]
PixelBox = tuple[int, int, int, int]

#: A page with this many times the pixels its cells need is reduced before they are cut.
_TOO_FINE = 2.0
#: Cells whose sides differ by at most this part are cut to one size and processed together.
_ALIKE = 0.04


@dataclass(frozen=True)
class PageCells:
    """The cells of one page for the model, in the order of ``form.cells(page_number)``.

    ``crops`` uint8 (n, size, size), white ink on black; ``empty`` bool (n,): nothing is written,
    the crop is black; ``crossed`` bool (n,): an X from corner to corner; ``streaked`` bool (n,): a
    scanner streak runs through; ``registration`` where the template lies; ``boxes`` each field's
    rectangle on the scan in pixels (left, top, right, bottom); ``filled`` for each checkbox field
    the share of ink in its boxes, 0 to 1. ``strips`` are the numbers without cells, in the order of
    ``form.strips(page_number)``, and ``streaked_strips`` bool (m,) those with a streak.
    """

    crops: Grey
    empty: NDArray[np.bool_]
    crossed: NDArray[np.bool_]
    streaked: NDArray[np.bool_]
    registration: Located
    page_number: int
    boxes: dict[str, PixelBox]
    filled: dict[str, tuple[float, ...]]
    strips: tuple[Strip, ...] = ()
    streaked_strips: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @property
    def strip_pictures(self) -> list[Grey]:
        """The strips in which something is written, for their reader."""
        return [each.picture for each in self.strips if each.picture is not None]


def cut_page(
    page: Page,
    form: Form,
    page_number: int = 1,
    size: int = 28,
    filters: Sequence[dict[str, Any]] = (),
    located: Located | None = None,
) -> PageCells:
    """Locate the template on a page, cut the page's cells and normalise them.

    ``located`` is where the template lies, if already known (`choose`, `locate_by_hand`).
    Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE, CUT_OFF or WRONG_SIZE.
    """
    located = located or locate(page, form, page_number)
    fields = form.page_fields(page_number)
    boxes = [located.moved(number, field.cells.rectangles()) for number, field in enumerate(fields)]
    cells = _cells(fields, boxes, form.registration_of(page_number).lines)
    strips = [cell for cell in cells if cell.field.strip]
    cells = [cell for cell in cells if not cell.field.strip]
    transform = np.asarray(inverse(page.to_file) @ located.transform, np.float64)
    grey, streaks = _without_dropout(page, form), Streaks.of(page.grey)
    cuts = _cuts(grey, cells, transform)
    ink = usual_ink([group.cuts for group in cuts if group.read])
    crops = np.zeros((len(cells), size, size), np.uint8)
    empty, crossed = np.zeros(len(cells), np.bool_), np.zeros(len(cells), np.bool_)
    filled = np.zeros(len(cells))
    for group in cuts:
        found = find_ink(group.cuts, ink, learnt(group.cuts, ink))
        if group.read:
            crops[group.numbers], empty[group.numbers] = normalise_cells(found.grey, size, filters)
            crossed[group.numbers] = crossed_out(found.mask, found.boxes, group.cuts.size)
        else:
            filled[group.numbers] = found.mask.mean(axis=(1, 2))
    read = np.array([cell.field.read for cell in cells], np.bool_)
    return PageCells(
        crops[read],
        empty[read],
        crossed[read],
        _streaked(streaks, cells, transform)[read],
        located,
        page_number,
        _pixel_boxes(fields, boxes, located.transform),
        _by_field(cells, filled),
        _cut_strips(grey, strips, transform, ink if read.any() else None),
        _streaked(streaks, strips, transform),
    )


def _cut_strips(
    grey: Grey, strips: Sequence[_Cell], transform: Matrix, ink: float | None
) -> tuple[Strip, ...]:
    return tuple(cut_strips(grey, transform, [(each.box, each.lined) for each in strips], ink))


def _streaked(streaks: Streaks, cells: Sequence[_Cell], transform: Matrix) -> NDArray[np.bool_]:
    if not streaks.any:
        return np.zeros(len(cells), np.bool_)
    return np.array(
        [streaks.run_through(apply(transform, corners(cell.box))) for cell in cells], np.bool_
    )


@dataclass(frozen=True)
class _Cell:
    """A cell of a page: its field, its box where it was found, whether that box is printed."""

    field: FormField
    box: Box
    lined: bool

    def like(self, other: _Cell) -> bool:
        """Whether both can be cut to one size; boxes measured by hand differ a little."""
        return (
            (self.field.read, self.lined) == (other.field.read, other.lined)
            and abs(self.box[2] - other.box[2]) <= _ALIKE * other.box[2]
            and abs(self.box[3] - other.box[3]) <= _ALIKE * other.box[3]
        )


@dataclass(frozen=True)
class _Group:
    """Cells of one size: their ``numbers`` among the page's, and what was cut."""

    numbers: list[int]
    read: bool
    cuts: Cuts


def _cells(fields: Sequence[FormField], boxes: Sequence[list[Box]], lined: bool) -> list[_Cell]:
    """All cells of a page, in the order of its fields; ``boxes`` are each field's."""
    return [
        _Cell(field, box, lined and field.lined)
        for field, mine in zip(fields, boxes, strict=True)
        if field.type != "image"
        for box in mine
    ]


def _by_field(cells: Sequence[_Cell], filled: NDArray[np.float64]) -> dict[str, tuple[float, ...]]:
    shares = dict[str, tuple[float, ...]]()
    for cell, share in zip(cells, filled.tolist(), strict=True):
        if not cell.field.read:
            shares[cell.field.name] = (*shares.get(cell.field.name, ()), share)
    return shares


def enough_pixels(form: Form) -> float:
    """Pixels along a page's longer side from which its cells need not be enlarged.

    Infinite if the template does not have the page's size.
    """
    needed = [_needed(each) for each in form.all_fields if each.read]
    if form.page.unit != "mm" or not form.page.width or not form.page.height or not needed:
        return np.inf
    return max(needed) * max(form.page.width, form.page.height)


def _needed(each: FormField) -> float:
    """Pixels by a unit of the template for a field: cells by their longer side, strips by height.

    A cell is not enlarged then, nor a strip.
    """
    if each.strip:
        return max(SHORTEST_STRIP / h for *_, h in _boxes(each))
    return max(SHORTEST / max(w, h) for *_, w, h in _boxes(each))


def too_coarse(page: Page, form: Form, page_number: int, located: Located) -> bool:
    """Whether cells would be enlarged though the file has more pixels: a sheet on a table."""
    if page.step == 1:
        return False
    transform = np.asarray(inverse(page.to_file) @ located.transform, np.float64)
    read = [each for each in form.page_fields(page_number) if each.read]
    boxes = [box for each in read if not each.strip for box in _boxes(each)]
    # In perspective, the first or the last cell is the smallest.
    return any(cutting_size(transform, box)[1] < 1 for box in (boxes[:1] + boxes[-1:])) or any(
        strip_size(transform, _boxes(each)[0])[1] < 1 for each in read if each.strip
    )


def _boxes(field: FormField) -> Sequence[Box]:
    return field.cells.rectangles()


def _without_dropout(page: Page, form: Form) -> Grey:
    if form.dropout and page.colour is not None:
        return without_colours(page.grey, page.colour, form.dropout)
    return page.grey


def _cuts(grey: Grey, cells: Sequence[_Cell], transform: Matrix) -> list[_Group]:
    """Cut all cells of a page, grouped by size."""
    groups: list[list[int]] = []
    for number, cell in enumerate(cells):
        for numbers in groups:
            if cell.like(cells[numbers[0]]):
                numbers.append(number)
                break
        else:
            groups.append([number])
    sizes = []
    fineness = np.inf
    for numbers in groups:
        # The size of a cell in the middle of the group, whatever the perspective.
        x, y = np.mean([cells[number].box[:2] for number in numbers], axis=0).tolist()
        size, shrinks = cutting_size(transform, (x, y, *cells[numbers[0]].box[2:]))
        fineness = min(fineness, shrinks)
        sizes.append(size)
    if _TOO_FINE <= fineness < np.inf:
        grey, transform = reduced(grey, transform, int(fineness))
    return [
        _Group(
            numbers,
            cells[numbers[0]].field.read,
            cut_cells(
                grey,
                transform,
                boxes=[cells[number].box for number in numbers],
                size=size,
                lined=cells[numbers[0]].lined,
            ),
        )
        for numbers, size in zip(groups, sizes, strict=True)
    ]


def _pixel_boxes(
    fields: Sequence[FormField], boxes: Sequence[list[Box]], transform: Matrix
) -> dict[str, PixelBox]:
    """Each field's rectangle on the scan."""
    if not boxes:
        return {}
    x, y, w, h = np.array([box for each in boxes for box in each]).T
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]).transpose(2, 0, 1)
    pixels = apply(transform, corners.reshape(-1, 2))
    starts = 4 * np.cumsum([0, *(len(each) for each in boxes[:-1])])
    low = np.floor(np.minimum.reduceat(pixels, starts)).astype(int).tolist()
    high = np.ceil(np.maximum.reduceat(pixels, starts)).astype(int).tolist()
    return {
        field.name: (left, top, right, bottom)
        for field, (left, top), (right, bottom) in zip(fields, low, high, strict=True)
    }
