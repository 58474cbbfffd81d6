"""The record of a job that is being submitted: claimed, looked after while it is open, sealed.

Who writes the record first has the name. A delete that was killed may have left chunks and rows
below it, which must not be taken for the new job's. Only who holds the name takes them away, so
that no job of another submit is hit. Until that is done, the record's metadata say so, and
whoever goes on with the job begins there; then the record gets another time of creation, by which
workers tell that what they read meanwhile belongs to no job any more.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from inkmill import names
from inkmill.errors import (
    JobBusy,
    JobMismatch,
    JobStopped,
    NotFound,
    PreconditionFailed,
    Unreachable,
)
from inkmill.lifecycle import reconcile, retention
from inkmill.producer.connection import Connection
from inkmill.producer.control import cancel
from inkmill.producer.submission.revisions import find_job
from inkmill.records.jobs import Job

#: Metadata of a record whose name was just claimed, as long as older objects may lie below it.
_CLEARED = "cleared"
_UNCLEARED = {_CLEARED: "no"}
#: Keys of one delete request.
_DELETE_BATCH = 1000


def claim(connection: Connection, record: Job) -> Job:
    """Write the record of a new job, below which then lies nothing else; returns it as written.

    Raises PreconditionFailed where there is a job of that name, JobBusy where somebody else took
    or deleted it while remains of an older one were removed.
    """
    key = names.job_record(record.job)
    if next(connection.store.list(names.job_root(record.job)), None) is None:
        connection.store.put(key, record.encode(), if_none_match=True)
        return record
    etag = connection.store.put(key, record.encode(), if_none_match=True, metadata=_UNCLEARED)
    return _clear(connection, record, etag)


def take_up(connection: Connection, job: str) -> Job:
    """The record of a job whose submit did not end, ready to go on with.

    Raises NotFound, or JobBusy as `claim` does, or while remains may still be removed by another.
    """
    key = names.job_record(job)
    stored = connection.store.get(key)
    record = Job.decode(stored.data)
    if record.sealed or stored.metadata.get(_CLEARED) != _UNCLEARED[_CLEARED]:
        return record
    for entry in connection.store.list(key):
        if abs(time.time() - entry.modified) < retention.TAKE_OVER_SECONDS:
            raise busy(job)
    record = _anew(record)
    try:  # who claimed it may be at work after all: it then finds that it lost the name
        etag = connection.store.put(key, record.encode(), if_match=stored.etag, metadata=_UNCLEARED)
    except (PreconditionFailed, NotFound):
        raise busy(job) from None
    return _clear(connection, record, etag)


def _clear(connection: Connection, record: Job, etag: str) -> Job:
    """Delete all below a claimed name but its record, and write that as cleared."""
    store, own = connection.store, names.job_record(record.job)
    keys = (each.key for each in store.list(names.job_root(record.job)) if each.key != own)
    cleared = _anew(record)
    try:
        while batch := list(islice(keys, _DELETE_BATCH)):
            if store.get(own).etag != etag:
                raise busy(record.job)
            store.delete(batch)
        with suppress(Unreachable):  # hints only: a sweep puts them right
            connection.queue.forget(record.job)
        store.put(own, cleared.encode(), if_match=etag)
    except (PreconditionFailed, NotFound):
        raise busy(record.job) from None
    return cleared


def _anew(record: Job) -> Job:
    """The same record of another time, even if the clock stood still or went back."""
    return replace(record, created=max(time.time(), record.created + 0.001))


def busy(job: str) -> JobBusy:
    """The refusal where somebody else begins the same job."""
    return JobBusy(
        f"job {job} is being submitted by somebody else at this moment: wait for it, "
        "or give another --name"
    )


class Announcement:
    """The open record of a job that has an id of its own, written at the first call.

    Called before anything is stored that only the job leads to. ``etag`` is the record's, or
    None as long as nobody called.
    """

    def __init__(self, connection: Connection, record: Job) -> None:
        self._store = connection.store
        self._record = record
        self._lock = threading.Lock()
        self.etag: str | None = None

    def __call__(self) -> None:
        with self._lock:
            if self.etag is None:
                key = names.job_record(self._record.job)
                self.etag = self._store.put(key, self._record.encode(), if_none_match=True)


def is_stopped(connection: Connection, record: Job) -> bool:
    """Whether the job was cancelled or deleted since."""
    found = find_job(connection.store, record.job)
    if found is None or found.created != record.created:
        return True
    return reconcile.is_cancelled(connection.store, record.job)


def check_wanted(connection: Connection, record: Job) -> None:
    """Raises JobStopped if the job was cancelled or deleted, and removes what came after that.

    To be called when none of its chunks is on its way any more.
    """
    store, job = connection.store, record.job
    found = find_job(store, job)
    if found is None:
        retention.delete_remains(store, connection.queue, job)
        raise JobStopped(f"job {job} was deleted while it was being uploaded")
    if found.created != record.created:
        raise JobStopped(
            f"job {job} was deleted while it was being uploaded, and its name was taken anew"
        )
    if reconcile.is_cancelled(store, job):
        # Whoever cancels it may not have sealed it yet, or have been killed: then it ends here.
        cancel(job, connection=connection)
        store.delete(_behind(connection, reconcile.load_job(store, job)))
        raise JobStopped(
            f"job {job} was cancelled while it was being uploaded: `inkmill status {job}` "
            "shows what was read before"
        )


def _behind(connection: Connection, record: Job) -> list[str]:
    """Chunks and rows that a sealed record does not count."""
    prefixes = names.chunks(record.job), names.results(record.job)
    keys = [entry.key for prefix in prefixes for entry in connection.store.list(prefix)]
    return [key for key in keys if names.number_of(key) >= record.chunks]


def seal(connection: Connection, record: Job, etag: str | None = None) -> Job:
    """Replace the open record by the sealed one, if nobody did so in between.

    ``etag`` is the open one's, where it is known. Raises JobStopped, or JobMismatch where
    somebody else sealed it with other images.
    """
    key, store = names.job_record(record.job), connection.store
    if etag is None:
        check_wanted(connection, record)
        stored = store.get(key)
        now, etag = Job.decode(stored.data), stored.etag
        if now.sealed:
            return _same(now, record)
    try:
        store.put(key, record.encode(), if_match=etag)
        return record
    except (PreconditionFailed, NotFound):
        check_wanted(connection, record)
        return _same(reconcile.load_job(store, record.job), record)


def _same(now: Job, record: Job) -> Job:
    if now.inputs != record.inputs:
        raise others(record.job)
    return now


def others(job: str) -> JobMismatch:
    """The refusal where two submits of one name are under way at once."""
    return JobMismatch(
        f"job {job} was submitted by somebody else with other images at the same time: give "
        "this one another --name"
    )
