"""Document keys from a table: which scan belongs to which document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from inkmill.errors import UsageError
from inkmill.folders import same_name
from inkmill.records.chunks import Item
from inkmill.saved_tables import read_text, table_rows

_FILE = ("source", "file")
_PAGE, _KEY = "page", "key"
#: Names given as examples in a note.
_SHOWN = 3
#: A number from 1: no file has more pages than fit into it.
_PAGE_NUMBER = re.compile(r"0*[1-9][0-9]{0,8}")

Place = tuple[str, int]


@dataclass
class Keys:
    """A table of keys by source (or file name) and page; page 0 stands for all pages.

    After a pass, ``unkeyed`` has the sources without an entry, ``unused`` the entries without a
    source.
    """

    name: str
    entries: dict[Place, str]
    unkeyed: dict[str, None] = field(default_factory=dict)
    _met: set[Place] = field(default_factory=set)

    def given(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each with its key from the table."""
        self.unkeyed, self._met = {}, set()
        for item in items:
            place = self._place(item)
            if place is None:
                self.unkeyed[item.source] = None
                yield item
            else:
                self._met.add(place)
                yield replace(item, document_key=self.entries[place])

    def _place(self, item: Item) -> Place | None:
        source = same_name(item.source)
        names = (source, PurePosixPath(source).name)
        places = [(name, page) for name in names for page in (item.page, 0)]
        return next((place for place in places if place in self.entries), None)

    @property
    def unused(self) -> list[str]:
        """Entries without a source, in the order of the table."""
        left = (place for place in self.entries if place not in self._met)
        return [f"{name} page {page}" if page else name for name, page in left]

    def note(self) -> str:
        """Which sources and entries do not match, in words; empty if all do."""
        unused = _counted(self.unused, "entry")
        parts = [self.without_key()] if self.unkeyed else []
        parts += [f"{unused} of {self.name} without a source"] if self.unused else []
        return "; ".join(parts)

    def without_key(self) -> str:
        """Which sources have no entry, in words."""
        return f"{_counted(list(self.unkeyed), 'source')} without a key in {self.name}"


def _counted(names: list[str], what: str) -> str:
    plural = what if len(names) == 1 else {"entry": "entries"}.get(what, f"{what}s")
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names):,} {plural} ({shown})"


def read_keys(path: Path) -> Keys:
    """The keys in a CSV file with the columns source (or file), key and optionally page.

    Columns are separated by commas, semicolons or tabs. Raises UsageError with line and remedy.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--keys {path}: cannot be read as text ({error})") from None
    try:
        entries = _table(table_rows(text), path)
    except ValueError as error:
        raise UsageError(f"--keys {path}, {error}") from None
    if entries is not None:
        return Keys(path.name, entries)
    raise UsageError(
        f"--keys {path}: the first line must name the columns: source (or file), key, and page "
        "if a file contains several documents"
    )


def _table(table: Iterator[list[str]], path: Path) -> dict[Place, str] | None:
    """The entries; None where the first line does not name the columns."""
    head = [name.strip().lower() for name in next(table, [])]
    named = next((name for name in _FILE if name in head), None)
    if named is None or _KEY not in head:
        return None
    page = head.index(_PAGE) if _PAGE in head else None
    return _entries(table, head.index(named), page, head.index(_KEY), path)


def _entries(
    table: Iterable[list[str]], named: int, page: int | None, key: int, path: Path
) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for line, row in enumerate(table, 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        name, value = _cell(cells, named), _cell(cells, key)
        number = _cell(cells, page) if page is not None else ""
        if not name or not value:
            raise UsageError(f"--keys {path}, line {line}: each line needs a source and a key")
        if number and not _PAGE_NUMBER.fullmatch(number):
            raise UsageError(
                f"--keys {path}, line {line}: {number[:20]!r} is not a page: count from 1"
            )
        place = (same_name(name), int(number or 0))
        if found.setdefault(place, value) != value:
            raise UsageError(
                f"--keys {path}, line {line}: {name} has two keys, {found[place]!r} and {value!r}"
            )
    if not found:
        raise UsageError(f"--keys {path}: the table has no entries")
    return found


def _cell(cells: list[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
