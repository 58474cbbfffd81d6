"""Reading single pages in this process: with corners that a person gave, or to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from inkmill.codes import PageBy
from inkmill.errors import UsageError
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.choosing import ChosenSide, Side, choose_by_code
from inkmill.forms.locate.registration import Located, locate_by_hand
from inkmill.forms.reader import cut_page
from inkmill.imagefile.sniff import Limits
from inkmill.models.predictor import Predictor
from inkmill.models.strips import ReadsStrips
from inkmill.models.weights import ModelFiles
from inkmill.records.chunks import Item
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.prepare import Prepared, parse_templates, row_of
from inkmill.worker.engine.strip_readers import read_together


class PageReader:
    """Reads single pages of forms in this process.

    The models are loaded with the first page, since that takes seconds, and then kept. ``strips``
    is the model that reads numbers without cells, needed if a template has any.
    """

    def __init__(
        self, files: ModelFiles, confidence: float, strips: ModelFiles | None = None
    ) -> None:
        self._files = files
        self._confidence = confidence
        self._strips = strips

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self._files.manifest, self._files.weights, shapes=(64,))

    @cached_property
    def _strip_reader(self) -> ReadsStrips | None:
        if self._strips is None:
            return None
        from inkmill.models.strips import StripReader

        return StripReader(self._strips.manifest, self._strips.weights)

    def read(self, row: Row, page: Page, form: Form, number: int, located: Located) -> Row:
        """The row of page ``number`` of the form, which lies where ``located`` says.

        ``row`` holds what is known of the page so far. Raises ItemError.
        """
        manifest = self._files.manifest
        cells = cut_page(page, form, number, manifest.input_size, manifest.filters, located)
        predictor = self._predictor
        reader = Reader(
            manifest.classes,
            manifest.version,
            predictor.precision,
            self._confidence,
            self._strips.manifest.version if self._strips is not None else "",
        )
        (strings,) = read_together([(self._strip_reader, cells.strip_pictures)])
        prepared = Prepared(row, cells.crops, cells, form)
        return reader.row(prepared, predictor.predict(cells.crops), form, strings)


def read_with_corners(
    reader: PageReader,
    settings: Settings,
    job: Job,
    item: Item,
    data: bytes,
    corners: Sequence[tuple[float, float]],
    name: str | None = None,
    number: int | None = None,
) -> Row:
    """The row of a form page whose four corners are known; see `locate_by_hand` in
    `inkmill.forms.locate.registration`.

    ``name`` is one of the job's templates, ``number`` the page of it (by default as its page code
    says, else by its position in its file). Raises ItemError where the page cannot be decoded or
    the corners make no page, UsageError where the template is not clear, or the page's code says
    another page.
    """
    templates = parse_templates(job.form)
    limits = Limits(settings.max_pixels, settings.max_pages)
    page = decode_page(data, item.page, limits, templates.needs_colour)
    chosen = _side(page, templates, item, name, number)
    form, number = chosen.side.form, chosen.side.number
    located = locate_by_hand(page, form, number, corners)
    row = row_of(item)
    key = row.document_key or form.key_of_code(chosen.text, number)
    row = replace(row, document_key=key, page_by=chosen.by)
    return reader.read(row, page, form, number, located)


def _side(
    page: Page, templates: Templates, item: Item, name: str | None, number: int | None
) -> ChosenSide:
    """The template and the page of it that a person means; a page code must not say otherwise."""
    form = templates.only if name is None else templates.of_name(name)
    coded = choose_by_code(page, templates)
    if coded is not None:
        side = coded.side
        if (form or side.form).name != side.form.name or number not in (None, side.number):
            raise UsageError(
                f"the page code says {coded.text!r}, which is {side.words}: leave out --form and "
                "--page"
            )
        return coded
    if form is None:
        raise UsageError(f"name the template of this page with --form: one of {templates.name}")
    by = PageBy.LOOK if number or form.page_count == 1 else PageBy.ORDER
    number = number or (item.page - 1) % form.page_count + 1
    if number > form.page_count:
        raise UsageError(f"{form.name} has no page {number}: it has {form.page_count}")
    return ChosenSide(Side(form, number), by)
