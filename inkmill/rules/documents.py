"""Which pages belong to one document, which are duplicated, and which are missing.

A document is identified by a key, else by its pages' positions in a file. The pages of each are
noted while the rows are gone through; the result depends on the items' numbers alone, never on
the order of the rows. A document costs some 150 bytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from inkmill.codes import Code, Status
from inkmill.records.jobs import FIRST_COMES, HOLD, KEEP
from inkmill.records.rows import Row
from inkmill.template.form import Form

#: Key and 0, or source and where the document begins in its file; pages that came twice and are
#: both kept make a second document.
Document = tuple[str, int]

#: Bits of a note that hold the page's number; the item's is above them.
_PAGE_BITS = 12


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
    document lacks.
    """

    dropped: Mapping[int, int] = field(default_factory=dict)
    held: Mapping[int, int] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)

    def of(self, row: Row, form: Form) -> tuple[str, int, int]:
        """The document of a row."""
        return (*document_of(row, form), self.copies.get(row.item, 0))


def take_stock(rows: Iterable[Row], form: Form, policy: Policy) -> Documents:
    """Go through all rows of a form and say which items are special."""
    notes: dict[int, int | tuple[int, ...]] = {}
    for row in rows:
        mark, note = _mark(document_of(row, form)), row.item << _PAGE_BITS
        note |= page_of(row, form) if row.status is not Status.ERROR else 0
        before = notes.get(mark)
        if before is None:
            notes[mark] = note
        else:
            notes[mark] = (*before, note) if isinstance(before, tuple) else (before, note)
    found = _Stock(form.page_count, policy.doubles)
    for noted in notes.values():
        found.add(sorted(noted) if isinstance(noted, tuple) else [noted])
    return found.documents


def _mark(document: Document) -> int:
    """Eight bytes that stand for a document."""
    text = f"{document[1]} {document[0]}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class _Stock:
    """The documents one after another, each with its items in order."""

    def __init__(self, page_count: int, doubles: str) -> None:
        self._pages = range(1, page_count + 1)
        self._doubles = doubles
        self._dropped: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self._copies: dict[int, int] = {}
        self._missing: dict[int, str] = {}

    @property
    def documents(self) -> Documents:
        return Documents(self._dropped, self._held, self._copies, self._missing)

    def add(self, notes: Iterable[int]) -> None:
        """All items of one document, by number, each with its page (0: not read)."""
        pages: dict[int, list[int]] = {}
        for note in notes:
            pages.setdefault(note & ((1 << _PAGE_BITS) - 1), []).append(note >> _PAGE_BITS)
        unread = pages.pop(0, [])
        if any(len(items) > 1 for items in pages.values()):
            for items in pages.values():
                self._double(items)
        copies = max(map(len, pages.values()), default=0) if self._doubles == KEEP else 1
        for copy in range(copies):
            there = {page: self._copy(items, copy) for page, items in pages.items()}
            missing = [page for page in self._pages if not there.get(page)]
            if missing:
                items = [item for items in there.values() for item in items]
                self._missing.update(dict.fromkeys(items, _words(missing, unread)))

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


def _words(missing: list[int], unread: list[int]) -> str:
    many = len(missing) > 1
    what = f"page{'s' if many else ''} {' and '.join(map(str, missing))} of this document "
    if not unread:
        return f"{what}{'are' if many else 'is'} missing"
    told = " or ".join(f"item {item}" for item in unread[:3])
    return f"{what}{'are' if many else 'is'} missing; perhaps it is {told}, which is in error"


def flagged(row: Row, why: str) -> Row:
    """A row whose document lacks something: in review, if it is not already."""
    if row.status is Status.ERROR:
        return row
    if row.code is None:
        return replace(row, status=Status.REVIEW, code=Code.MISSING, message=why)
    return replace(row, message=f"{row.message}; {why}" if row.message else why)
