"""Quarantine: images that killed engines or workers, and chunks that were lost.

The evidence is written by workers, one object for each chunk. ``retry`` takes the chunk's rows
away and has it read again, for example after an update that fixes the cause.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.backends.store import delete_prefix
from inkmill.errors import Corrupt, NotFound, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import find_record, job_ids, load_job
from inkmill.lifecycle.marker import mark_open
from inkmill.producer.connection import Connection, connect
from inkmill.producer.tables.originals import file_of
from inkmill.records import rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.evidence import Evidence

if TYPE_CHECKING:
    from inkmill.settings import Settings

log = logging.getLogger(__name__)


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
        yield from _of_job(connection, load_job(connection.store, job).job)
        return
    for each in job_ids(connection.store):
        yield from _of_job(connection, each)


def _of_job(connection: Connection, job: str) -> Iterator[GivenUp]:
    label = ""
    for entry in connection.store.list(names.quarantine(job)):
        try:
            number = names.number_of(entry.key)
            found = Evidence.decode(connection.store.get(entry.key).data, entry.key)
            result = connection.store.get(names.result(job, number)).data
            read = {row.item: row for row in rows.decode(result)}
        except NotFound:
            continue  # it is being read again, or was deleted
        except (Corrupt, ValueError) as error:
            log.warning("skipped %s: %s", entry.key, error)
            continue
        for each in found.items:
            row = read.get(each.item)
            if row is not None and row.code == each.code:
                label = label or _label(connection, job)
                yield GivenUp(
                    job=label,
                    chunk=number,
                    item=row.item,
                    source=row.source,
                    page=row.page,
                    code=each.code,
                    message=each.message,
                    time=found.time,
                )


def _label(connection: Connection, job: str) -> str:
    try:
        record = find_record(connection.store, job)
    except Corrupt as error:
        log.warning("job %s: %s", job, error)
        return job
    return job if record is None else record.label


def image(connection: Connection, job: str, number: int) -> tuple[Item, bytes]:
    """An item of a job and its file's bytes, to look at. Raises NotFound or Corrupt."""
    record = load_job(connection.store, job)
    chunk = record.chunk_of(number)
    if chunk is None:
        raise NotFound(f"job {job} has no item {number}")
    item = _item(connection, record.job, chunk, number)
    if item.ref is None:
        return item, item.data
    if data := file_of(connection, record.job, item.ref):
        return item, data
    raise NotFound(f"item {number} of job {job}: its scan is no longer stored")


def _item(connection: Connection, job: str, chunk: int, number: int) -> Item:
    try:
        data = connection.store.get(names.chunk(job, chunk)).data
    except NotFound:
        raise NotFound(f"item {number}: its chunk is missing from the store") from None
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
    record = load_job(store, job)
    job_id = record.job
    if reconcile.is_cancelled(store, job_id):
        raise UsageError(f"job {job} was cancelled: submit its images again with --new-revision")
    known = list(reconcile.numbers(store, names.quarantine(job_id), ".json"))
    if strange := sorted(set(chunks) - set(known)):
        raise UsageError(f"job {job}: chunk {strange[0]} has no quarantined items")
    chosen = sorted(chunks or known)
    if not chosen:
        return []
    # The marker first, so that any sweep sees the job; the results before the summary, so that
    # none takes it for finished; the evidence last, so that this can be done again.
    mark_open(store, job_id, record.label)
    for number in chosen:
        delete_prefix(store, names.attempts_of(job_id, number))
        queue.complete(job_id, number)
    store.delete([names.result(job_id, number) for number in chosen])
    store.delete([names.job_summary(job_id)])
    # A sweep that saw all results and the summary may have taken the marker for a leftover.
    mark_open(store, job_id, record.label)
    queue.recount(job_id)
    store.delete([names.quarantined(job_id, number) for number in chosen])
    queue.offer(job_id, chosen)
    queue.feed(job_id, record.options.priority)
    return chosen
