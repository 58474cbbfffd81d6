"""Who did what in a job's review: progress, rate by person, disagreement by person and field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inkmill.backends.queue.leases import Lease
from inkmill.desk.people import users
from inkmill.desk.review.requests import kinds_of
from inkmill.desk.review.tasks import KINDS, Task, TaskRef
from inkmill.records.events import (
    AUDIT,
    DECIDED,
    LATE,
    PAGE,
    UNREADABLE,
    WITHDRAWN,
    Event,
    Place,
    Verdict,
)

#: A pause that is longer than this (seconds) is not work.
_PAUSE_SECONDS = 120.0


@dataclass
class Person:
    """What one person did.

    ``changed`` are entries that differ from the value shown, ``differs`` of the fields that others
    entered as well those where the others say something else, ``shared`` all of those. ``seconds``
    are those of work, without pauses of two minutes or more.
    """

    name: str
    entries: int = 0
    changed: int = 0
    unreadable: int = 0
    late: int = 0
    shared: int = 0
    differs: int = 0
    seconds: float = 0.0
    last: float = 0.0

    @property
    def per_hour(self) -> float:
        """Entries in an hour of work; 0 until it can be told."""
        return 3600 * self.entries / self.seconds if self.seconds >= 1 else 0.0


def people(events: Iterable[Event], verdicts: Mapping[Place, Verdict]) -> list[Person]:
    """What each person did, whoever did most first; ``events`` in order of time."""
    found = dict[str, Person]()
    for event in events:
        person = found.setdefault(event.who, Person(event.who))
        if event.source == LATE:
            person.late += 1
        if event.source not in (PAGE, AUDIT, DECIDED):
            continue
        person.entries += 1
        person.changed += event.value != event.before
        person.unreadable += event.value == UNREADABLE
        pause = event.when - person.last
        person.seconds += pause if 0 < pause < _PAUSE_SECONDS else 0.0
        person.last = event.when
    for verdict in verdicts.values():
        if len(verdict.entries) > 1:
            for who, value in verdict.entries.items():
                others = [said for other, said in verdict.entries.items() if other != who]
                person = found.setdefault(who, Person(who))
                person.shared += 1
                person.differs += value not in others
    return sorted(found.values(), key=lambda each: (-each.entries, each.name))


@dataclass(frozen=True, slots=True)
class Disputed:
    """A field that people entered differently."""

    place: Place
    entries: Mapping[str, str]
    settled: str | None


def disputed(verdicts: Mapping[Place, Verdict]) -> list[Disputed]:
    """The fields that people entered differently, unsettled ones first."""
    found = [
        Disputed(place, verdict.entries, verdict.value)
        for place, verdict in verdicts.items()
        if len(set(verdict.entries.values())) > 1
    ]
    return sorted(found, key=lambda each: (each.settled is not None, each.place))


def by_field(found: Iterable[Disputed]) -> list[tuple[str, int]]:
    """How often each field was entered differently, the worst first."""
    return Counter(each.place[1] for each in found).most_common()


@dataclass
class Progress:
    """Tasks and fields of one kind: how many there are, how many are done, how many in hand."""

    kind: str
    tasks: int = 0
    done: int = 0
    fields: int = 0
    fields_done: int = 0
    held: int = 0


@dataclass(frozen=True)
class Taken:
    """How far a job's tasks are, by kind."""

    kinds: Mapping[str, Progress] = field(default_factory=dict)

    @classmethod
    def of(
        cls, refs: Iterable[TaskRef], done: frozenset[tuple[int, int]], held: Iterable[str]
    ) -> Taken:
        """From all tasks, those that are done, and the names of those in somebody's hands."""
        kinds, leased = {kind: Progress(kind) for kind in KINDS}, set(held)
        for ref in refs:
            each = kinds[ref.task.kind]
            each.tasks += 1
            each.fields += len(ref.task.asked)
            if ref.place in done:
                each.done += 1
                each.fields_done += len(ref.task.asked)
            elif ref.name in leased:
                each.held += 1
        return cls({kind: each for kind, each in kinds.items() if each.tasks})


@dataclass(frozen=True, slots=True)
class InHand:
    """A task in somebody's hands until ``till``, and who else may have it."""

    name: str
    task: Task
    who: str
    till: float
    others: tuple[str, ...]


def in_hand(
    held: Mapping[str, Lease], tasks: Iterable[TaskRef], people: Iterable[users.Person]
) -> list[InHand]:
    """The tasks that are leased, by name."""
    found, everybody = list[InHand](), list(people)
    for ref in tasks:
        if (lease := held.get(ref.name)) is not None:
            who = lease.holder.rpartition("/")[0]
            others = (
                each.name
                for each in everybody
                if each.name not in (who, *ref.task.not_by) and ref.task.kind in kinds_of(each)
            )
            found.append(InHand(ref.name, ref.task, who, lease.till, tuple(others)))
    return found


def entries_of(events: Iterable[Event], who: str, most: int) -> list[Event]:
    """The last entries of a person that still count, the newest first."""
    latest = dict[Place, Event]()
    for event in events:
        if event.who == who and event.source == WITHDRAWN:
            latest.pop(event.place, None)
        elif event.who == who and event.source != LATE:
            latest[event.place] = event
    return sorted(latest.values(), key=lambda each: -each.when)[:most]
