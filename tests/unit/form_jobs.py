"""Jobs of forms as submit and workers leave them, without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image

from inkmill import names
from inkmill.records import rows
from inkmill.records.chunks import DIGEST, ITEMS, Chunk, Item, combine
from inkmill.records.image_ref import JobFile
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.template.form import Form
from tests.fakes import FakeCluster

#: Template millimetres to pixels of the page that `page_png` draws.
SCALE = 4.0
TRANSFORM = (SCALE, 0.0, 0.0, 0.0, SCALE, 0.0, 0.0, 0.0, 1.0)


@cache
def page_png(shade: int) -> bytes:
    """A page of which the first field's first cell is black, or nearly."""
    grey = np.full((round(297 * SCALE), round(210 * SCALE)), 250, np.uint8)
    grey[round(30 * SCALE) : round(33 * SCALE), round(20 * SCALE) : round(23 * SCALE)] = shade
    buffer = BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


def finished_job(
    cluster: FakeCluster,
    template: Form,
    pages: Sequence[Row],
    name: str = "tally",
    chunk_size: int = 2,
    file: bytes = b"",
) -> str:
    """A job as submit and workers leave it: record, chunks and results.

    Each page is a picture of its own, or all of them are pages of ``file``.
    """
    digest = sha256(file).hexdigest()
    if file:
        cluster.store.put(names.image(name, digest), file)
    digests, sizes = [], []
    for number, start in enumerate(range(0, len(pages), chunk_size)):
        part = [replace(each, transform=TRANSFORM) for each in pages[start : start + chunk_size]]
        items = tuple(
            Item(e.item, e.source, e.page, ref=JobFile(digest), sha256=digest)
            if file
            else Item(e.item, e.source, e.page, page_png(e.item % 5))
            for e in part
        )
        chunk = Chunk(name, number, items)
        about = {DIGEST: chunk.digest, ITEMS: str(len(items))}
        cluster.store.put(names.chunk(name, number), chunk.encode(), metadata=about)
        cluster.store.put(names.result(name, number), rows.encode(part))
        digests.append(chunk.digest)
        sizes.append(len(items))
    record = Job(name, 1.0, form=template.to_text(), form_name=template.name)
    record = replace(record, form_hash=template.hash)
    record = record.seal(sizes, combine(digests))
    cluster.keep(record)
    return name
