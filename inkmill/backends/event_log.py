"""The log of people's entries: objects beside the job, added and never changed.

One object holds what one person typed in one go (a list in a file, or one answer in a browser
page). It is named by its content and written once, so that a repeated import does nothing and
no two people overwrite each other. Whoever goes back to an earlier answer adds an object of the
same content and a later time; a list that comes again is an old file, and must not undo what was
corrected since.

The answer to a task that one person of many gets (`answer`) is named by the task instead: the store
takes the first, so that no task is ever answered twice, whatever became of its lease.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import PreconditionFailed, UsageError
from inkmill.records.events import SOURCES, Event, EventBatch

_THREADS = 8


def add(store: Store, job: str, events: Sequence[Event]) -> bool:
    """Store one person's entries as one object; False where that changes nothing: the very same
    are stored already, as a list, or as a single answer that still holds for that person.

    Raises UsageError for entries of several people at once, or of an unknown source.
    """
    if len({(event.who, event.source) for event in events}) != 1:
        raise UsageError("one import is one person's work: give one name and one source")
    if events[0].source not in SOURCES:
        raise UsageError(
            f"{events[0].source!r} is not a source of values: use one of {', '.join(SOURCES)}"
        )
    ordered = sorted(events, key=lambda event: event.place)
    said = [[each.item, each.field, each.value, each.before] for each in ordered]
    content = [events[0].who, events[0].source, said]
    if _put(store, job, content, ordered):
        return True
    if len(ordered) > 1 or _holds(load(store, job), ordered[0]):
        return False
    # The same was typed before, and something else since: by its time it is another object.
    return _put(store, job, [*content, ordered[0].when], ordered)


def answer(store: Store, job: str, task: str, events: Sequence[Event]) -> Sequence[Event]:
    """Store the answer to a task, unless there is one; returns the answer that is stored.

    One request, or two where somebody was first. Whoever asks again because an answer of ours got
    lost gets back what they said.
    """
    if _put(store, job, ["task", task], events):
        return events
    key = key_of_answer(job, task)
    return EventBatch.decode(store.get(key).data, key).events


def key_of_answer(job: str, task: str) -> str:
    """The key under which the answer to a task is stored."""
    return names.event_batch(job, _digest(["task", task]))


def answered(store: Store, job: str, task: str) -> bool:
    """Whether a task has its answer."""
    return store.head(key_of_answer(job, task)) is not None


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _put(store: Store, job: str, content: list[Any], events: Sequence[Event]) -> bool:
    """Write an object named by ``content``; False if there is one."""
    digest = _digest(content)
    data = EventBatch(tuple(events)).encode()
    try:
        store.put(names.event_batch(job, digest), data, if_none_match=True)
    except PreconditionFailed:
        return False
    return True


def _holds(stored: Iterable[Event], event: Event) -> bool:
    """Whether this is the value that its person typed last."""
    said = [each.value for each in stored if (each.who, each.place) == (event.who, event.place)]
    return said[-1:] == [event.value]


def load(store: Store, job: str) -> list[Event]:
    """All events of a job, in the order in which people typed them. Raises Corrupt, or Newer."""
    keys = [entry.key for entry in store.list(names.events(job))]

    def read(key: str) -> Sequence[Event]:
        return EventBatch.decode(store.get(key).data, key).events

    # Thousands of small objects: one after another, each would wait for the store.
    with ThreadPoolExecutor(_THREADS) as together:
        found = [event for batch in together.map(read, keys) for event in batch]
    return sorted(found, key=lambda each: (each.when, each.who, each.item, each.field))
