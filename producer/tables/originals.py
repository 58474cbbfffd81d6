"""The scans behind a job's rows, while they are kept, and pictures of their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import ItemError, NotFound, StoreDenied
from inkmill.producer.connection import Connection
from inkmill.producer.overlap import overlapped
from inkmill.records.chunks import ITEMS, Chunk, Item
from inkmill.records.image_ref import ImageRef, JobFile
from inkmill.records.jobs import Job

if TYPE_CHECKING:
    from inkmill.template.form import Form

#: A field of a row: its name, and the transform by which the row's page was located.
Place = tuple[str, tuple[float, ...]]
#: Cuts fields out of page N of a file: `inkmill.forms.cut.recut.cut_again`. It needs OpenCV, which
#: a producer does not load by itself.
Cutter = Callable[[bytes, int, "Form", Sequence[Place]], list[bytes]]

_THREADS, _AHEAD = 6, 24


def originals(
    connection: Connection, record: Job, wanted: Sequence[int]
) -> Iterator[tuple[Item, bytes]]:
    """The items with these numbers and their files, in order; empty bytes if a file is gone."""
    for number, items in _chunks_of(connection, record, sorted(set(wanted))):
        try:
            chunk = Chunk.decode(connection.store.get(names.chunk(record.job, number)).data)
        except NotFound:
            continue  # the pages were deleted, the values kept
        files: dict[ImageRef, bytes] = {}
        for item in chunk.items:
            if item.item in items:
                if item.ref and item.ref not in files:
                    files = {item.ref: file_of(connection, record.job, item.ref)}
                yield item, files[item.ref] if item.ref else item.data


def pictures(
    connection: Connection,
    record: Job,
    forms: Mapping[int, Form],
    wanted: Mapping[int, Sequence[Place]],
    cut: Cutter,
) -> Iterator[tuple[int, list[bytes]]]:
    """For each item the pictures (PNG) of its wanted fields; none if its file is gone."""
    for item, data in originals(connection, record, list(wanted)):
        try:
            found = cut(data, item.page, forms[item.item], wanted[item.item]) if data else []
        except ItemError:
            found = []  # the user's own bucket may hold another file by now
        yield item.item, found


def _chunks_of(
    connection: Connection, record: Job, wanted: Sequence[int]
) -> Iterator[tuple[int, set[int]]]:
    """The chunks that hold these items.

    The record of a sealed job tells; as long as a job is uploaded, each chunk's HEAD has its count.
    """
    if record.sealed:
        by_chunk = groupby(wanted, record.chunk_of)
        yield from ((number, set(items)) for number, items in by_chunk if number is not None)
        return

    def count(number: int) -> int:
        about = connection.store.head(names.chunk(record.job, number))
        return int(about[ITEMS]) if about and ITEMS in about else -1

    first, left = 0, list(wanted)
    counts = overlapped(count, range(record.chunks), threads=_THREADS, ahead=_AHEAD)
    for number, held in enumerate(counts):
        if not left:
            return
        if held < 0:  # deleted: no picture is left
            return
        inside = {item for item in left if first <= item < first + held}
        if inside:
            yield number, inside
            left = [item for item in left if item not in inside]
        first += held


def file_of(connection: Connection, job: str, ref: ImageRef) -> bytes:
    """The file that an item's reference names; empty if it is gone or cannot be read."""
    try:
        if isinstance(ref, JobFile):
            return connection.store.get(names.image(job, ref.digest)).data
        # Not `get`, which expects our metadata: users may have a "sha256" of their own.
        most = connection.settings.max_file_bytes
        return connection.bucket(ref.bucket).get_limited(ref.key, most)
    except (NotFound, StoreDenied, ItemError):
        return b""
