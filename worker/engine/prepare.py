"""From an item's bytes to crops: decode, register, cut, normalise; or an error row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.choosing import choose
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.reader import PageCells, cut_page, enough_pixels, too_coarse
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Item
from inkmill.records.rows import Row
from inkmill.template.form import Form
from inkmill.template.templates import Templates

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


@lru_cache(maxsize=32)
def parse_templates(text: str) -> Templates:
    """A job's templates; they were validated at submit."""
    return Templates.parse(text)


def prepare(
    item: Item, data: bytes, templates: Templates, recipe: Recipe, limits: Limits
) -> Prepared:
    """Decode one page and cut its crops. Never raises for bad input: the row has its code."""
    row = row_of(item)
    form = templates.only
    if item.code is not None:
        return _failed(row, recipe, form, (item.code, item.message))
    page: Page | None = None
    try:
        enough = max(map(enough_pixels, templates))
        page = decode_page(data, item.page, limits, templates.needs_colour, enough)
        found = _locate(page, templates, item.page)
        if found is None:
            page = decode_page(data, item.page, limits, templates.needs_colour)
            found = _locate(page, templates, item.page)
        assert found is not None  # None is never the answer for the whole page
        form, number, located = found
        cells = cut_page(page, form, number, recipe.size, recipe.filters, located)
        return Prepared(row, cells.crops, cells, form)
    except Exception as error:
        return _failed(row, recipe, form, verdict_on(error), _small(page) if page else b"")


def _locate(page: Page, templates: Templates, position: int) -> tuple[Form, int, Located] | None:
    """The template, its page number, and where it is; None if full resolution is needed.

    At half resolution faint lines may be lost, and the cells of a sheet photographed on a table may
    be too small. Raises ItemError where the page is not located at full resolution either.
    """
    try:
        choice = choose(page, templates, position)
        form, number = choice.side.form, choice.side.number
        located = choice.located or locate(page, form, number)
    except ItemError:
        if page.step == 1:
            raise
        return None
    return None if too_coarse(page, form, number, located) else (form, number, located)


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
    none = np.empty((0, recipe.size, recipe.size), np.uint8)
    return Prepared(row.failed(*why), none, form=form, picture=picture)


#: Longest side of the evidence picture in pixels: enough to see what is wrong with a page.
_PICTURE = 800


def _small(page: Page) -> bytes:
    import cv2

    scale = min(1.0, _PICTURE / max(page.grey.shape))
    small = cv2.resize(page.grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ok, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return encoded.tobytes() if ok else b""
