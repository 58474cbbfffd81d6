"""Values that people entered for fields, and which value holds in the end.

Events are only added, never changed (`inkmill.backends.event_log`). The result does not depend on
the order in which they arrived: for each field the latest entry of each person counts, and a
disagreement is settled by one more entry that agrees with one of them, or by a decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from inkmill.records import codec
from inkmill.records.codec import ItemCount, Length, Name, Text, Timestamp, Within, one_of

SCHEMA_VERSION = 1
#: Where an event was entered: in a review list, a blind audit or the browser page.
REVIEW, AUDIT, PAGE = "review", "audit", "page"
#: Events that settle nothing: an answer that came when somebody else had settled the field already,
#: and the note that a person's entry was taken back (``who`` is that person, ``value`` who did it).
LATE, WITHDRAWN = "late", "withdrawn"
#: What a supervisor decided where people differ: it holds, whatever others entered.
DECIDED = "decided"
SOURCES = (REVIEW, AUDIT, PAGE, LATE, WITHDRAWN, DECIDED)
#: Entered for a field that cannot be read.
UNREADABLE = "?"
#: Most entries of one list: a form has some dozens of fields, a job millions of pages.
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
    """The entries that one person made in one go: one object."""

    events: Annotated[tuple[Event, ...], Length(1, _MOST_EVENTS)]
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    def encode(self) -> bytes:
        """The batch as JSON. Raises UsageError for a value that cannot be stored."""
        return codec.encode(self, "the list of entries")

    @classmethod
    def decode(cls, data: bytes, name: str) -> EventBatch:
        """The batch in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=SCHEMA_VERSION)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of all entries for a field.

    ``value`` is None while people disagree; ``who`` are those who entered it (or all who disagree);
    ``entries`` holds the value of each.
    """

    value: str | None
    who: tuple[str, ...]
    entries: Mapping[str, str]
    source: str

    @property
    def differs(self) -> bool:
        """Whether another person must look at the field."""
        return self.value is None


def verdicts(events: Iterable[Event]) -> dict[Place, Verdict]:
    """The outcome for each field that has an entry; ``events`` in order of time."""
    latest: dict[Place, dict[str, Event]] = {}
    for event in events:
        entries = latest.setdefault(event.place, {})
        if event.source == WITHDRAWN:
            entries.pop(event.who, None)
        elif event.source != LATE:
            entries[event.who] = event
    return {place: _verdict(entries) for place, entries in latest.items() if entries}


def _verdict(entries: Mapping[str, Event]) -> Verdict:
    said = {who: event.value for who, event in sorted(entries.items())}
    newest = max(entries.values(), key=lambda event: event.when)
    if decided := [event for event in entries.values() if event.source == DECIDED]:
        last = max(decided, key=lambda event: event.when)
        return Verdict(last.value, (last.who,), said, DECIDED)
    first, *others = Counter(said.values()).most_common(2)
    if others and others[0][1] == first[1]:
        return Verdict(None, tuple(said), said, newest.source)
    people = tuple(who for who, value in said.items() if value == first[0])
    return Verdict(first[0], people, said, newest.source)
