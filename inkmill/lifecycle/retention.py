"""Deleting jobs, so that a crash in the middle is repaired by any sweep.

A job is deleted in this order: its marker is written, with the job's name in it, so that any
sweep can go on; the record goes, so that it is no job any more; then everything else below its
id; then its name, unless that points to a newer job by now; the marker last. A worker that still
reads one of its chunks finds no record behind its write, and deletes what it wrote. A finished
job with a retention has a marker below ``expiry/``, sorted by day, so that one short listing
shows what is due.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import Store, delete_prefix
from inkmill.errors import Corrupt, InkmillError, Newer, NotFound, StoreDenied, Unreachable
from inkmill.lifecycle.identity import release, split_label
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.marker import label_in_marker, mark_open
from inkmill.lifecycle.purge import PAGES, PICTURES, purge
from inkmill.lifecycle.summary import load_summary
from inkmill.records.jobs import Job

log = logging.getLogger(__name__)

#: A delete or submit that rests for this long is taken over by a sweep; younger ones may be at
#: work (seconds).
TAKE_OVER_SECONDS = 120.0
#: Seconds between two searches for jobs whose retention period has ended.
_LOOK_SECONDS = 1800.0


def delete_job(store: Store, queue: Queue, job: str) -> None:
    """Delete everything of the job with this id, running or not; repeating it does no harm."""
    try:
        label = read_record(store, job).label
    except (NotFound, Corrupt, Newer):
        label = label_in_marker(store, job)
    mark_open(store, job, label)
    store.delete([names.job_record(job)])
    delete_prefix(store, names.job_root(job))
    if label != job:
        _release(store, label, job)
    queue.forget(job)
    store.delete([names.outbox(job), names.open_marker(job)])


def _release(store: Store, label: str, job: str) -> None:
    try:
        release(store, *split_label(label), job)
    except Corrupt as error:
        log.warning("job %s is deleted, but its name remains taken: %s", label, error)


def delete_pages(store: Store, job: str) -> None:
    """Delete a finished job's scans and pictures; record, results and summary stay."""
    purge(store, read_record(store, job), (PAGES, PICTURES))


def take_over(store: Store, queue: Queue, job: str, since: float) -> None:
    """Remove what a delete, or a submit before it had its name, left behind when it was killed.

    ``since`` is when its marker was written; what is younger may still be at work.
    """
    if time.time() - since > TAKE_OVER_SECONDS:
        log.warning("job %s: removing what an interrupted delete or submit left behind", job)
        delete_job(store, queue, job)


def schedule(store: Store, job: Job, finished: float) -> None:
    """Note the day after which a finished job is deleted, if it has one."""
    if job.retention_days:
        day = datetime.fromtimestamp(finished, UTC) + timedelta(days=job.retention_days)
        store.put(names.expiry_marker(f"{day:%Y-%m-%d}", job.job), b"")


def expire(store: Store, queue: Queue, now: float | None = None) -> int:
    """Delete the jobs whose retention period has ended; returns how many."""
    now = time.time() if now is None else now
    today = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    count = 0
    for entry in store.list(names.EXPIRY):
        day, _, job = entry.key.removeprefix(names.EXPIRY).partition("/")
        if day >= today:
            break
        if _is_due(store, job, now):
            delete_job(store, queue, job)
            log.info("job %s is deleted: its retention period has ended", job)
            count += 1
        store.delete([entry.key])
    return count


def _is_due(store: Store, job: str, now: float) -> bool:
    try:
        record = read_record(store, job)
        summary = load_summary(store, record)
    except (StoreDenied, Unreachable):
        raise
    except (InkmillError, ValueError, TypeError) as error:
        log.info("skipped the marker of job %s: %s", job, error)
        return False
    if summary is None or not record.retention_days:
        return False
    return now > summary.finished + record.retention_days * 86400


def expire_sometimes(store: Store, queue: Queue) -> None:
    """Called by sweeps: expire jobs, unless another process did so recently."""
    if queue.may_expire(_LOOK_SECONDS):
        expire(store, queue)
