"""How a job ended: its summary, which is there once every chunk has its result.

A job of several chunks has an object for it. A job of one chunk has it in the metadata of its
only result: that object's existence says the same, and a small job costs one object less.
"""

from __future__ import annotations

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import NotFound
from inkmill.records.jobs import Job
from inkmill.records.summary import Summary


def has_one_chunk(job: Job) -> bool:
    """Whether this is all of a job that there will ever be: its end is its only result."""
    return job.sealed and job.chunks == 1


def load_summary(store: Store, record: Job) -> Summary | None:
    """The summary of a finished job, or None; one request, two for an unfinished one of a chunk."""
    key = names.result(record.job, 0)
    # Without its rows, a job of one chunk is not finished, or they were purged. An open record may
    # be sealed by now, and the job finished.
    if has_one_chunk(record) or not record.sealed:
        found = Summary.from_metadata(store.head(key) or {}, key)
        return found or _of_its_own(store, record.job)
    return _of_its_own(store, record.job)


def _of_its_own(store: Store, job: str) -> Summary | None:
    """The summary that is an object; that of a job of one chunk is one if it was cancelled, or its
    values were purged."""
    try:
        key = names.job_summary(job)
        return Summary.decode(store.get(key).data, key)
    except NotFound:
        return None
