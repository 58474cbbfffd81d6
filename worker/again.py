"""One page read again, here and now, with corners that a person gave."""

from __future__ import annotations

from collections.abc import Sequence

from inkmill.forms.intake import decode_page
from inkmill.forms.reader import cut_page
from inkmill.images import Limits
from inkmill.jobs import Item, Job
from inkmill.models.predictor import Predictor
from inkmill.models.weights import ModelFiles
from inkmill.rows import Row
from inkmill.settings import Settings
from inkmill.worker.compose import Reader
from inkmill.worker.prepare import Prepared, page_number, parse_form


def read_again(
    settings: Settings,
    job: Job,
    item: Item,
    data: bytes,
    files: ModelFiles,
    corners: Sequence[tuple[float, float]],
) -> Row:
    """The row of a form page whose four corners are known; see `forms.locate_by_hand`.

    Raises ItemError where the page cannot be decoded or the corners make no page.
    """
    form, manifest = parse_form(job.form), files.manifest
    limits = Limits(settings.max_pixels, settings.max_pages)
    page = decode_page(data, item.page, limits, colour=form.needs_colour)
    cells = cut_page(
        page, form, page_number(form, item), manifest.input_size, manifest.filters, corners
    )
    predictor = Predictor(manifest, files.weights, shapes=(64,))
    reader = Reader(manifest.classes, manifest.version, predictor.precision, settings.confidence)
    row = Row(item.item, item.source, item.page, sha256=item.sha256)
    return reader.row(Prepared(row, cells.crops, cells), predictor.predict(cells.crops), form)
