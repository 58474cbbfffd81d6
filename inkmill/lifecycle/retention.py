"""Deleting jobs, so that a crash in the middle is mended by doing it again.

A job goes in this order: its marker is there (so that any sweep goes on with it), its record
is deleted (it is no job any more), then all else, and the marker at last. Once somebody has taken
the name for a new job, its record is there again: what is left is then for the one who took it
(`inkmill.producer.submission.record.claim`), and the delete ends. A finished job with a retention
has a marker below ``expiry/``, sorted by day, so that looking for what is due is one short listing.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import Store, delete_prefix, exists
from inkmill.errors import InkmillError, StoreDenied, Unreachable
from inkmill.lifecycle.summary import load_summary
from inkmill.records.jobs import Job

log = logging.getLogger(__name__)

#: A delete that rests for this long is taken over by a sweep; younger ones are still at work.
TAKE_OVER_SECONDS = 120.0
#: Seconds between two looks for jobs whose days are over.
_LOOK_SECONDS = 1800.0
#: Objects that are deleted between two looks whether the name is in use again: one request's.
_DELETE_BATCH = 1000


def delete_job(store: Store, queue: Queue, job: str) -> None:
    """Delete everything of a job, running or not; to repeat it does no harm."""
    store.put(names.open_marker(job), b"")
    store.delete([names.job_record(job)])
    _delete_rest(store, queue, job)


def delete_remains(store: Store, queue: Queue, job: str) -> None:
    """Delete what came below a job's name after its record was deleted."""
    store.put(names.open_marker(job), b"")
    _delete_rest(store, queue, job)


def _delete_rest(store: Store, queue: Queue, job: str) -> None:
    record = names.job_record(job)
    keys = (entry.key for entry in store.list(names.job_root(job)))
    while batch := list(islice(keys, _DELETE_BATCH)):
        if exists(store, record):
            return
        store.delete(batch)
    if not exists(store, record):
        queue.forget(job)
        store.delete([names.open_marker(job)])


def delete_pages(store: Store, job: str) -> None:
    """Delete a finished job's scans and pictures; record, results and summary stay."""
    for prefix in (names.chunks, names.images, names.pictures, names.attempts, names.quarantine):
        delete_prefix(store, prefix(job))


def take_over(store: Store, queue: Queue, job: str) -> None:
    """Take away what a delete, or a submit of one chunk, that was killed has left: a marker without
    a record says so."""
    marker = names.open_marker(job)
    for entry in store.list(marker):
        if entry.key == marker and abs(time.time() - entry.modified) > TAKE_OVER_SECONDS:
            log.warning("job %s: remains of an interrupted delete or submit are removed", job)
            _delete_rest(store, queue, job)


def schedule(store: Store, job: Job, finished: float) -> None:
    """Note the day after which a finished job is deleted, if it has one."""
    if job.retention_days:
        day = datetime.fromtimestamp(finished, UTC) + timedelta(days=job.retention_days)
        store.put(names.expiry_marker(f"{day:%Y-%m-%d}", job.job), b"")


def expire(store: Store, queue: Queue, now: float | None = None) -> int:
    """Delete the jobs whose days are over; returns how many."""
    now = time.time() if now is None else now
    today = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    count = 0
    for entry in store.list(names.EXPIRY):
        day, _, job = entry.key.removeprefix(names.EXPIRY).partition("/")
        if day >= today:
            break
        if _is_due(store, job, now):
            delete_job(store, queue, job)
            log.info("job %s is deleted: its days are over", job)
            count += 1
        store.delete([entry.key])
    return count


def _is_due(store: Store, job: str, now: float) -> bool:
    """The marker may be older than the job: a name can be used again after a delete."""
    try:
        record = Job.decode(store.get(names.job_record(job)).data)
        summary = load_summary(store, job)
    except (StoreDenied, Unreachable):
        raise
    except (InkmillError, ValueError, TypeError) as error:
        log.info("marker of job %s is passed over: %s", job, error)
        return False
    if summary is None or not record.retention_days:
        return False
    return now > summary.finished + record.retention_days * 86400


def expire_sometimes(store: Store, queue: Queue) -> None:
    """What a sweep does: look for expired jobs, unless somebody did so lately."""
    if queue.may_expire(_LOOK_SECONDS):
        expire(store, queue)
