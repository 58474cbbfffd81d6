"""Runs that were submitted to trainers: a record for each, by which trainers agree who trains it.

    waiting ──claim──> running ──finish──> done | failed
       ^                  │
       └──── release ─────┘    the trainer stops, or its training was killed

The messages of the queue only wake trainers. Each change of a record is a conditional write, and a
trainer at work renews its claim; one that fell silent loses it to whoever claims the run next, who
resumes from the newest checkpoint. Silence is that a record did not change while this process
looked: no two hosts' clocks are compared.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import ItemCount, Length, Name, NameOrEmpty, Timestamp, Within, one_of
from inkmill.trainer.config import Config
from inkmill.trainer.runs.storage import RunStore

log = logging.getLogger(__name__)

WAITING, RUNNING, DONE, FAILED = STATES = ("waiting", "running", "done", "failed")
_SCHEMA = 1
#: Characters of a trainer's last lines that a record keeps.
MOST_LOG = 2_000
#: A training that was begun so often and never came to an end kills its trainers.
MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A submitted run: its config, and what became of it.

    ``sweep`` is the name of the sweep that it is a trial of, with the trial's ``number`` and
    ``values``. ``publish`` is the name to publish its model under, "" for none, with ``margin``
    and ``force`` as in `inkmill train`. ``changed`` is when the record was written, by the clock
    of whoever wrote it; ``attempts`` counts claims after which the run was neither finished nor
    given back.
    """

    run: Name
    config: dict[str, Any]
    sweep: NameOrEmpty = ""
    number: ItemCount = 0
    values: dict[str, Any] = field(default_factory=dict)
    publish: NameOrEmpty = ""
    margin: Annotated[float, Within(-1, 1)] = 0.0
    force: bool = False
    state: Annotated[str, one_of(STATES)] = WAITING
    trainer: NameOrEmpty = ""
    attempts: ItemCount = 0
    changed: Timestamp = 0.0
    log: Annotated[str, Length(0, MOST_LOG)] = ""
    inkmill_queued_run: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    @property
    def is_open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in (WAITING, RUNNING)

    @property
    def last_line(self) -> str:
        """The last line that its training said, or why it failed."""
        return (self.log.splitlines() or [""])[-1]

    def parsed(self) -> Config:
        """Its config. Raises UsageError, should another Inkmill know other keys."""
        return Config.parse(self.config, f"run {self.run}")


#: A record with its etag.
Held = tuple[QueuedRun, str]


def read(store: RunStore, run: str) -> Held | None:
    """The record of a run, and its etag; None if it was not submitted. Raises Corrupt, Newer."""
    key = names.run_queued(run)
    try:
        stored = store.get(key)
    except NotFound:
        return None
    found = codec.decode(
        QueuedRun, stored.data, key, schema=_SCHEMA, schema_field="inkmill_queued_run"
    )
    return found, stored.etag


def refuse_submitted(store: RunStore, run: str) -> None:
    """Raise UsageError for a run that trainers work on, or will."""
    found = read(store, run)
    if found is not None and found[0].is_open:
        raise UsageError(
            f"run {run} was submitted to trainers and is {found[0].state}: wait for it with "
            f"--submit --wait, or withdraw it with `inkmill runs delete {run}`"
        )


def check_same(there: QueuedRun, asked: QueuedRun) -> None:
    """Raise UsageError if a run that is asked for was submitted with another config."""
    if there.config != asked.config:
        raise UsageError(
            f"run {asked.run} was submitted with another config: use the same options as then, or "
            "choose another --run"
        )


class Ledger:
    """The submitted runs of a store, for one process.

    A claim that did not change for ``silence`` seconds before this process's eyes is open to
    others. Every method may raise Unreachable or StoreDenied.
    """

    def __init__(
        self, store: Store, silence: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self._silence, self._clock = silence, clock
        self._seen: dict[str, tuple[str, float]] = {}
        self._over: set[str] = set()

    def submit(self, asked: QueuedRun) -> QueuedRun:
        """Record a run, or find it recorded; one that failed is to be done again.

        Raises UsageError if a run of that name has another config.
        """
        try:
            return self._write(asked, None)[0]
        except PreconditionFailed:
            found = read(self.store, asked.run)
        if found is None:
            raise UsageError(f"run {asked.run} was deleted just now: submit it again") from None
        there, etag = found
        check_same(there, asked)
        if there.state == FAILED:
            return self._write(asked, etag)[0]
        return there

    def claim(self, run: str, trainer: str) -> Held | None:
        """Take a run that waits, or whose trainer fell silent; None if there is nothing to take."""
        found = read(self.store, run)
        if found is None or not self._is_free(*found):
            return None
        record, etag = found
        changes = {"state": RUNNING, "trainer": trainer, "attempts": record.attempts + 1}
        try:
            return self.change(record, etag, **changes)
        except PreconditionFailed:
            return None  # another trainer was quicker

    def change(self, record: QueuedRun, etag: str, **changes: Any) -> Held:
        """Write a record as changed.

        Raises PreconditionFailed if it is no longer ours: claimed by another, or deleted.
        """
        return self._write(replace(record, **changes), etag)

    def free(self) -> Iterator[QueuedRun]:
        """The runs that a trainer could claim now, as far as this process can tell."""
        for run in queued_names(self.store):
            if run in self._over:
                continue
            try:
                found = read(self.store, run)
            except Corrupt as error:
                log.warning("skipped a submitted run: %s", error)
                continue
            if found is None:
                continue
            if self._is_free(*found):
                yield found[0]
            elif found[0].state == DONE:
                self._over.add(run)

    def _is_free(self, record: QueuedRun, etag: str) -> bool:
        if record.state != RUNNING:
            return record.state == WAITING
        seen, since = self._seen.get(record.run, ("", 0.0))
        if seen != etag:
            self._seen[record.run] = etag, self._clock()
            return False
        return self._clock() - since > self._silence

    def _write(self, record: QueuedRun, etag: str | None) -> Held:
        made = replace(record, changed=time.time())
        key = names.run_queued(record.run)
        data = codec.encode(made, f"the record of run {record.run}", indent=1)
        try:
            written = self.store.put(key, data, if_match=etag, if_none_match=etag is None)
        except NotFound:
            # What is to be replaced was deleted.
            raise PreconditionFailed(f"run {record.run} was withdrawn") from None
        return made, written


def queued_names(store: RunStore) -> list[str]:
    """The names of all submitted runs, in order."""
    keys = (entry.key for entry in store.list(names.RUNS))
    found = ((key, key.split("/")[1]) for key in keys)
    return [run for key, run in found if names.is_job(run) and key == names.run_queued(run)]


def of_sweep(store: RunStore, sweep: str) -> Mapping[str, QueuedRun]:
    """The submitted trials of a sweep, by the name of their run."""
    records = ((run, read(store, run)) for run in queued_names(store))
    return {run: found[0] for run, found in records if found is not None if found[0].sweep == sweep}
