"""What the bucket says of a job's review, held in memory and read again only where it grew.

Events, remarks and marks of what is done are objects that are written once. So a listing tells
which of them are new, and only those are read. Several servers work on the same job: what one of
them writes, the others see within `FRESH_SECONDS`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from inkmill import names
from inkmill.backends.store import Store
from inkmill.desk.review.tasks import (
    Flags,
    Remark,
    Round,
    TaskRef,
    keep_remark,
    load_rounds,
    read_remark,
)
from inkmill.errors import NotFound
from inkmill.producer.overlap import overlapped
from inkmill.records import events
from inkmill.records.events import Event, EventBatch, Place, Verdict

#: A listing is not repeated sooner: with ten people at work, some answers come between two.
FRESH_SECONDS = 2.0
_THREADS, _AHEAD = 8, 64
#: Until the next look: so many times what one took, and no longer than this (seconds).
_SPARING, _LONGEST_SECONDS = 10.0, 10.0

T = TypeVar("T")


class Grown(Generic[T]):
    """The objects below a prefix, each read once; ``keep`` is given those that came.

    One thread at a time looks. Others use what is known meanwhile, unless they ask for what is
    stored now. All methods may be called from any thread.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        read: Callable[[str], T],
        keep: Callable[[Iterable[T]], None],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._read = read
        self._keep = keep
        self._keys: set[str] = set()
        self._listed, self._took = float("-inf"), 0.0
        self._looking = threading.Lock()

    def have(self, key: str) -> None:
        """An object that this process wrote itself, and need not read."""
        self._keys.add(key)

    def look(self, fresh: float) -> None:
        """Look for new objects, unless the last look is younger than ``fresh`` seconds.

        Listing thousands of objects takes a while: where an older look will do, it is repeated
        only after ten times what it took, or some seconds.
        """
        asked = time.monotonic()
        sparing = min(_SPARING * self._took, _LONGEST_SECONDS)
        if fresh and asked - self._listed < max(fresh, sparing):
            return
        known = self._listed > float("-inf")
        if not self._looking.acquire(blocking=not (fresh and known)):
            return
        try:
            if self._listed < (asked if not fresh else asked - fresh):
                self._look()
        finally:
            self._looking.release()

    def _look(self) -> None:
        began = time.monotonic()
        keys = [e.key for e in self._store.list(self._prefix) if e.key not in self._keys]
        self._keep(overlapped(self._read, keys, threads=_THREADS, ahead=_AHEAD))
        self._keys.update(keys)
        self._listed, self._took = began, time.monotonic() - began


class Known:
    """What is known of one job's review. All methods may be called from any thread.

    ``fresh`` is how old the last look at the bucket may be, in seconds.
    """

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job
        self._batches = Grown(store, names.events(job), self._read_batch, self._keep_batches)
        self._said = Grown(store, names.review_remarks(job), self._read_remark, self._keep_remarks)
        self._marks = Grown(store, names.review_done(job), names.review_task_of, self._keep_marks)
        self._events: set[Event] = set()
        self._by_place: dict[Place, list[Event]] = {}
        self._remarks: set[Remark] = set()
        self._done: set[tuple[int, int]] = set()
        self._rounds: list[Round] = []
        self._looked = float("-inf")
        self._lock = threading.RLock()

    # --- entries -------------------------------------------------------------------------------

    def events(self, fresh: float = FRESH_SECONDS) -> list[Event]:
        """All entries, in the order in which they were typed."""
        self._batches.look(fresh)
        with self._lock:
            return _in_order(self._events)

    def verdicts(self, fresh: float = FRESH_SECONDS) -> dict[Place, Verdict]:
        """What people's entries come to, by field."""
        return events.verdicts(self.events(fresh))

    def verdicts_at(
        self, places: Iterable[Place], fresh: float = FRESH_SECONDS
    ) -> dict[Place, Verdict]:
        """The same of some fields."""
        self._batches.look(fresh)
        with self._lock:
            found = [each for place in places for each in self._by_place.get(place, ())]
        return events.verdicts(_in_order(found))

    def add(self, made: Iterable[Event], key: str = "") -> None:
        """Entries that are stored; ``key`` is that of their object, if it holds just these."""
        if key:
            self._batches.have(key)
        with self._lock:
            for event in made:
                if event not in self._events:
                    self._events.add(event)
                    self._by_place.setdefault(event.place, []).append(event)

    def _keep_batches(self, came: Iterable[EventBatch]) -> None:
        for batch in came:
            self.add(batch.events)

    def _read_batch(self, key: str) -> EventBatch:
        return EventBatch.decode(self._store.get(key).data, key)

    # --- remarks, tasks ------------------------------------------------------------------------

    def remarks(self, fresh: float = FRESH_SECONDS) -> list[Remark]:
        """What people said besides values, in order of time."""
        self._said.look(fresh)
        with self._lock:
            return sorted(self._remarks, key=lambda each: (each.when, each.who))

    def flags(self, fresh: float = FRESH_SECONDS) -> Flags:
        """Which pages are flagged, and which fields were left for somebody else."""
        return Flags.of(self.remarks(fresh))

    def say(self, remark: Remark) -> None:
        """Store a remark. Raises UsageError for one that is too long."""
        self._said.have(keep_remark(self._store, self._job, remark))
        with self._lock:
            self._remarks.add(remark)

    def _keep_remarks(self, came: Iterable[Remark]) -> None:
        found = list(came)
        with self._lock:
            self._remarks.update(found)

    def _read_remark(self, key: str) -> Remark:
        return read_remark(self._store, key)

    def done(self, fresh: float = FRESH_SECONDS) -> frozenset[tuple[int, int]]:
        """The tasks that need nothing more: round and number."""
        self._marks.look(fresh)
        with self._lock:
            return frozenset(self._done)

    def _keep_marks(self, came: Iterable[tuple[int, int] | None]) -> None:
        found = [each for each in came if each is not None]
        with self._lock:
            self._done.update(found)

    def mark_done(self, ref: TaskRef, who: str) -> None:
        """A task needs nothing more: so write, for all servers."""
        self._store.put(names.review_task_done(self._job, *ref.place), who.encode())
        with self._lock:
            self._done.add(ref.place)

    def rounds(self, fresh: float = FRESH_SECONDS) -> list[Round]:
        """The rounds of the job, in order."""
        with self._lock:
            if time.monotonic() - self._looked >= fresh:
                began = time.monotonic()
                self._rounds += load_rounds(self._store, self._job, len(self._rounds))
                self._looked = began
            return list(self._rounds)

    def tasks(self, fresh: float = FRESH_SECONDS) -> Iterator[TaskRef]:
        """The tasks of all rounds, in order."""
        for each in self.rounds(fresh):
            for number in range(len(each.tasks)):
                yield TaskRef(each, number)

    def task(self, name: str) -> TaskRef:
        """A task by its name. Raises NotFound."""
        number, _, place = name.partition("-")
        if number.isdecimal() and place.isdecimal():
            for fresh in (FRESH_SECONDS, 0.0):
                found = self.rounds(fresh)
                if int(number) < len(found) and int(place) < len(found[int(number)].tasks):
                    return TaskRef(found[int(number)], int(place))
        raise NotFound(f"this job has no task {name[:20]!r}: ask for the next one")


def _in_order(found: Iterable[Event]) -> list[Event]:
    return sorted(found, key=lambda each: (each.when, each.who, each.item, each.field))
