"""A list of expected sources: each that is absent gets a row with MISSING."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from inkmill.codes import Code
from inkmill.errors import UsageError
from inkmill.folders import same_name
from inkmill.records.chunks import Item
from inkmill.saved_tables import read_text, table_rows

_COLUMN = "source"


def read_list(path: Path) -> list[str]:
    """The sources in a CSV file with a column ``source``, or one per line of any other file.

    Raises UsageError if the file cannot be read or is empty.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--expect {path}: cannot be read as text ({error})") from None
    try:
        sources = _column(text)
    except ValueError as error:
        raise UsageError(f"--expect {path}, {error}") from None
    if not sources:
        raise UsageError(f"--expect {path}: the list is empty: give one source per line")
    return list(dict.fromkeys(sources))


def _column(text: str) -> list[str]:
    """The sources of a table, or of a text with one on each line. Raises ValueError."""
    first = text.partition("\n")[0]
    for delimiter in ",;\t":
        head = next(table_rows(first, delimiter), [])
        if _COLUMN in head:
            place, table = head.index(_COLUMN), table_rows(text, delimiter)
            next(table)
            return [row[place] for row in table if len(row) > place and row[place]]
    return [line for line in map(str.strip, text.split("\n")) if line]


def with_missing(items: Iterable[Item], expected: list[str], where: str) -> Iterator[Item]:
    """The items, then one with code MISSING for each expected source that was not among them."""
    left = {same_name(source): source for source in expected}
    for item in items:
        left.pop(same_name(item.source), None)
        yield item
    for source in left.values():
        yield Item(0, source, code=Code.MISSING, message=absence(where))


def absence(where: str) -> str:
    """The message of a row for a source that is absent; ``where`` is the list's path."""
    return f"listed in {Path(where).name}, but missing from the inputs"
