"""What people said of fields: events that are only ever added.

One object holds what one person typed in one go (a list in a file, or one answer in a browser
page). It is named by its content and written once, so that a repeated import does nothing and
no two people overwrite each other. Who goes back to a single answer of before adds an object of the
same content and a later time; a list that comes again is an old file, and must not undo what was
corrected since. What holds in the end does not depend on the order in which
the objects came: for each field the latest entry of each person counts, and people who differ
are brought together by one more entry that agrees with one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import ItemCount, Length, Name, Text, Timestamp, Within, one_of

SCHEMA_VERSION = 1
#: What an event came by: a review list, a blind audit, the browser page.
REVIEW, AUDIT, PAGE = "review", "audit", "page"
SOURCES = (REVIEW, AUDIT, PAGE)
#: A person's word that a field cannot be read by anybody.
UNREADABLE = "?"
#: Of one list that a person filled in: a form has some dozens of fields, a job millions of pages.
_MOST_EVENTS = 100_000_000

Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One value, from one person, for one field of one item.

    ``before`` is the value that was shown or stored; ``when`` in seconds since the epoch.
    """

    item: ItemCount
    field: Name
    value: Text
    before: Text
    who: Name
    when: Timestamp
    source: Annotated[str, one_of(SOURCES)] = REVIEW

    @property
    def place(self) -> Place:
        """Which field of which item."""
        return self.item, self.field


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What one person typed in one go: one object."""

    events: Annotated[tuple[Event, ...], Length(1, _MOST_EVENTS)]
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Verdict:
    """What people's entries for a field come to.

    ``value`` is None while they differ; ``who`` are those who said it (or all who differ);
    ``entries`` what each said.
    """

    value: str | None
    who: tuple[str, ...]
    entries: Mapping[str, str]
    source: str

    @property
    def differs(self) -> bool:
        """Whether one more person must look."""
        return self.value is None


def add(store: Store, job: str, events: Sequence[Event]) -> bool:
    """Store one person's entries as one object; False where that changes nothing: the very same
    lie there, as a list, or as a single answer that still holds for that person.

    Raises UsageError for entries of several people at once, or of a source that is none.
    """
    if len({(event.who, event.source) for event in events}) != 1:
        raise UsageError("one import is one person's work: give one name and one source")
    if events[0].source not in SOURCES:
        raise UsageError(f"{events[0].source!r} is no source of values: {', '.join(SOURCES)}")
    ordered = sorted(events, key=lambda event: event.place)
    said = [[each.item, each.field, each.value, each.before] for each in ordered]
    content = [events[0].who, events[0].source, said]
    if _put(store, job, content, ordered):
        return True
    if len(ordered) > 1 or _holds(load(store, job), ordered[0]):
        return False
    # The same was typed before, and something else since: by its time it is another object.
    return _put(store, job, [*content, ordered[0].when], ordered)


def _put(store: Store, job: str, content: list[Any], events: Sequence[Event]) -> bool:
    """Write an object named by ``content``; False if there is one."""
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    data = codec.encode(EventBatch(tuple(events)), "what was typed")
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
    found: list[Event] = []
    for entry in store.list(names.events(job)):
        data = store.get(entry.key).data
        found += codec.decode(EventBatch, data, entry.key, schema=SCHEMA_VERSION).events
    return sorted(found, key=lambda each: (each.when, each.who, each.item, each.field))


def verdicts(events: Iterable[Event]) -> dict[Place, Verdict]:
    """What holds for each field that somebody entered; ``events`` in order of time."""
    latest: dict[Place, dict[str, Event]] = {}
    for event in events:
        latest.setdefault(event.place, {})[event.who] = event
    return {place: _verdict(entries) for place, entries in latest.items()}


def _verdict(entries: Mapping[str, Event]) -> Verdict:
    said = {who: event.value for who, event in sorted(entries.items())}
    newest = max(entries.values(), key=lambda event: event.when)
    first, *others = Counter(said.values()).most_common(2)
    if others and others[0][1] == first[1]:
        return Verdict(None, tuple(said), said, newest.source)
    people = tuple(who for who, value in said.items() if value == first[0])
    return Verdict(first[0], people, said, newest.source)
