"""From an item's bytes to crops: decode, register, cut, normalise; or an error row."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import Code, PageBy
from inkmill.errors import ItemError
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.choosing import ChosenSide, choose
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.reader import PageCells, cut_page, enough_pixels, too_coarse
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Item
from inkmill.records.rows import Row
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine.stages import Stages
from inkmill.worker.link import CUT, DECODE, LOCATE

Crops = NDArray[np.uint8]
#: Why there is no reading: a code, and words for the user.
Verdict = tuple[Code, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model wants its crops: edge length in pixels and filters, from its manifest."""

    size: int
    filters: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item between decoding and reading: its crops, uint8 (n, size, size), and its row so far.

    ``row`` is final where it has a code; ``cells`` is set for form pages, and ``form`` where it is
    known; ``picture`` is a small JPEG of a page that could not be located.
    """

    row: Row
    crops: Crops
    cells: PageCells | None = None
    form: Form | None = None
    picture: bytes = b""

    @property
    def strips(self) -> list[Crops]:
        """The page's numbers without cells in which something is written."""
        return self.cells.strip_pictures if self.cells is not None else []


@lru_cache(maxsize=32)
def parse_templates(text: str) -> Templates:
    """A job's templates; they were validated at submit."""
    return Templates.parse(text)


def prepare(
    item: Item,
    data: bytes,
    templates: Templates,
    recipe: Recipe,
    limits: Limits,
    stages: Stages | None = None,
) -> Prepared:
    """Decode one page and cut its crops. Never raises for bad input: the row has its code."""
    if item.code is not None:
        return _failed(row_of(item), recipe, templates.only, (item.code, item.message))
    sighting = _Sighting(item, templates, stages or Stages())
    try:
        located = sighting.locate(data, limits)
        return sighting.cut(located, recipe)
    except Exception as error:
        picture = _small(sighting.page) if sighting.page else b""
        return _failed(sighting.row, recipe, sighting.form, verdict_on(error), picture)


class _Sighting:
    """What is known of a page so far: also of one that cannot be located, if its code was read."""

    def __init__(self, item: Item, templates: Templates, stages: Stages) -> None:
        self._stages = stages
        self._item = item
        self._templates = templates
        self.row = row_of(item)
        self.form = templates.only
        self.page: Page | None = None
        self._coded: ChosenSide | None = None

    def locate(self, data: bytes, limits: Limits) -> Located | None:
        """Where its template lies; None for a page of the form that has no fields.

        At half resolution faint lines and fine codes may be lost, and the cells of a sheet
        photographed on a table may be too small: then the page is decoded at full resolution.
        Raises ItemError.
        """
        position, colour = self._item.page, self._templates.needs_colour
        for enough in (max(map(enough_pixels, self._templates)), np.inf):
            began = time.perf_counter()
            self.page = page = decode_page(data, position, limits, colour, enough)
            began = self._stages.add(DECODE, began, self._item.item)
            try:
                choice = self._choose(page)
                form, number = choice.side.form, choice.side.number
                if choice.by is PageBy.CODE and not form.page_fields(number):
                    return None
                located = choice.located or locate(page, form, number)
            except ItemError:
                if page.step == 1:
                    raise
                continue
            finally:
                self._stages.add(LOCATE, began, self._item.item)
            text = choice.text or located.code
            unread = form.registration_of(number).code is not None and not text
            if page.step == 1 or not (unread or too_coarse(page, form, number, located)):
                self._note(choice, text)
                return located
        raise AssertionError("the last resolution is the full one")

    def _choose(self, page: Page) -> ChosenSide:
        """The page's side; one that its code named once stays what it is."""
        if self._coded is not None:
            return self._coded
        choice = choose(page, self._templates, self._item.page)
        if choice.by is PageBy.CODE:
            # A look or a turn proves nothing until the page is located.
            self._note(choice, choice.text)
            self._coded = replace(choice, located=None)
        return choice

    def cut(self, located: Located | None, recipe: Recipe) -> Prepared:
        """The crops of a located page."""
        assert self.page is not None
        assert self.form is not None
        if located is None:
            return Prepared(self.row, _no_crops(recipe), form=self.form)
        number, size, began = self.row.form_page, recipe.size, time.perf_counter()
        cells = cut_page(self.page, self.form, number, size, recipe.filters, located)
        self._stages.add(CUT, began, self._item.item)
        return Prepared(self.row, cells.crops, cells, self.form)

    def _note(self, choice: ChosenSide, text: str) -> None:
        self.form, number = choice.side.form, choice.side.number
        key = self.row.document_key or self.form.key_of_code(text, number)
        self.row = replace(self.row, document_key=key, form_page=number, page_by=choice.by)


def row_of(item: Item) -> Row:
    """The part of an item's row that is known before it is read."""
    return Row(
        item=item.item,
        source=item.source,
        page=item.page,
        document_key=item.document_key,
        sha256=item.sha256,
    )


def verdict_on(error: Exception) -> Verdict:
    """Code and words for the row of an item whose reading ended with this error.

    A bug in Inkmill or in a decoder that shows on one input must not stop its neighbours: the row
    says so, and the log has the traceback.
    """
    if isinstance(error, ItemError):
        return error.code, error.message
    if isinstance(error, MemoryError):
        words = "the image needs more memory than is available: scan it at a lower resolution"
        return Code.TOO_LARGE, words
    log.error("an item failed", exc_info=error)
    return Code.CRASHED, f"reading failed: {type(error).__name__}: {error}"


def _failed(
    row: Row, recipe: Recipe, form: Form | None, why: Verdict, picture: bytes = b""
) -> Prepared:
    return Prepared(row.failed(*why), _no_crops(recipe), form=form, picture=picture)


def _no_crops(recipe: Recipe) -> Crops:
    return np.empty((0, recipe.size, recipe.size), np.uint8)


#: Longest side of the evidence picture in pixels: enough to see what is wrong with a page.
_PICTURE = 800


def _small(page: Page) -> bytes:
    import cv2

    scale = min(1.0, _PICTURE / max(page.grey.shape))
    small = cv2.resize(page.grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ok, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return encoded.tobytes() if ok else b""
