"""What a user expects to come: a list of sources, from which a MISSING row follows for each
that did not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from inkmill.codes import Code
from inkmill.errors import UsageError
from inkmill.records.jobs import Item

_COLUMN = "source"


def read_list(path: Path) -> list[str]:
    """The sources in a CSV file with a column ``source``, or one in each line of any other.

    Raises UsageError for a file that cannot be read or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--expect {path}: cannot be read as text ({error})") from None
    for delimiter in ",;\t":
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        head = next(table, [])
        if _COLUMN in head:
            place = head.index(_COLUMN)
            sources = [row[place] for row in table if len(row) > place and row[place]]
            break
    else:
        sources = [line for line in map(str.strip, text.split("\n")) if line]
    if not sources:
        raise UsageError(f"--expect {path}: names nothing: give one source in each line")
    return list(dict.fromkeys(sources))


def with_missing(items: Iterable[Item], expected: list[str], where: str) -> Iterator[Item]:
    """The items, then one of code MISSING for each expected source that was not among them."""
    left = dict.fromkeys(expected)
    for item in items:
        left.pop(item.source, None)
        yield item
    for source in left:
        yield Item(0, source, code=Code.MISSING, message=f"expected by {where}, and did not come")
