"""Reading one page in this process, with corners that a person gave."""

from __future__ import annotations

from collections.abc import Sequence

from inkmill.errors import UsageError
from inkmill.forms.intake import decode_page
from inkmill.forms.locate.registration import locate_by_hand
from inkmill.forms.reader import cut_page
from inkmill.imagefile.sniff import Limits
from inkmill.models.predictor import Predictor
from inkmill.models.weights import ModelFiles
from inkmill.records.chunks import Item
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.prepare import Prepared, parse_templates, row_of


def read_with_corners(
    settings: Settings,
    job: Job,
    item: Item,
    data: bytes,
    files: ModelFiles,
    corners: Sequence[tuple[float, float]],
    name: str | None = None,
    number: int | None = None,
) -> Row:
    """The row of a form page whose four corners are known; see `locate_by_hand` in
    `inkmill.forms.locate.registration`.

    ``name`` is one of the job's templates, ``number`` the page of it (by default by its position in
    its file). Raises ItemError where the page cannot be decoded or the
    corners make no page, UsageError where the template is not clear.
    """
    templates, manifest = parse_templates(job.form), files.manifest
    form = templates.only if name is None else templates.of_name(name)
    if form is None:
        raise UsageError(f"name the template of this page with --form: one of {templates.name}")
    number = number or (item.page - 1) % form.page_count + 1
    if number > form.page_count:
        raise UsageError(f"{form.name} has no page {number}: it has {form.page_count}")
    limits = Limits(settings.max_pixels, settings.max_pages)
    page = decode_page(data, item.page, limits, colour=form.needs_colour)
    located = locate_by_hand(page, form, number, corners)
    cells = cut_page(page, form, number, manifest.input_size, manifest.filters, located)
    predictor = Predictor(manifest, files.weights, shapes=(64,))
    reader = Reader(manifest.classes, manifest.version, predictor.precision, settings.confidence)
    prepared = Prepared(row_of(item), cells.crops, cells, form)
    return reader.row(prepared, predictor.predict(cells.crops), form)
