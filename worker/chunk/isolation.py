"""Chunks that take whole workers down with them.

An engine's death is survived in the worker (see engines). A chunk whose attempts ended with
the death of the worker itself, say because the host ran out of memory, is counted in Redis
and, from the second attempt on, in the store, which a flushed Redis cannot forget. After some
such attempts the chunk is suspected: its items are read one at a time, and before each the
store is told which. The next attempt then knows who was in hand at a death: an item that was
so twice is given up, the others are read. Nothing else is read in that worker meanwhile, so
that no innocent is blamed for what another chunk did. Where not even that helps, the chunk is
quarantined as a whole.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from inkmill import names
from inkmill.backends.store import Store
from inkmill.codes import Code
from inkmill.errors import Corrupt, NotFound, StoreDenied, Unreachable
from inkmill.records.jobs import Message

log = logging.getLogger(__name__)

#: Attempts that may end with a worker's death before the chunk is suspected ...
_SUSPECTED = 3
#: Deaths with one item in hand until that item is given up: one may be an operator's kill -9.
_STRIKES = 2
#: ... and further ones, without an item to blame, before all of it is quarantined.
_GIVEN_UP = 4

Verdicts = dict[int, tuple[Code, str]]


@dataclass(slots=True)
class Suspect:
    """What is known of a suspected chunk: the item in hand, how often each was so at a death,
    and those given up."""

    in_hand: int | None = None
    verdicts: Verdicts = field(default_factory=dict)
    attempts: int = 0
    strikes: dict[int, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        verdicts = {str(k): [str(code), words] for k, (code, words) in self.verdicts.items()}
        record = {
            "in_hand": self.in_hand,
            "verdicts": verdicts,
            "attempts": self.attempts,
            "strikes": self.strikes,
        }
        return json.dumps(record).encode()

    @classmethod
    def decode(cls, data: bytes) -> Suspect:
        record = json.loads(data)
        verdicts = {
            int(position): (Code(code), words)
            for position, (code, words) in record["verdicts"].items()
        }
        strikes = {int(position): count for position, count in record["strikes"].items()}
        return cls(record["in_hand"], verdicts, record["attempts"], strikes)


def count(store: Store, message: Message, tries: int, worker: str) -> int:
    """Which attempt this is, by Redis and the store, whichever knows more; leaves its mark.

    Called from the second attempt on. After Redis forgot the attempts, a sweep tells it those
    that the store remembers before it sends the chunk again.
    """
    number = max(tries, _marks(store, message) + 1)
    mark = {"worker": worker, "time": time.time(), "attempt": number}
    store.put(names.attempt(message.job, message.chunk, number), json.dumps(mark).encode())
    return number


def uncount(store: Store, message: Message, number: int) -> None:
    """The attempt of that number ended through no fault of the chunk."""
    store.delete([names.attempt(message.job, message.chunk, number)])


def _marks(store: Store, message: Message) -> int:
    """Attempts that the store remembers: the highest number."""
    found = map(names.attempt_of, _keys(store, message))
    return max((attempt[1] for attempt in found if attempt is not None), default=0)


def _keys(store: Store, message: Message) -> Iterator[str]:
    return (entry.key for entry in store.list(names.attempts_of(message.job, message.chunk)))


def is_suspected(attempt: int) -> bool:
    """Whether so many attempts make a chunk suspected."""
    return attempt > _SUSPECTED


class Solitude:
    """Many chunks are read at a time; or one alone, so that a death meanwhile is its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = self._waiting = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Read beside others; waits while one is read alone, or is about to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Read with nothing beside; waits until the others are done."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._alone and not self._together)
            self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class Interrogation:
    """One attempt at a suspected chunk, item by item, with the store as witness."""

    def __init__(self, store: Store, message: Message, items: int) -> None:
        self._store = store
        self._key = names.suspect(message.job, message.chunk)
        self._items = items
        self._message = message
        self._state = self._resume()

    def _resume(self) -> Suspect:
        try:
            state = Suspect.decode(self._store.get(self._key).data)
        except (NotFound, Corrupt, ValueError, KeyError):
            state = Suspect()
        state.attempts += 1
        if (blamed := state.in_hand) is not None:
            state.strikes[blamed] = state.strikes.get(blamed, 0) + 1
            if state.strikes[blamed] >= _STRIKES:
                words = "workers died again and again while they read this item; it is given up"
                state.verdicts[blamed] = (Code.QUARANTINED, words)
            state.in_hand = None
            state.attempts = 0
        if state.attempts > _GIVEN_UP:
            words = "workers died of this chunk again and again; it is quarantined"
            state.verdicts = dict.fromkeys(range(self._items), (Code.QUARANTINED, words))
        self._store.put(self._key, state.encode())
        return state

    @property
    def verdicts(self) -> Verdicts:
        """Items that are given up: position -> code and words."""
        return dict(self._state.verdicts)

    def before(self, position: int) -> None:
        """The item at this position is about to be read."""
        self._state.in_hand = position
        self._store.put(self._key, self._state.encode())

    def over(self) -> None:
        """All items were read."""
        self._state.in_hand = None
        self._store.put(self._key, self._state.encode())

    def excuse(self) -> None:
        """The attempt ends in the middle, for want of a model or since the worker leaves: the item
        in hand must not be blamed for that."""
        self._state.attempts -= 1
        try:
            self.over()
        except (Unreachable, StoreDenied) as error:
            log.warning("the item in hand may be blamed for what it did not do: %s", error)


def evidence(message: Message, given_up: Mapping[int, tuple[str, str]]) -> tuple[str, bytes]:
    """Key and content of the note on what was given up in a chunk: for ``inkmill quarantine``."""
    record = {
        "job": message.job,
        "chunk": message.chunk,
        "time": time.time(),
        "items": [
            {"item": item, "code": code, "message": words}
            for item, (code, words) in sorted(given_up.items())
        ],
    }
    key = names.quarantined(message.job, message.chunk)
    return key, json.dumps(record, indent=1).encode()
