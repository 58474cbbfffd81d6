"""What people said of fields: who typed which value, and what holds in the end.

Events are only ever added (`inkmill.backends.event_log`). What holds does not depend on the order
in which they came: for each field the latest entry of each person counts, and people who differ
are brought together by one more entry that agrees with one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

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

    def encode(self) -> bytes:
        """The batch as JSON. Raises UsageError for a value that cannot be stored."""
        return codec.encode(self, "what was typed")

    @classmethod
    def decode(cls, data: bytes, name: str) -> EventBatch:
        """The batch in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=SCHEMA_VERSION)


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
