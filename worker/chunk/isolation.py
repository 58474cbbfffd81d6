"""Chunks that take whole workers down with them.

An engine's death is survived in the worker (`inkmill.worker.pool`). A chunk whose attempts ended
with the death of the worker itself, say because the host ran out of memory, is suspected after
some of them (`inkmill.worker.chunk.attempts` counts). Its items are then read one at a time, and
before each the store is told which, so that the next attempt knows the item in hand at a death:
one that was so twice is given up, the others are read. Nothing else is read in that worker
meanwhile, so that no innocent item is blamed for what another chunk did. Where not even that
helps, the chunk is quarantined as a whole.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated

from inkmill import names
from inkmill.codes import Code
from inkmill.errors import Corrupt, InkmillError, NotFound, StoreDenied, Unreachable
from inkmill.records import codec
from inkmill.records.codec import ItemCount, Within
from inkmill.records.evidence import Evidence
from inkmill.records.messages import Message
from inkmill.worker.link import ChunkResult, ModelPayload, Task
from inkmill.worker.patience import PatientStore
from inkmill.worker.pool import EnginePool

log = logging.getLogger(__name__)

#: Version of the stored record; a newer one is not used.
_SCHEMA = 1

#: Attempts that may end with a worker's death before the chunk is suspected ...
_SUSPECTED = 3
#: Deaths with one item in hand until that item is given up: one may be an operator's kill -9.
_STRIKES = 2
#: ... and further ones, without an item to blame, before all of it is quarantined.
_GIVEN_UP = 4

#: Items that are not to be read: position -> code and words for their rows.
Verdicts = dict[int, tuple[Code, str]]


def is_suspected(attempt: int) -> bool:
    """Whether so many attempts make a chunk suspected."""
    return attempt > _SUSPECTED


def read_one_by_one(
    store: PatientStore,
    pool: EnginePool,
    message: Message,
    task: Task,
    files: Callable[[str], ModelPayload],
) -> ChunkResult:
    """Read a suspected chunk item by item, with a record in the store of the item in hand.

    Raises as `EnginePool.read` does.
    """
    isolated = IsolatedRun(store, message, task.count)
    task = replace(task, verdicts={**task.verdicts, **isolated.verdicts})

    def before(position: int) -> None:
        if position not in task.verdicts:
            isolated.begin_item(position)

    try:
        result = pool.read_one_by_one(task, files, before)
    except InkmillError:  # it is no death, and the next attempt must not take it for one
        isolated.abandon()
        raise
    isolated.finish()
    return result


@dataclass(slots=True)
class IsolationState:
    """What is known of a suspected chunk: the item in hand, how often each was so at a death,
    those given up, and the attempts since the last death that an item was blamed for."""

    in_hand: ItemCount | None = None
    verdicts: dict[ItemCount, tuple[Code, str]] = field(default_factory=dict)
    attempts: ItemCount = 0
    strikes: dict[ItemCount, ItemCount] = field(default_factory=dict)
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def encode(self) -> bytes:
        return codec.encode(self, "the state of a suspected chunk")

    @classmethod
    def decode(cls, data: bytes, name: str) -> IsolationState:
        """The state in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=_SCHEMA)

    def count_attempt(self, items: int) -> None:
        """Another attempt at the chunk, of so many items, begins: what ended the one before?"""
        self.attempts += 1
        if (blamed := self.in_hand) is not None:
            self.strikes[blamed] = self.strikes.get(blamed, 0) + 1
            if self.strikes[blamed] >= _STRIKES:
                words = "workers died repeatedly while reading this item; it is given up"
                self.verdicts[blamed] = (Code.QUARANTINED, words)
            self.in_hand = None
            self.attempts = 0
        if self.attempts > _GIVEN_UP:
            words = "workers died repeatedly while reading this chunk; it is quarantined"
            self.verdicts = dict.fromkeys(range(items), (Code.QUARANTINED, words))


class IsolatedRun:
    """One attempt at a suspected chunk, item by item, recorded in the store.

    The attempt is counted here, once; requests that store the count may be repeated.
    """

    def __init__(self, store: PatientStore, message: Message, items: int) -> None:
        self._store = store
        self._key = names.suspect(message.job, message.chunk)
        self._state = self._load()
        self._state.count_attempt(items)
        self._save()

    def _load(self) -> IsolationState:
        try:
            return IsolationState.decode(self._store.get(self._key).data, self._key)
        except (NotFound, Corrupt):
            return IsolationState()

    def _save(self) -> None:
        self._store.put(self._key, self._state.encode())

    @property
    def verdicts(self) -> Verdicts:
        """Items that are given up."""
        return dict(self._state.verdicts)

    def begin_item(self, position: int) -> None:
        """The item at this position is about to be read."""
        self._state.in_hand = position
        self._save()

    def finish(self) -> None:
        """All items were read."""
        self._state.in_hand = None
        self._save()

    def abandon(self) -> None:
        """The attempt ends in the middle, because a model is missing or the worker stops: the item
        in hand must not be blamed for that. Does not wait for a store that is away."""
        self._state.attempts = max(0, self._state.attempts - 1)
        self._state.in_hand = None
        try:
            self._store.plain.put(self._key, self._state.encode())
        except (Unreachable, StoreDenied) as error:
            log.warning("an item may be blamed unfairly: %s", error)


class IsolationLock:
    """A shared lock for chunks that are read side by side, an exclusive one for a suspected chunk,
    so that a death meanwhile is its own. Who waits for the exclusive lock goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = self._waiting = 0
        self._exclusive = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Read beside others; waits while the lock is held exclusively, or is about to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive and not self._waiting)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Read with nothing beside; waits until the others are done."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._exclusive and not self._sharing)
            self._waiting -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()


def evidence(message: Message, given_up: Mapping[int, tuple[str, str]]) -> tuple[str, bytes]:
    """Key and content of the record of what was given up in a chunk: for ``inkmill quarantine``."""
    key = names.quarantined(message.job, message.chunk)
    record = Evidence.of(message.job, message.chunk, time.time(), given_up)
    return key, record.encode()
