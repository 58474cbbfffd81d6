"""The open marker of a job: an object below ``open/`` from before its record until its end.

Sweeps list the markers, and so find every job that is not finished, whatever was killed. The
marker names the job's label, since a delete removes the record before it gives up the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, Newer, NotFound, UsageError
from inkmill.lifecycle.identity import check_label
from inkmill.records import codec
from inkmill.records.codec import Within
from inkmill.records.jobs import Job

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class _Marker:
    """A marker as it is stored."""

    label: codec.Name
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def mark_open(store: Store, job: str, label: str) -> None:
    """From now on, sweeps look after the job with this id."""
    store.put(names.open_marker(job), codec.encode(_Marker(label), f"the marker of job {job}"))


def open_job(store: Store, record: Job) -> str:
    """Write the marker and the open record of a new job; returns the record's etag."""
    mark_open(store, record.job, record.label)
    return store.put(names.job_record(record.job), record.encode(), if_none_match=True)


def label_in_marker(store: Store, job: str) -> str:
    """The label that a job's marker names, or the id where it names none. Raises Newer."""
    key = names.open_marker(job)
    try:
        found = codec.decode(_Marker, store.get(key).data, key, schema=_SCHEMA)
        return check_label(found.label)
    except Newer:
        raise
    except (NotFound, Corrupt, UsageError):
        return job
