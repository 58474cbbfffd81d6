"""Chunk objects that are damaged or gone: what can be saved, and rows for what cannot.

A chunk names a SHA-256 for each image that it carries, and its object's metadata one for all
those names. So a flipped bit costs the one image that it hit; only where the names themselves
are hit, or the object is gone, is the whole chunk lost, and each of its items gets a row that
says so. How many those are, `inkmill.lifecycle.lost` tells.
"""

from __future__ import annotations

import hashlib

from inkmill.backends.store import Store
from inkmill.codes import Code, Status
from inkmill.errors import Corrupt
from inkmill.lifecycle.lost import ChunkLost as ChunkLost
from inkmill.lifecycle.lost import chunk_of
from inkmill.lifecycle.lost import gone as gone
from inkmill.records import rows
from inkmill.records.jobs import Item, Message
from inkmill.records.rows import Row
from inkmill.worker.chunk.isolation import Verdicts
from inkmill.worker.link.task import ChunkResult


def salvage(store: Store, message: Message, error: Corrupt) -> tuple[bytes, Verdicts]:
    """A damaged chunk's bytes, with a verdict on each image hit. Raises ChunkLost or Newer."""
    chunk = chunk_of(store, message.job, message.chunk, error)
    words = "the image was damaged in the store: submit it again"
    hit = (position for position, item in enumerate(chunk.items) if not _is_whole(item))
    return error.data, dict.fromkeys(hit, (Code.QUARANTINED, words))


def _is_whole(item: Item) -> bool:
    if item.code is not None:
        return True
    if item.key:
        return not item.key.startswith("image:") or item.key == f"image:{item.sha256}"
    return hashlib.sha256(item.data).hexdigest() == item.sha256


def rows_of(lost: ChunkLost) -> ChunkResult:
    """An error row for each item of a lost chunk: which image it was is not known any more."""
    made = [_row(number, str(lost)) for number in lost.items]
    counts = rows.count(made)
    given_up = {row.item: (str(row.code), row.message) for row in made}
    return ChunkResult(
        rows.encode(made), counts.rows, counts.statuses, counts.codes, {}, given_up=given_up
    )


def _row(number: int, words: str) -> Row:
    return Row(number, "", status=Status.ERROR, code=Code.QUARANTINED, message=words)
