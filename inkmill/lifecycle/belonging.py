"""Whose rows a result object holds: a name can be used again after a delete.

A worker that still reads a chunk of the deleted job, and is killed right after its write, leaves
rows below the new job's name. So each result says in its metadata when its job was created,
and one that says another time counts as not there: whoever reads the chunk replaces it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, NotFound, PreconditionFailed
from inkmill.records.jobs import Job

log = logging.getLogger(__name__)

_CREATED = "created"


def mark(job: Job) -> dict[str, str]:
    """What is written beside the rows of a job."""
    return {_CREATED: repr(job.created)}


def is_anothers(job: Job, metadata: Mapping[str, str]) -> bool:
    """Whether a result is that of another job of this name; one without a mark is not."""
    return metadata.get(_CREATED, repr(job.created)) != repr(job.created)


def has_rows(store: Store, job: Job, number: int) -> bool:
    """Whether a chunk has its result: one request."""
    metadata = store.head(names.result(job.job, number))
    return metadata is not None and not is_anothers(job, metadata)


def without_rows(store: Store, job: Job) -> set[int]:
    """The chunks of a sealed job that lack a result of its own: a request for each."""
    return {number for number in range(job.chunks) if not has_rows(store, job, number)}


def is_wanted(store: Store, job: Job) -> bool:
    """Whether the job is still there, and not another one under the name of a deleted one."""
    try:
        record = Job.decode(store.get(names.job_record(job.job)).data)
    except NotFound:
        return False
    return record.created == job.created


def put_first(
    store: Store, job: Job, number: int, data: bytes, beside: Mapping[str, str] | None = None
) -> bool:
    """Write a chunk's rows unless there are some of this job; those of a deleted one are replaced.

    ``beside`` is further metadata. Raises NotFound where this job was deleted, and the rows that
    are there are a newer one's.
    """
    key, metadata = names.result(job.job, number), mark(job) | dict(beside or {})
    try:
        store.put(key, data, if_none_match=True, metadata=metadata)
        return True
    except PreconditionFailed:
        pass
    try:
        there = store.get(key)
    except (NotFound, Corrupt):
        return False
    if not is_anothers(job, there.metadata):
        return False
    # In this order: rows of a newer job than ours are not taken for those of an older one.
    if not is_wanted(store, job):
        raise NotFound(f"job {job.job} was deleted, and its name was taken anew")
    try:
        store.put(key, data, if_match=there.etag, metadata=metadata)
    except (PreconditionFailed, NotFound):
        return False
    log.warning("%s held rows of a deleted job, which are replaced", key, extra={"job": job.job})
    return True
