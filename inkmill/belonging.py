"""Whose rows a result object holds: a name can be used again after a delete.

A worker that still reads a chunk of the deleted job, and is killed right after its write, leaves
rows below the new job's name. So each result says in its metadata when its job was created,
and one that says another time counts as not there: whoever reads the chunk replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping

from inkmill import names
from inkmill.jobs import Job
from inkmill.store import Store

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
