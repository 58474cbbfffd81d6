"""What chunk objects that are damaged or gone held: their items' names, or at least numbers.

An object's metadata tell the digest of its names, its first item's number and how many items it
has. Where the object is gone, the chunks and rows before and after it bound what it held.
"""

from __future__ import annotations

from collections.abc import Mapping

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, InkmillError, Newer, NotFound
from inkmill.lifecycle.belonging import is_anothers
from inkmill.records import rows
from inkmill.records.jobs import DIGEST, FIRST, ITEMS, Chunk, ChunkTable, Job


class Lost(InkmillError):
    """Nothing of a chunk can be read; ``items`` are the numbers of those that it held."""

    def __init__(self, message: str, items: range) -> None:
        super().__init__(message)
        self.items = items


def chunk_of(store: Store, job: str, number: int, error: Corrupt) -> Chunk:
    """A damaged chunk of which at least the names are whole. Raises Lost or Newer."""
    about = store.head(names.chunk(job, number)) or {}
    try:
        chunk = ChunkTable.decode(error.data).chunk()
    except Newer:
        raise
    except Corrupt:
        raise Lost(str(error), _told(about)) from error
    numbers = [item.item for item in chunk.items]
    if chunk.digest != about.get(DIGEST) or numbers != list(_told(about)):
        raise Lost(str(error), _told(about)) from error
    return chunk


def gone(store: Store, job: Job, number: int) -> Lost:
    """The error for a chunk whose object is not there, though the sealed record counts it.

    Its items lie between those of its neighbours, of which the chunk objects tell, or where
    they are gone too, the rows. Of several without either, the first is given all items of the
    gap, since nobody knows any more how they were shared out; the others wait for its rows, for
    a worker may have read it before it was gone. Raises Corrupt while they do, and where not
    even the neighbours are known.
    """
    key = names.chunk(job.job, number)
    words = f"the object {key} is gone from the store: submit its images again"
    before, is_first = _neighbour(store, job, range(number - 1, -1, -1), key)
    after, _ = _neighbour(store, job, range(number + 1, job.chunks), key)
    gap = range(before.stop if before else 0, after.start if after else job.items)
    if gap and not is_first:
        raise Corrupt(f"the object {key} is gone, and one before it: that one's rows come first")
    return Lost(words, gap)


def _neighbour(store: Store, job: Job, numbers: range, wanted: str) -> tuple[range | None, bool]:
    """The items of the first of these chunks that held any (None: there is none), and whether
    all that were passed over on the way have their rows. Raises Corrupt."""
    settled = True
    for number in numbers:
        about = store.head(names.chunk(job.job, number))
        items = _of_rows(store, job, number) if about is None else _told(about, wanted)
        if items:
            return items, settled
        settled = settled and items is not None
    return None, settled


def _of_rows(store: Store, job: Job, number: int) -> range | None:
    """The items that have rows in a chunk's result; None where there is no result yet."""
    try:
        stored = store.get(names.result(job.job, number))
    except NotFound:
        return None
    if is_anothers(job, stored.metadata):
        return None
    items = [row.item for row in rows.decode(stored.data, heads=True)]
    return range(min(items), max(items) + 1) if items else range(0)


def _told(about: Mapping[str, str], key: str = "") -> range:
    """The items that a chunk object's metadata tell of. Raises Corrupt."""
    try:
        count = int(about[ITEMS])
        first = int(about[FIRST]) if count else 0  # a chunk of none fills a hole after a cancel
    except (KeyError, ValueError):
        raise Corrupt(
            f"nobody knows which items {key or 'the chunk'} held: delete the job, submit it again"
        ) from None
    return range(first, first + count)
