"""Which pages belong to one document, which are duplicated, and which are missing.

A document is identified by a key, else by its pages' positions in a file. The pages of each are
noted while the rows are gone through; the result depends on the items' numbers alone, never on
the order of the rows. A document costs some 200 bytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

from inkmill.codes import Code, PageBy, Status
from inkmill.records.jobs import FIRST_COMES, HOLD, KEEP
from inkmill.records.rows import Row
from inkmill.template.form import Form

#: Key and 0, or source and where the document begins in its file; pages that came twice and are
#: both kept make a second document.
Document = tuple[str, int]

#: Bits of a note: the page of the form (0: unknown), how it is known, the position in the file; the
#: item's number is above them.
_PAGE_BITS, _STATE_BITS, _POSITION_BITS = 12, 2, 24
#: How a page is known: by itself; by its turn in the file alone; not at all, or it is in error.
_SEEN, _IN_TURN, _LOST = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Policy:
    """What a job wants of its documents: see `inkmill.records.jobs.Options`."""

    doubles: str = HOLD
    keyed: bool = False


def document_of(row: Row, form: Form) -> Document:
    """The document that a row belongs to: by its key, else by its position in its file."""
    if row.document_key:
        return row.document_key, 0
    # At least 1: a page that stands where its document would have begun before the file.
    return row.source, row.page - (page_of(row, form) or _turn(row, form)) + form.page_count


def document_label(row: Row, form: Form) -> str:
    """The document of a row in one word, as tables and statistics show it."""
    return "/".join(map(str, document_of(row, form)))


def page_of(row: Row, form: Form) -> int:
    """Which page of the form a row is; 0 if that is not known."""
    if row.form_page or not row.fields:
        return row.form_page or (1 if form.page_count == 1 else 0)
    first = row.fields[0].name
    return next(each.page for each in form.all_fields if each.name == first)


def _turn(row: Row, form: Form) -> int:
    """Which page of the form it would be: files of several pages go in turn."""
    return (row.page - 1) % form.page_count + 1


@dataclass(frozen=True)
class Documents:
    """What is special about some items of a job; each of the others is the only one of its page.

    ``dropped``: another item counts for this page; ``held``: its document has duplicate pages, and
    which of them belong to it is not known (item -> the first of its page); ``copies``: the page
    belongs to a further document of the same key; ``missing``: a message about the pages that its
    document lacks; ``refused``: why the page is not the one that it was read as; ``begins``: where
    the document of a page out of turn begins in its file.
    """

    dropped: Mapping[int, int] = field(default_factory=dict)
    held: Mapping[int, int] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    begins: Mapping[int, int] = field(default_factory=dict)

    def of(self, row: Row, form: Form) -> tuple[str, int, int]:
        """The document of a row."""
        key, begin = document_of(row, form)
        return key, self.begins.get(row.item, begin), self.copies.get(row.item, 0)


class _Note(NamedTuple):
    """An item of a document: what is known of its page, and how; packed into a number."""

    item: int
    position: int
    state: int
    page: int

    @classmethod
    def of(cls, row: Row, form: Form) -> _Note:
        if row.status is Status.ERROR:
            return cls(row.item, row.page, _LOST, row.form_page)
        state = _IN_TURN if row.page_by is PageBy.ORDER else _SEEN
        return cls(row.item, row.page, state, page_of(row, form))

    def packed(self) -> int:
        number = self.item << _POSITION_BITS | self.position
        return (number << _STATE_BITS | self.state) << _PAGE_BITS | self.page

    @classmethod
    def unpacked(cls, number: int) -> _Note:
        rest, page = number >> _PAGE_BITS, number & ((1 << _PAGE_BITS) - 1)
        rest, state = rest >> _STATE_BITS, rest & ((1 << _STATE_BITS) - 1)
        return cls(rest >> _POSITION_BITS, rest & ((1 << _POSITION_BITS) - 1), state, page)

    def in_turn(self, count: int) -> bool:
        """Whether this is the page whose turn it is in a file of documents of ``count`` pages."""
        return self.page == (self.position - 1) % count + 1


def take_stock(
    rows: Iterable[Row],
    form: Form,
    policy: Policy,
    strays: Mapping[str, tuple[int, ...]] | None = None,
) -> Documents:
    """Go through all rows of a form and say which items are special.

    ``strays`` are items without a key that must be pages of a document, by its key.
    """
    notes: dict[int, list[int]] = {}
    unkeyed: dict[int, list[int]] = {}
    for row in rows:
        by_key = bool(row.document_key)
        mark = _mark((row.document_key, 0) if by_key else (row.source, 0))
        (notes if by_key else unkeyed).setdefault(mark, []).append(_Note.of(row, form).packed())
    found = _Stock(form.page_count, policy.doubles)
    named = {_mark((key, 0)): items for key, items in (strays or {}).items()}
    for mark, packed in notes.items():
        found.add(map(_Note.unpacked, sorted(packed)), named.get(mark, ()))
    for packed in unkeyed.values():
        found.add_file(list(map(_Note.unpacked, sorted(packed))))
    return found.documents


def _mark(document: Document) -> int:
    """Eight bytes that stand for a document."""
    text = f"{document[1]} {document[0]}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class _Stock:
    """The documents one after another, each with its items in order."""

    def __init__(self, page_count: int, doubles: str) -> None:
        self._count = page_count
        self._doubles = doubles
        self._dropped: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self._copies: dict[int, int] = {}
        self._missing: dict[int, str] = {}
        self._refused: dict[int, str] = {}
        self._begins: dict[int, int] = {}

    @property
    def documents(self) -> Documents:
        return Documents(
            dropped=self._dropped,
            held=self._held,
            copies=self._copies,
            missing=self._missing,
            refused=self._refused,
            begins=self._begins,
        )

    def add_file(self, notes: Sequence[_Note]) -> None:
        """All items of a file without keys: one document, or several in turn.

        A file of at most as many pages as the form has is one document, whatever their order.
        """
        seen = [note for note in notes if note.state == _SEEN]
        one = max(note.position for note in notes) <= self._count
        one = one and len({note.page for note in seen}) == len(seen)
        moved = [note for note in notes if note.state != _LOST and not note.in_turn(self._count)]
        if moved:
            notes = [self._unguessed(note, seen, notes if one else ()) for note in notes]
        if one:
            self._begins.update({note.item: self._count for note in moved})
            self.add(notes)
            return
        by_begin: dict[int, list[_Note]] = {}
        for note in notes:
            turn = note.page or (note.position - 1) % self._count + 1
            by_begin.setdefault(note.position - turn + self._count, []).append(note)
        for document in by_begin.values():
            self.add(document)

    def _unguessed(self, note: _Note, seen: Sequence[_Note], document: Sequence[_Note]) -> _Note:
        """A page of a file whose pages are not in turn: its turn says nothing about it.

        Unless it is the only one of its ``document`` whose page is not known.
        """
        if note.state != _IN_TURN:
            return note
        left = set(range(1, self._count + 1)) - {each.page for each in seen}
        if len(left) == 1 and len(document) == len(seen) + 1:
            if note.page in left:
                return note
            self._refused[note.item] = not_the_page(note.page, left.pop())
        else:
            self._refused[note.item] = not_the_page(note.page)
        return note._replace(state=_LOST, page=0)

    def add(self, notes: Iterable[_Note], strays: Sequence[int] = ()) -> None:
        """All items of one document, by number; ``strays`` must be pages of it, too."""
        pages: dict[int, list[int]] = {}
        lost: dict[int, list[int]] = {}
        for note in notes:
            (lost if note.state == _LOST else pages).setdefault(note.page, []).append(note.item)
        unread = [*lost.pop(0, []), *pages.pop(0, [])]
        if any(len(items) > 1 for items in pages.values()):
            for items in pages.values():
                self._double(items)
        copies = max(map(len, pages.values()), default=0) if self._doubles == KEEP else 1
        for copy in range(copies):
            there = {page: self._copy(items, copy) for page, items in pages.items()}
            missing = [page for page in range(1, self._count + 1) if not there.get(page)]
            if missing:
                items = [item for items in there.values() for item in items]
                words = _words(missing, lost, strays, unread)
                self._missing.update(dict.fromkeys(items, words))

    def _copy(self, items: list[int], copy: int) -> list[int]:
        return items[copy : copy + 1] if self._doubles == KEEP else items

    def _double(self, items: list[int]) -> None:
        """Items of the same page, in order, of a document that has one more than once."""
        if self._doubles == HOLD:
            self._held.update(dict.fromkeys(items, items[0]))
        elif self._doubles == KEEP:
            self._copies.update({item: copy for copy, item in enumerate(items) if copy})
        else:
            counts = items[0] if self._doubles == FIRST_COMES else items[-1]
            self._dropped.update({item: counts for item in items if item != counts})


def not_the_page(page: int, right: int = 0) -> str:
    """Why a page whose code was not read cannot be the one that it was taken for."""
    why = f"must be page {right}" if right else "the pages of its file are not in order"
    again = f" {right}" if right else ""
    return (
        f"its page code could not be read: by its turn it would be page {page}, but {why}: read it "
        f"again with inkmill fix --page{again}"
    )


def _words(
    missing: Sequence[int],
    lost: Mapping[int, Sequence[int]],
    strays: Sequence[int],
    unread: Sequence[int],
) -> str:
    """The pages that a document lacks, and the items in error that they are or may be."""
    many = len(missing) > 1
    what = f"page{'s' if many else ''} {_listed(missing, 'and')} of this document "
    what += "are missing" if many else "is missing"
    known = [item for page in missing for item in lost.get(page, ())]
    if known:
        what += f"; {_items(known, 'and')} would be it, but is in error"
    if strays:
        it = "it" if len(strays) == 1 else "they"
        return f"{what}; {it} must be {_items(strays, 'and')}, whose page code could not be read"
    return f"{what}; perhaps it is {_items(unread, 'or')}, which is in error" if unread else what


def _items(items: Sequence[int], word: str) -> str:
    return _listed([f"item {item}" for item in items[:3]], word)


def _listed(parts: Sequence[object], word: str) -> str:
    return f" {word} ".join(map(str, parts))


def flagged(row: Row, why: str) -> Row:
    """A row whose document lacks something: in review, if it is not already."""
    if row.status is Status.ERROR:
        return row
    if row.code is None:
        return replace(row, status=Status.REVIEW, code=Code.MISSING, message=why)
    return replace(row, message=f"{row.message}; {why}" if row.message else why)
