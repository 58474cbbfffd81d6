"""What was given up: images that engines or workers died of, and chunks that were lost.

The evidence is written by workers, one object for each chunk. ``retry`` takes the chunk's rows
away and has it read again, as after an update that mends what it died of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.backends.store import delete_prefix
from inkmill.errors import Corrupt, NotFound, UsageError
from inkmill.lifecycle import reconcile
from inkmill.producer.connection import Connection, connect
from inkmill.producer.tables.originals import file_of
from inkmill.records import rows
from inkmill.records.jobs import Chunk, Item

if TYPE_CHECKING:
    from inkmill.settings import Settings


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One item that was given up; ``time`` in seconds since the epoch."""

    job: str
    chunk: int
    item: int
    source: str
    page: int
    code: str
    message: str
    time: float


def given_up(
    job: str | None = None,
    *,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> Iterator[GivenUp]:
    """Items that were given up, of one job or of all. Raises NotFound for an unknown job."""
    connection = connection or connect(settings)
    if job is not None:
        reconcile.load_job(connection.store, job)
        yield from _of_job(connection, job)
        return
    for folder in connection.store.folders(names.JOBS):
        yield from _of_job(connection, folder.removeprefix(names.JOBS).rstrip("/"))


def _of_job(connection: Connection, job: str) -> Iterator[GivenUp]:
    for entry in connection.store.list(names.quarantine(job)):
        number = names.number_of(entry.key)
        try:
            record = json.loads(connection.store.get(entry.key).data)
            result = connection.store.get(names.result(job, number)).data
        except NotFound:
            continue  # it is being read again, or was deleted
        read = {row.item: row for row in rows.decode(result)}
        for each in record["items"]:
            row = read.get(each["item"])
            if row is not None and row.code == each["code"]:
                yield GivenUp(
                    *(job, number, row.item, row.source, row.page),
                    code=each["code"],
                    message=each["message"],
                    time=record["time"],
                )


def image(connection: Connection, job: str, number: int) -> tuple[Item, bytes]:
    """An item of a job and its file's bytes, to look at. Raises NotFound or Corrupt."""
    record = reconcile.load_job(connection.store, job)
    for chunk in range(record.chunks):
        about = connection.store.head(names.chunk(job, chunk)) or {}
        first = int(about.get("first", -1))
        if first <= number < first + int(about.get("items", 0)):
            item = _item(connection, job, chunk, number)
            if not item.key:
                return item, item.data
            if data := file_of(connection, job, item.key):
                return item, data
            raise NotFound(f"item {number} of job {job}: its scan is not kept any more")
    raise NotFound(f"job {job} has no item {number}, or its chunk is gone")


def _item(connection: Connection, job: str, chunk: int, number: int) -> Item:
    try:
        data = connection.store.get(names.chunk(job, chunk)).data
    except Corrupt as error:
        data = error.data
    found = (item for item in Chunk.decode(data).items if item.item == number)
    return next(found)


def retry(
    job: str,
    chunks: Sequence[int] = (),
    *,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> list[int]:
    """Read chunks with given-up items again, those named or all; returns their numbers.

    The job runs until they have their rows; whatever else it has stays. Killed in the middle,
    it is done by calling it again. Raises NotFound, or UsageError for a cancelled job or a
    chunk of which nothing was given up.
    """
    connection = connection or connect(settings)
    store, queue = connection.store, connection.queue
    record = reconcile.load_job(store, job)
    if reconcile.is_cancelled(store, job):
        raise UsageError(f"job {job} was cancelled: submit its images again with --new-revision")
    known = [names.number_of(entry.key) for entry in store.list(names.quarantine(job))]
    if strange := sorted(set(chunks) - set(known)):
        raise UsageError(f"job {job}: nothing was given up in chunk {strange[0]}")
    chosen = sorted(chunks or known)
    if not chosen:
        return []
    # The marker first, so that any sweep sees the job; the results before the summary, so that
    # none takes it for finished; the evidence last, so that this can be done again.
    store.put(names.open_marker(job), b"")
    for number in chosen:
        delete_prefix(store, names.attempts_of(job, number))
        queue.settle(job, number)
    store.delete([names.result(job, number) for number in chosen])
    store.delete([names.job_summary(job)])
    queue.recount(job)
    store.delete([names.quarantined(job, number) for number in chosen])
    queue.offer(job, chosen)
    queue.feed(job, record.options.priority)
    return chosen
