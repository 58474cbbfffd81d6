"""Pages whose code could not be read, in files whose other pages say which they must be.

Where documents have their keys from page codes, a page without a readable code has no key. It
stands in its file between pages of one document or of two. If these lack the page that it looks
like, or lack no more pages than there are unread ones, it must be theirs; people check it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from inkmill.codes import PageBy, Status
from inkmill.records.rows import Row
from inkmill.rules.documents import not_the_page

Rows = Callable[[], Iterable[Row]]


@dataclass(frozen=True)
class Strays:
    """What the pages without a key must be, by item.

    ``adopted``: the key of the document to which a page belongs as the page that it was read as;
    ``refused``: why a page is not the one that it was read as; ``named``: items that must be
    missing pages of a document, by its key.
    """

    adopted: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    named: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def keyed(self, row: Row) -> Row:
        """The row under the key of the document that it must belong to."""
        key = self.adopted.get(row.item)
        return row if key is None else replace(row, document_key=key)


def adoption(row: Row) -> str:
    """Why a page without a readable code has a key, in words."""
    return (
        f"its page code could not be read; by the other pages of its file it must be page "
        f"{row.form_page} of document {row.document_key}: check that it is"
    )


def find_strays(rows: Rows, page_count: int) -> Strays:
    """Go through the rows of a form of ``page_count`` pages, two times more if a key is missing."""
    sources = {row.source for row in rows() if not row.document_key}
    if not sources or page_count == 1:
        return Strays()
    files: dict[str, list[_Place]] = {}
    for row in rows():
        if row.source in sources:
            files.setdefault(row.source, []).append(_Place.of(row))
    held: dict[str, set[int]] = {
        place.key: set() for places in files.values() for place in places if place.key
    }
    for row in rows():
        if row.document_key in held:
            held[row.document_key].add(row.form_page)
    found = _Found(page_count, held)
    for places in files.values():
        found.add_file(sorted(places, key=lambda place: (place.position, place.item)))
    return Strays(found.adopted, found.refused, found.named)


@dataclass(frozen=True, slots=True)
class _Place:
    """A page in its file; ``page`` is 0 where nothing shows which page of the form it is."""

    position: int
    item: int
    key: str
    page: int
    by: PageBy

    @classmethod
    def of(cls, row: Row) -> _Place:
        known = row.status is not Status.ERROR
        by = row.page_by if known else PageBy.UNKNOWN
        return cls(row.page, row.item, row.document_key, row.form_page if known else 0, by)


class _Found:
    """What was found in the files so far; ``held`` are the pages that documents have."""

    def __init__(self, page_count: int, held: Mapping[str, set[int]]) -> None:
        self._count = page_count
        self._held = held
        self.adopted: dict[int, str] = {}
        self.refused: dict[int, str] = {}
        self.named: dict[str, tuple[int, ...]] = {}

    def add_file(self, places: Sequence[_Place]) -> None:
        """The pages of a file, in order."""
        groups = [list(group) for _, group in groupby(places, key=lambda place: bool(place.key))]
        unknown: dict[tuple[str, ...], list[_Place]] = {}
        for number, gap in enumerate(groups):
            if gap[0].key:
                continue
            before = [groups[number - 1][-1].key] if number else []
            after = [groups[number + 1][0].key] if number + 1 < len(groups) else []
            keys = tuple(dict.fromkeys(before + after))
            unknown.setdefault(keys, []).extend(self._by_look(gap, keys))
        for keys, left in unknown.items():
            self._by_elimination(left, keys)

    def _by_look(self, gap: Sequence[_Place], keys: Sequence[str]) -> list[_Place]:
        """Adopt pages of one look between pages of these documents; the others are returned."""
        looks = [place.page for place in gap if place.by is PageBy.LOOK]
        for place in gap:
            lacking = [key for key in keys if place.page not in self._held[key]]
            if place.by is PageBy.LOOK and looks.count(place.page) == len(lacking) == 1:
                self._adopt(place, lacking[0])
        return [place for place in gap if place.by is not PageBy.LOOK]

    def _by_elimination(self, unknown: Sequence[_Place], keys: Sequence[str]) -> None:
        """Pages of a file of which it is only known that they are of these documents."""
        lacks = [(key, page) for key in keys for page in self._lacking(key)]
        if not unknown or len(unknown) != len(lacks) or len({key for key, _ in lacks}) > 1:
            return
        key, left = lacks[0][0], [page for _, page in lacks]
        if sorted(place.page for place in unknown) == left:
            # Their turns say the same.
            for place in unknown:
                self._adopt(place, key)
            return
        for place in unknown:
            if place.page and place.page not in left:
                right = left[0] if len(left) == 1 else 0
                self.refused[place.item] = not_the_page(place.page, right)
        self.named[key] = (*self.named.get(key, ()), *(place.item for place in unknown))

    def _lacking(self, key: str) -> list[int]:
        return [page for page in range(1, self._count + 1) if page not in self._held[key]]

    def _adopt(self, place: _Place, key: str) -> None:
        self.adopted[place.item] = key
        self._held[key].add(place.page)
