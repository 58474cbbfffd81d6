"""What damaged or missing chunk objects contained: names of items, or at least numbers.

The sealed record says which items each chunk has. A chunk object's metadata tell the digest of
its names, so that names which survived are known to be right.
"""

from __future__ import annotations

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, InkmillError, Newer
from inkmill.records.chunks import DIGEST, FIRST, ITEMS, Chunk, ChunkTable
from inkmill.records.codec import MOST_IN_CHUNK, MOST_ITEMS
from inkmill.records.jobs import Job


class ChunkLost(InkmillError):
    """A chunk cannot be read at all; ``items`` are the numbers of its items."""

    def __init__(self, message: str, items: range) -> None:
        super().__init__(message)
        self.items = items


def chunk_of(store: Store, job: str, number: int, error: Corrupt) -> Chunk:
    """A damaged chunk whose names at least are intact. Raises ChunkLost or Newer."""
    about = store.head(names.chunk(job, number)) or {}
    try:
        first, count = int(about[FIRST]), int(about[ITEMS])
        names_items = 0 <= first <= MOST_ITEMS and 0 <= count <= MOST_IN_CHUNK
    except (KeyError, ValueError):
        names_items = False
    if not names_items:
        raise Corrupt(
            f"chunk {number} of job {job} is damaged, and so is the description of its items: "
            "delete the job and submit it again"
        )
    items = range(first, first + count)
    try:
        chunk = ChunkTable.decode(error.data).chunk()
    except Newer:
        raise
    except Corrupt:
        raise ChunkLost(str(error), items) from error
    if chunk.digest != about.get(DIGEST) or [each.item for each in chunk.items] != list(items):
        raise ChunkLost(str(error), items) from error
    return chunk


def replaced(job: Job, number: int) -> ChunkLost:
    """The error for a chunk that holds other items than the sealed record gives it."""
    return ChunkLost(
        f"the object {names.chunk(job.job, number)} is not this job's chunk: something other than "
        "Inkmill changed it; submit its images again",
        job.items_of(number),
    )


def gone(job: Job, number: int) -> ChunkLost:
    """The error for a chunk whose object is missing, though the sealed record counts it."""
    return ChunkLost(
        f"the object {names.chunk(job.job, number)} is missing from the store: submit its images "
        "again",
        job.items_of(number),
    )
