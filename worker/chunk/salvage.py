"""Chunk objects that are damaged or missing: what can be saved, and rows for what cannot.

A chunk carries the SHA-256 of each of its images, and the object's metadata a digest of the chunk's
items. So a flipped bit costs the one image that it hit. Only where the list of items itself is
damaged, or the object is missing, is the whole chunk lost, and each of its items gets a row that
says so; `inkmill.lifecycle.lost` finds out which items those are.
"""

from __future__ import annotations

import hashlib

from inkmill.backends.store import Store
from inkmill.codes import Code, Status
from inkmill.errors import Corrupt, Newer
from inkmill.lifecycle.lost import ChunkLost as ChunkLost
from inkmill.lifecycle.lost import chunk_of
from inkmill.lifecycle.lost import gone as gone
from inkmill.lifecycle.lost import replaced as replaced
from inkmill.records import rows
from inkmill.records.chunks import Item
from inkmill.records.image_ref import JobFile
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.records.rows import Row
from inkmill.worker.chunk.isolation import Verdicts
from inkmill.worker.link import ChunkResult


def salvage(store: Store, job: Job, message: Message, error: Corrupt) -> tuple[bytes, Verdicts]:
    """A damaged chunk's bytes, and a verdict on each damaged image.

    Raises ChunkLost or Newer, and Corrupt where nothing says which items it had.
    """
    try:
        chunk = chunk_of(store, message.job, message.chunk, error)
    except Newer:
        raise
    except Corrupt as unknown:
        if not job.sealed:
            raise
        raise ChunkLost(str(error), job.items_of(message.chunk)) from unknown
    if job.sealed and [each.item for each in chunk.items] != list(job.items_of(message.chunk)):
        raise replaced(job, message.chunk) from error
    words = "the image was damaged in the store: submit it again"
    hit = (position for position, item in enumerate(chunk.items) if not _is_whole(item))
    return error.data, dict.fromkeys(hit, (Code.QUARANTINED, words))


def _is_whole(item: Item) -> bool:
    if item.code is not None:
        return True
    if item.ref is not None:
        return not isinstance(item.ref, JobFile) or item.ref.digest == item.sha256
    return hashlib.sha256(item.data).hexdigest() == item.sha256


def rows_of(lost: ChunkLost) -> ChunkResult:
    """An error row for each item of a lost chunk; nobody knows any more which image it was."""
    made = [_row(number, str(lost)) for number in lost.items]
    counts = rows.count(made)
    given_up = {row.item: (str(row.code), row.message) for row in made}
    return ChunkResult(
        rows.encode(made), counts.rows, counts.statuses, counts.codes, {}, given_up=given_up
    )


def _row(number: int, words: str) -> Row:
    return Row(number, "", status=Status.ERROR, code=Code.QUARANTINED, message=words)
