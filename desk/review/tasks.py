"""The tasks of a review, and the rounds in which they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import NotFound
from inkmill.records import codec
from inkmill.records.codec import (
    DigestOrEmpty,
    ItemCount,
    Length,
    Name,
    Text,
    Timestamp,
    Within,
    one_of,
)
from inkmill.records.events import Place

_SCHEMA = 1

#: Cells read as the same digit on one screen; the doubtful fields of a document; what one person
#: keyed, blind, by another; a blind sample of accepted fields; fields on which three people differ,
#: or which two could not read, with what they entered.
GROUP, KEY, SECOND, AUDIT, DECIDE = KINDS = ("group", "key", "second", "audit", "decide")
#: In these nothing is shown of what was read or typed before.
BLIND = (SECOND, AUDIT)

#: Fields of one round, at most: people take days for so many, and then there is another.
MOST_FIELDS = 20_000
#: A task's rows lie together with those of the tasks beside it.
PIECE = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A field that a task asks about.

    ``shown`` is its value as it stands, ``proposed`` what Enter takes ("" for nothing); ``cell`` is
    the cell to look at in a group (else -1).
    """

    item: ItemCount
    field: Name
    shown: Text = ""
    proposed: Text = ""
    reason: Text = ""
    cell: Annotated[int, Within(-1, 10_000)] = -1

    @property
    def place(self) -> Place:
        """Which field of which item."""
        return self.item, self.field


@dataclass(frozen=True, slots=True)
class Task:
    """What one person does in one go: a screen of a group, or the fields of one document.

    ``digit`` is what the cells of a group were read as; ``not_by`` are people who may not have it,
    since they have entered these fields before; ``hidden`` shows nothing of what was read.
    """

    kind: Annotated[str, one_of(KINDS)]
    asked: Annotated[tuple[Asked, ...], Length(1, MOST_FIELDS)]
    digit: Annotated[str, Length(0, 1)] = ""
    not_by: tuple[Name, ...] = ()
    hidden: bool = False

    @property
    def blind(self) -> bool:
        """Whether it shows nothing of what was read or typed before."""
        return self.hidden or self.kind in BLIND


@dataclass(frozen=True, slots=True)
class Round:
    """Tasks made at one time; ``build`` names the folder of their rows, ``sample`` the audit.

    An audit is a round of its own.
    """

    number: Annotated[int, Within(0, 99_999)]
    when: Timestamp
    build: Name
    tasks: Annotated[tuple[Task, ...], Length(1, MOST_FIELDS)]
    sample: DigestOrEmpty = ""
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def encode(self) -> bytes:
        """The round as JSON."""
        return codec.encode(self, "a round of tasks")


@dataclass(frozen=True, slots=True)
class TaskRef:
    """A task of a round; ``name`` is what it is called outside."""

    round: Round
    number: int

    @property
    def task(self) -> Task:
        """The task itself."""
        return self.round.tasks[self.number]

    @property
    def name(self) -> str:
        """Round and number in one word."""
        return f"{self.round.number}-{self.number}"

    @property
    def place(self) -> tuple[int, int]:
        """Round and number."""
        return self.round.number, self.number

    @property
    def piece(self) -> tuple[str, int]:
        """Where its rows lie: folder and number."""
        return self.round.build, self.number // PIECE

    def asked(self, place: Place) -> Asked | None:
        """What the task asks about a field; None if nothing."""
        return next((each for each in self.task.asked if each.place == place), None)


def load_rounds(store: Store, job: str, known: int = 0) -> list[Round]:
    """The rounds of a job from number ``known`` on, in order."""
    found = []
    for entry in store.list(names.review_rounds(job)):
        if entry.key >= names.review_round(job, known):
            found.append(codec.decode(Round, store.get(entry.key).data, entry.key, schema=_SCHEMA))
    return found


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is reviewed.

    ``second_share`` is the share of keyed fields that a second person keys, ``second_fields`` are
    keyed twice always. With ``masked``, keyers see snippets and never a page; with ``hidden``, they
    key without seeing what was read. ``screen`` is the number of cells on a screen of a group.
    """

    second_share: Annotated[float, Within(0, 1)] = 0.0
    second_fields: tuple[Name, ...] = ()
    masked: bool = False
    hidden: bool = False
    screen: Annotated[int, Within(1, 120)] = 40
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def load_options(store: Store, job: str) -> Options:
    """How a job is reviewed; the defaults until a supervisor says otherwise."""
    return stored_options(store, job)[0]


def stored_options(store: Store, job: str) -> tuple[Options, str]:
    """The same, with the etag that a change may name; "" while the defaults hold."""
    key = names.review_options(job)
    try:
        stored = store.get(key)
    except NotFound:
        return Options(), ""
    return codec.decode(Options, stored.data, key, schema=_SCHEMA), stored.etag


def keep_options(store: Store, job: str, options: Options, etag: str | None = None) -> None:
    """Store how a job is reviewed.

    ``etag`` is that of the options which these are to replace; without it, whatever is stored is
    replaced. Raises UsageError for a value out of its bounds, and PreconditionFailed if somebody
    changed the options since.
    """
    data = codec.encode(options, "the options", indent=1)
    if etag is None:
        store.put(names.review_options(job), data)
    elif etag:
        store.put(names.review_options(job), data, if_match=etag)
    else:
        store.put(names.review_options(job), data, if_none_match=True)


#: Left for somebody else; a note; a page that no value can be keyed from, and that it can again;
#: a field sent back to be keyed anew.
SKIPPED, COMMENT, FLAGGED, CLEARED, SENT_BACK = REMARKS = (
    "skipped",
    "comment",
    "flagged",
    "cleared",
    "sent_back",
)


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person said of a page (``field`` is "") or field besides its value."""

    kind: Annotated[str, one_of(REMARKS)]
    item: ItemCount
    field: Annotated[str, Length(0, 200)]
    text: Annotated[str, Length(0, 500)]
    who: Name
    when: Timestamp
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def keep_remark(store: Store, job: str, remark: Remark) -> str:
    """Store a remark; returns its key. Raises UsageError for one that is too long."""
    data = codec.encode(remark, "the remark")
    key = names.review_remark(job, hashlib.sha256(data).hexdigest())
    store.put(key, data)
    return key


def read_remark(store: Store, key: str) -> Remark:
    """A remark. Raises NotFound, Corrupt, or Newer."""
    return codec.decode(Remark, store.get(key).data, key, schema=_SCHEMA)


@dataclass(frozen=True, slots=True)
class Flags:
    """What the remarks of a job say together: pages that are flagged, fields to be keyed alone."""

    pages: dict[int, Remark] = field(default_factory=dict)
    skipped: frozenset[Place] = frozenset()

    @classmethod
    def of(cls, remarks: Iterable[Remark]) -> Flags:
        """From remarks in order of time."""
        pages, skipped = dict[int, Remark](), set[Place]()
        for each in remarks:
            if each.kind == FLAGGED:
                pages[each.item] = each
            elif each.kind == CLEARED:
                pages.pop(each.item, None)
            elif each.kind == SKIPPED:
                skipped.add((each.item, each.field))
        return cls(pages, frozenset(skipped))
