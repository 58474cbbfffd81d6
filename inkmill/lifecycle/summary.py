"""How a job ended: its summary, which is there once every chunk has its result.

A job of several chunks has an object for it. A job of one chunk has it in the metadata of its
only result: that object's existence says the same, and a small job costs one object less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import NotFound
from inkmill.records.jobs import Job

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


def load_summary(store: Store, record: Job) -> Summary | None:
    """The summary of a finished job, or None; one request where the record says which."""
    if has_one_chunk(record):
        metadata = store.head(names.result(record.job, 0))
        if metadata is None:
            return None
        return _in_metadata(metadata) or _of_its_own(store, record.job)
    if not record.sealed:  # it may be by now, and finished
        metadata = store.head(names.result(record.job, 0)) or {}
        return _in_metadata(metadata) or _of_its_own(store, record.job)
    return _of_its_own(store, record.job)


def _of_its_own(store: Store, job: str) -> Summary | None:
    """The summary that is an object; a job of one chunk that was cancelled has one, too."""
    try:
        return Summary(**json.loads(store.get(names.job_summary(job)).data))
    except NotFound:
        return None


def _in_metadata(metadata: Mapping[str, str]) -> Summary | None:
    return Summary(**json.loads(metadata[_SUMMARY])) if _SUMMARY in metadata else None
