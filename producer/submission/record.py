"""The record of a job that is being submitted: opened, looked after while it is open, sealed.

A job is opened before it takes its name, so that a name always points to a job that exists or
existed. What a submit leaves behind that was killed in between, a sweep removes.
"""

from __future__ import annotations

import threading

from inkmill import names
from inkmill.errors import (
    JobBusy,
    JobMismatch,
    JobStopped,
    NotFound,
    PreconditionFailed,
)
from inkmill.lifecycle import identity, reconcile, retention
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.marker import open_job
from inkmill.producer.connection import Connection
from inkmill.producer.control import cancel
from inkmill.records.jobs import Job


def begin(connection: Connection, record: Job) -> str:
    """Open a job and point its name to it; returns the record's etag.

    Raises PreconditionFailed where the name points to another job by now.
    """
    store = connection.store
    etag = open_job(store, record)
    try:
        identity.claim(store, record)
    except PreconditionFailed:
        store.delete([names.job_record(record.job)])
        store.delete([names.open_marker(record.job)])
        raise
    return etag


class Announcement:
    """The open record of a job without a name, written at the first call.

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
                self.etag = open_job(self._store, self._record)


def is_stopped(connection: Connection, record: Job) -> bool:
    """Whether the job was cancelled or deleted since."""
    try:
        read_record(connection.store, record.job)
    except NotFound:
        return True
    return reconcile.is_cancelled(connection.store, record.job)


def check_wanted(connection: Connection, record: Job) -> None:
    """Raises JobStopped if the job was cancelled or deleted, and removes what came after that.

    To be called when none of its chunks is on its way any more.
    """
    store, job, label = connection.store, record.job, record.label
    try:
        read_record(store, job)
    except NotFound:
        retention.delete_job(store, connection.queue, job)
        if record.name:  # it may have been claimed after the delete
            identity.release(store, record.name, record.revision, job)
        raise JobStopped(f"job {label} was deleted while it was being uploaded") from None
    if reconcile.is_cancelled(store, job):
        # Whoever cancels it may not have sealed it yet, or have been killed: then it ends here.
        cancel(job, connection=connection)
        store.delete(_behind(connection, read_record(store, job)))
        raise JobStopped(
            f"job {label} was cancelled while it was being uploaded: `inkmill status {label}` "
            "shows what was read before"
        )


def _behind(connection: Connection, record: Job) -> list[str]:
    """Chunks and rows that a sealed record does not count."""
    return [
        key(record.job, number)
        for prefix, key in ((names.chunks, names.chunk), (names.results, names.result))
        for number in reconcile.numbers(connection.store, prefix(record.job))
        if number >= record.chunks
    ]


def seal(connection: Connection, record: Job, etag: str | None = None) -> Job:
    """Replace the open record by the sealed one, if nobody did so in between.

    ``etag`` is the open one's, where it is known. Raises JobStopped, or JobMismatch where
    somebody else sealed it with other images.
    """
    key, store = names.job_record(record.job), connection.store
    if etag is None:
        check_wanted(connection, record)
        stored = store.get(key)
        now, etag = Job.decode(stored.data, key), stored.etag
        if now.sealed:
            return _same(now, record)
    try:
        store.put(key, record.encode(), if_match=etag)
        return record
    except (PreconditionFailed, NotFound):
        check_wanted(connection, record)
        return _same(read_record(store, record.job), record)


def _same(now: Job, record: Job) -> Job:
    if now.inputs != record.inputs:
        raise others(record.label)
    return now


def busy(label: str) -> JobBusy:
    """The error if another submit is creating the same job."""
    return JobBusy(
        f"job {label} is being submitted by somebody else right now: wait for it, or choose "
        "another --name"
    )


def others(label: str) -> JobMismatch:
    """The error if two submits use one name at the same time."""
    return JobMismatch(
        f"job {label} was submitted by somebody else with other images at the same time: choose "
        "another --name"
    )
