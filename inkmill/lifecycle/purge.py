"""Deleting a part of a finished job: its pages, pictures, values, reports or trail.

Laws set a different period for each. What is deleted is noted beside the job before anything goes,
so that a purge that was killed is completed by the next one, and whoever asks for the values is
told that they were deleted on purpose. The record and the counts by status and code stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store, delete_prefix, exists
from inkmill.errors import NotFinished, NotFound, UsageError
from inkmill.lifecycle.summary import load_summary
from inkmill.records import codec
from inkmill.records.codec import Timestamp, Within, one_of
from inkmill.records.jobs import Job

_SCHEMA = 1

PAGES, PICTURES, VALUES, REPORTS, TRAIL = "pages", "pictures", "values", "reports", "trail"
#: Kind -> where it lies below a job's folder.
_PLACES: Mapping[str, tuple[Callable[[str], str], ...]] = {
    PAGES: (names.chunks, names.images, names.attempts, names.quarantine),
    PICTURES: (names.pictures,),
    VALUES: (
        names.results,
        names.fixes,
        names.events,
        names.audits,
        names.review,
        names.settled,
        names.report,
    ),
    REPORTS: (names.report,),
    TRAIL: (names.trail,),
}
KINDS = tuple(_PLACES)


@dataclass(frozen=True, slots=True)
class Purged:
    """What was deleted of a job: kind -> when last (seconds since the epoch)."""

    kinds: dict[Annotated[str, one_of(KINDS)], Timestamp]
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def load_purged(store: Store, job: str) -> Purged:
    """What was deleted of the job with this id. Raises Corrupt, or Newer."""
    key = names.purged(job)
    try:
        return codec.decode(Purged, store.get(key).data, key, schema=_SCHEMA)
    except NotFound:
        return Purged({})


def purge(store: Store, record: Job, kinds: Iterable[str]) -> int:
    """Delete these kinds of a finished job; returns the number of objects. Repeating does no harm.

    Raises UsageError for an unknown kind, NotFinished where rows are missing: deleting pages that
    nobody has read would lose them.
    """
    wanted = tuple(kinds)
    if unknown := sorted({*wanted} - {*KINDS}):
        raise UsageError(f"{unknown[0]!r} is not a kind: use one of {', '.join(KINDS)}")
    summary = load_summary(store, record)
    if summary is None:
        raise NotFinished(
            f"job {record.label} is not finished: wait for it, cancel it, or delete all of it"
        )
    noted = load_purged(store, record.job)
    now = time.time()
    noted = Purged({**noted.kinds, **dict.fromkeys(wanted, now)})
    data = codec.encode(noted, f"what was purged of job {record.label}")
    store.put(names.purged(record.job), data)
    if VALUES in wanted and not exists(store, names.job_summary(record.job)):
        # That of a job of one chunk is in the metadata of its rows, and must outlive them.
        store.put(names.job_summary(record.job), summary.encode())
    return sum(
        delete_prefix(store, place(record.job)) for kind in wanted for place in _PLACES[kind]
    )


def check_values(store: Store, record: Job) -> None:
    """Raise UsageError if the values of a job were deleted."""
    when = load_purged(store, record.job).kinds.get(VALUES)
    if when is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(when))
        raise UsageError(
            f"the values of job {record.label} were deleted on {day} (`inkmill purge`): only its "
            "counts are left, see `inkmill status`"
        )
