"""Copies of a bucket that are made while jobs run, and what brings one back to life.

A copy takes minutes, and jobs go on meanwhile. So the order is the opposite of that in which a job
is written: its record before its chunks, its summary before its rows. Then no record in the copy
counts a chunk that is missing there, and no summary says that rows are complete that are not. What
was written after the copy had passed is missing, and is read again after a restore.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from inkmill import names
from inkmill.backends.store import ObjectInfo, Store
from inkmill.errors import Corrupt, NotFound, UsageError
from inkmill.lifecycle.lookup import job_ids, read_record
from inkmill.lifecycle.marker import mark_open
from inkmill.lifecycle.summary import load_summary
from inkmill.producer.overlap import overlapped

#: Requests at once, and how many are prepared ahead: a copy waits for the network.
_THREADS, _AHEAD = 16, 64
#: Clocks of two services may differ by this much (seconds): what changed within it is copied again.
_CLOCKS = 3600.0


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did: objects copied and their bytes, objects that were there, those removed."""

    copied: int
    size: int
    kept: int
    removed: int


def copy(source: Store, target: Store) -> Copied:
    """Make ``target`` a copy of ``source``; what is there already is not copied again.

    Objects that ``source`` no longer has are removed, so that what was deleted is not kept in a
    backup. Raises UsageError for one that is damaged: nothing is removed then, and an older copy of
    it stays. Raises Unreachable or StoreDenied; repeat it then.
    """
    there = {entry.key: entry for entry in target.list("")}
    copied = size = kept = 0
    seen, damaged = set[str](), list[str]()

    def take(entry: ObjectInfo) -> int | None:
        older = there.get(entry.key)
        if older and older.size == entry.size and older.modified > entry.modified + _CLOCKS:
            return None
        try:
            stored = source.get(entry.key)
        except NotFound:  # deleted meanwhile
            return None
        except Corrupt as error:
            damaged.append(str(error))
            return None
        target.put(entry.key, stored.data, metadata=stored.metadata)
        return len(stored.data)

    def noted(entries: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        for entry in entries:
            seen.add(entry.key)
            yield entry

    for written in overlapped(take, noted(_in_order(source)), threads=_THREADS, ahead=_AHEAD):
        if written is None:
            kept += 1
        else:
            copied, size = copied + 1, size + written
    if damaged:
        raise UsageError(
            f"{len(damaged)} objects are damaged and were not copied, the first: {damaged[0]}. All "
            "others are. `inkmill doctor` names damaged records"
        )
    gone = sorted(there.keys() - seen)
    target.delete(gone)
    return Copied(copied, size, kept, len(gone))


def _in_order(store: Store) -> Iterator[ObjectInfo]:
    """All objects, each before what it was written after; see the module's head."""
    yield from store.list(names.OPEN)
    for folder in store.folders(names.JOBS):
        first = tuple(f"{folder}{end}" for end in ("job.json", "cancelled.json", "summary.json"))
        for key in first:
            yield from (entry for entry in store.list(key) if entry.key == key)
        # The only result of a job of one chunk carries its summary: it is complete by itself.
        yield from (entry for entry in store.list(folder) if entry.key not in first)
    for entry in store.list(""):
        if not entry.key.startswith((names.OPEN, names.JOBS)):
            yield entry


def check_empty(store: Store) -> None:
    """Raise UsageError if a bucket has jobs: a restore would mix two states."""
    if next(iter(store.list(names.JOBS)), None) is not None:
        raise UsageError(
            "the bucket of these settings already holds jobs: restore into an empty bucket, and "
            "name it in INKMILL_S3_BUCKET"
        )


def reopen(store: Store) -> int:
    """Mark the jobs of a restored bucket that are not finished, so that workers go on with them.

    Returns how many there are. Damaged and newer records are passed over; `inkmill doctor` names
    them.
    """
    count = 0
    for job in job_ids(store):
        with suppress(NotFound, Corrupt):
            record = read_record(store, job)
            if load_summary(store, record) is None:
                mark_open(store, job, record.label)
                count += 1
    return count
