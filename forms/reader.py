"""A page's cells as crops for the model: located, cut, cleaned, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.form import Form, FormField
from inkmill.forms.cells import Cut, cut_cell, cutting_scale, find_ink, usual_ink
from inkmill.forms.crossing import crossed_out
from inkmill.forms.dropout import without_colours
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.forms.guides import learnt
from inkmill.forms.intake import Page
from inkmill.forms.normalise import normalise
from inkmill.forms.overview import shrunk
from inkmill.forms.registration import Located, locate

Grey = NDArray[np.uint8]
PixelBox = tuple[int, int, int, int]

#: A page is reduced before cells are cut when it has this many times the pixels they need.
_TOO_FINE = 2.0


@dataclass(frozen=True)
class PageCells:
    """What the model is to read of one page, in the order of ``form.cells(page_number)``.

    ``crops`` uint8 (n, size, size), white ink on black; ``empty`` bool (n,): nothing written,
    the crop is black; ``crossed`` bool (n,): an X from corner to corner;
    ``registration`` where the template lies; ``boxes`` each field's
    rectangle on the scan in pixels (left, top, right, bottom); ``filled`` for each checkbox
    field the darkness of its boxes, 0 to 1.
    """

    crops: Grey
    empty: NDArray[np.bool_]
    crossed: NDArray[np.bool_]
    registration: Located
    page_number: int
    boxes: dict[str, PixelBox]
    filled: dict[str, tuple[float, ...]]


def cut_page(
    page: Page,
    form: Form,
    page_number: int = 1,
    size: int = 28,
    filters: Sequence[dict[str, Any]] = (),
    located: Located | None = None,
) -> PageCells:
    """Register a page, cut its cells and normalise them.

    ``located`` is where the template lies, if that is known already (`choose`, `locate_by_hand`).
    Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE, CUT_OFF or WRONG_SIZE.
    """
    located = located or locate(page, form, page_number)
    fields = form.page_fields(page_number)
    lined = form.registration_of(page_number).lines
    cuts = _cuts(_without_dropout(page, form), fields, located, lined)
    ink = usual_ink([cut for field, cut in cuts if field.read])
    crops, empty, crossed, filled = [], [], [], dict[str, list[float]]()
    guides = learnt([cut for _, cut in cuts], ink)
    for (field, cut), printed in zip(cuts, guides, strict=True):
        found = find_ink(cut, ink, printed)
        if not field.read:
            filled.setdefault(field.name, []).append(float(found.mask.mean()))
            continue
        crop = None if found.empty else normalise(found.grey, size, filters)
        empty.append(crop is None)
        crossed.append(crossed_out(found.mask, cut.right - cut.left, cut.bottom - cut.top))
        crops.append(np.zeros((size, size), np.uint8) if crop is None else crop)
    return PageCells(
        np.stack(crops) if crops else np.zeros((0, size, size), np.uint8),
        np.array(empty, np.bool_),
        np.array(crossed, np.bool_),
        located,
        page_number,
        {field.name: _pixel_box(field, located, number) for number, field in enumerate(fields)},
        {name: tuple(shares) for name, shares in filled.items()},
    )


def _without_dropout(page: Page, form: Form) -> Grey:
    if form.dropout and page.colour is not None:
        return without_colours(page.grey, page.colour, form.dropout)
    return page.grey


def _cuts(
    grey: Grey, fields: Sequence[FormField], located: Located, lined: bool
) -> list[tuple[FormField, Cut]]:
    """All cells of a page, in the order of its fields."""
    jobs = []
    fineness = np.inf
    for number, field in enumerate(fields):
        if field.type == "image":
            continue
        boxes = [_moved(box, located, number) for box in field.cells.rectangles()]
        scale, shrinks = cutting_scale(located.transform, boxes[0])
        fineness = min(fineness, shrinks)
        jobs.append((field, boxes, scale))
    transform = located.transform
    if fineness >= _TOO_FINE:
        grey, transform = _reduced(grey, transform, int(fineness))
    return [
        (field, cut_cell(grey, transform, box, scale, lined and field.lined))
        for field, boxes, scale in jobs
        for box in boxes
    ]


def _reduced(grey: Grey, transform: Matrix, step: int) -> tuple[Grey, Matrix]:
    small = shrunk(grey, step)
    part = 1.0 / step
    shrink = np.array([[part, 0, (part - 1) / 2], [0, part, (part - 1) / 2], [0, 0, 1]])
    return small, shrink @ transform


def _moved(
    box: tuple[float, float, float, float], located: Located, number: int
) -> tuple[float, float, float, float]:
    """The box where its field's own lines were seen."""
    dx, dy = located.move_of(number)
    return box[0] + dx, box[1] + dy, box[2], box[3]


def _pixel_box(field: FormField, located: Located, number: int) -> PixelBox:
    points = np.vstack(
        [
            apply(located.transform, corners(_moved(box, located, number)))
            for box in field.cells.rectangles()
        ]
    )
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
