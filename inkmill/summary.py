"""How a job ended: its summary, which is there once every chunk has its result.

A job of several chunks has an object for it. A job of one chunk has it in the metadata of its
only result: that object's existence says the same, and a small job costs one object less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from inkmill import names
from inkmill.errors import NotFound
from inkmill.jobs import Job
from inkmill.store import Store

#: Metadata of the only result of a job: the summary as JSON, some hundred bytes of ASCII.
_SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Summary:
    """How many rows, by status and code; ``finished`` in seconds since the epoch."""

    job: str
    finished: float
    chunks: int
    rows: int
    statuses: dict[str, int]
    codes: dict[str, int]

    def encode(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    def as_metadata(self) -> dict[str, str]:
        """What is written beside the rows of a job's only chunk."""
        return {_SUMMARY: json.dumps(asdict(self))}


def has_one_chunk(job: Job) -> bool:
    """Whether this is all of a job that there will ever be: its end is its only result."""
    return job.sealed and job.chunks == 1


def load_summary(store: Store, job: str) -> Summary | None:
    """The summary of a finished job, or None."""
    if (found := of_only_chunk(store, job)) is not None:
        return found
    try:
        return Summary(**json.loads(store.get(names.job_summary(job)).data))
    except NotFound:
        return None


def summary_of(store: Store, record: Job) -> Summary | None:
    """As `load_summary`, by one request where the record tells that one is enough."""
    if not has_one_chunk(record):
        return load_summary(store, record.job)
    metadata = store.head(names.result(record.job, 0))
    if metadata is None:
        return None
    return _in_metadata(metadata) or load_summary(store, record.job)


def of_only_chunk(store: Store, job: str) -> Summary | None:
    """The summary that lies beside the rows of a job's only chunk, or None: one request."""
    return _in_metadata(store.head(names.result(job, 0)))


def _in_metadata(metadata: Mapping[str, str] | None) -> Summary | None:
    if metadata is None or _SUMMARY not in metadata:
        return None
    return Summary(**json.loads(metadata[_SUMMARY]))
