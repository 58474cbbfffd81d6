"""Resuming, cancelling and deleting jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.backends.store import Store, exists
from inkmill.codes import Code, Status
from inkmill.errors import Corrupt, Newer, NotFound, PreconditionFailed, UsageError
from inkmill.lifecycle import reconcile, retention
from inkmill.lifecycle.identity import no_such_job, resolve
from inkmill.lifecycle.lookup import load_job, read_record
from inkmill.lifecycle.lost import ChunkLost, chunk_of, gone
from inkmill.lifecycle.marker import mark_open
from inkmill.lifecycle.summary import load_summary
from inkmill.producer.connection import Connection, connect
from inkmill.producer.overlap import overlapped
from inkmill.records import rows
from inkmill.records.chunks import DIGEST, FIRST, ITEMS, Chunk, Item, combine
from inkmill.records.jobs import Job
from inkmill.records.rows import Row

if TYPE_CHECKING:
    from inkmill.settings import Settings

_THREADS = 6
#: What was sent this many seconds ago, and is not in Redis, is lost.
_LOST_SECONDS = 2.0
#: An upload has a few chunks on their way at once: no more can be missing before the last one.
_MOST_HOLES = 1000


def resume(
    job: str, *, settings: Settings | None = None, connection: Connection | None = None
) -> int:
    """Resend every chunk of a job that has no rows and is not in flight.

    Workers and `wait` do the same every few seconds; call this if neither is running. No chunk is
    read twice.

    Args:
        job: The job's name or id.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        The number of chunks without rows; 0 for a finished job.

    Raises:
        NotFound: There is no such job.
        UsageError: Chunks are missing in the store. Submit the same inputs again.
        SettingsError: A setting is wrong.
        Unreachable: Redis or S3 does not answer.
        StoreDenied: S3 refuses the request.

    Example:
        if missing := resume("district-7"):
            print(f"{missing} chunks to go")
    """
    connection = connection or connect(settings)
    store, queue = connection.store, connection.queue
    record = load_job(store, job)
    if load_summary(store, record) is not None:
        return 0
    mark_open(store, record.job, record.label)
    state = reconcile.standing(store, record)
    stored = frozenset(reconcile.numbers(store, names.chunks(record.job)))
    if absent := sum(1 for each in state.missing if each not in stored):
        raise UsageError(
            f"job {job}: {absent} chunks are not in the store: submit the same inputs again with "
            f"--name {job}"
        )
    reconcile.reconcile(store, queue, record.job, queue.present(), _LOST_SECONDS)
    return state.left


def cancel(
    job: str, *, settings: Settings | None = None, connection: Connection | None = None
) -> int:
    """Stop a job: finished rows stay, all other items get rows with the code CANCELLED.

    A chunk that is being read may still finish. If the job is still being submitted, it is closed
    with the items stored so far, and its `submit` raises JobStopped. A finished job stays as it is;
    repeating the call is safe.

    Args:
        job: The job's name or id.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        The number of rows with CANCELLED that this call wrote.

    Raises:
        NotFound: There is no such job.
        SettingsError: A setting is wrong.
        Unreachable: Redis or S3 does not answer. Call it again.
        StoreDenied: S3 refuses the request.

    Example:
        cancel("district-7")
        rows = list(results("district-7"))
    """
    connection = connection or connect(settings)
    store = connection.store
    record = load_job(store, job)
    if load_summary(store, record) is not None:
        return 0
    store.put(names.cancel_marker(record.job), b"{}")
    connection.queue.forget(record.job)
    if not record.sealed:
        written = reconcile.standing(store, record).written
        _fill_holes(connection, record.job, written)
        record = _seal_as_it_is(connection, record.job, max(written, default=-1) + 1)
    cancelled = _cancel_chunks(connection, record, reconcile.standing(store, record).missing)
    reconcile.finish(store, connection.queue, record)
    return cancelled


def _cancel_chunks(connection: Connection, record: Job, numbers: Iterable[int]) -> int:
    """Write CANCELLED rows for chunks, unless workers were faster; returns how many rows."""

    def stop(number: int) -> int:
        return _cancel_chunk(connection.store, record, number)

    return sum(overlapped(stop, numbers, threads=_THREADS, ahead=_THREADS))


def _cancel_chunk(store: Store, record: Job, number: int) -> int:
    try:
        items = _items(store, record, number)
        words = "the job was cancelled before the item was read"
    except ChunkLost as lost:
        items = [Item(each, "") for each in lost.items]
        words = f"the job was cancelled before the item was read; its name is lost: {lost}"
    outcome = [
        Row(
            item=item.item,
            source=item.source,
            page=item.page,
            status=Status.ERROR,
            code=Code.CANCELLED,
            message=words,
            sha256=item.sha256,
        )
        for item in items
    ]
    try:
        store.put(names.result(record.job, number), rows.encode(outcome), if_none_match=True)
    except PreconditionFailed:
        return 0
    return len(outcome)


def _items(store: Store, record: Job, number: int) -> Sequence[Item]:
    """A chunk's items, also where their images are damaged. Raises ChunkLost."""
    try:
        return Chunk.decode(store.get(names.chunk(record.job, number)).data).items
    except NotFound:
        raise gone(record, number) from None
    except Newer:
        raise
    except Corrupt as error:
        return chunk_of(store, record.job, number, error).items


def _fill_holes(connection: Connection, job: str, written: Sequence[int]) -> None:
    """Chunks are uploaded in parallel: one that never came, before others that did, is empty.

    Raises Corrupt where so many are missing that no upload left them out.
    """
    there = frozenset(written)
    end = max(written, default=-1) + 1
    if end - len(there) > _MOST_HOLES:
        raise Corrupt(
            f"job {job} has {len(there)} chunks, but also {names.chunk(job, end - 1)}: delete that "
            "object, which is none of Inkmill's, or the job"
        )
    for number in (each for each in range(end) if each not in there):
        chunk = Chunk(job, number, ())
        first = _end_of(connection, job, number - 1)
        try:
            connection.store.put(
                names.chunk(job, number),
                chunk.encode(),
                if_none_match=True,
                metadata={DIGEST: chunk.digest, FIRST: str(first), ITEMS: "0"},
            )
        except PreconditionFailed:
            continue  # it came after all


def _end_of(connection: Connection, job: str, number: int) -> int:
    """The number of the first item behind a chunk; 0 for the one before the first."""
    about = connection.store.head(names.chunk(job, number)) if number >= 0 else None
    return int(about.get(FIRST, "0")) + int(about[ITEMS]) if about else 0


def _seal_as_it_is(connection: Connection, job: str, count: int) -> Job:
    """Close the record of a job whose submit is not over, with its first ``count`` chunks.

    A submit that still runs then stops, and removes what it uploaded after that.
    """
    store = connection.store
    stored = store.get(key := names.job_record(job))
    record = Job.decode(stored.data, key)
    if record.sealed:
        return record
    about = [store.head(names.chunk(job, number)) or {} for number in range(count)]
    record = record.seal(
        [int(each[ITEMS]) for each in about], combine([each[DIGEST] for each in about])
    )
    try:
        store.put(names.job_record(job), record.encode(), if_match=stored.etag)
    except PreconditionFailed:
        return read_record(store, job)
    return record


def delete(
    job: str,
    *,
    keep_values: bool = False,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> None:
    """Delete a job: its scans, pictures and values. A running job is stopped first.

    If this is interrupted, call it again; workers complete the deletion, too.

    Args:
        job: The job's name or id.
        keep_values: Delete only scans and pictures; keep the record, rows and summary.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Raises:
        NotFound: There is no such job.
        SettingsError: A setting is wrong.
        Unreachable: Redis or S3 does not answer. Call it again.
        StoreDenied: S3 refuses the request.

    Example:
        delete("district-7", keep_values=True)
    """
    connection = connection or connect(settings)
    store = connection.store
    if keep_values:
        cancel(job, connection=connection)
        retention.delete_pages(store, load_job(store, job).job)
        return
    found = resolve(store, job)
    if not _is_there(store, found):
        raise no_such_job(job)
    connection.jobs.forget(job)
    retention.delete_job(store, connection.queue, found)


def _is_there(store: Store, job: str) -> bool:
    """Whether anything of a job is in the store; a delete that was killed leaves some."""
    if exists(store, names.open_marker(job)):
        return True
    return next(iter(store.list(names.job_root(job))), None) is not None
