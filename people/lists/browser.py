"""A list as a page for the browser, and the CSV file that the page saves.

The page needs no network. Until it is saved, the browser keeps the typed values, field by field,
under an id that no other page has: no two lists mix.
"""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO

from inkmill.errors import UsageError
from inkmill.people.lists.lines import (
    About,
    FilledList,
    Line,
    about_of,
    foreign,
    shown,
    text_of,
    typed_values,
)
from inkmill.saved_tables import dict_rows, read_text
from inkmill.webpage import render

#: Stands before each value that the page saves, so that no spreadsheet makes 7 of 007.
_AS_TEXT = "'"


def write(file: IO[bytes], about: About, lines: Iterable[Line]) -> int:
    """Write the page; returns how many lines it has."""
    count = 0

    def counted() -> Iterator[Line]:
        nonlocal count
        for line in lines:
            count += 1
            yield shown(about, line)

    # The browser keeps typed values under this id, apart from those of any other list.
    page = render(
        Path(__file__).parent, "review", about=about, id=secrets.token_hex(8), lines=counted()
    )
    file.writelines(piece.encode() for piece in page)
    return count


def read_saved(path: Path) -> FilledList:
    """A list as the page saved it. Raises UsageError for any other file."""
    try:
        rows = list(dict_rows(read_text(path)))
        about = _about(path, rows[0])
        _check_one_list(path, about, rows)
        lines = [
            (
                number,
                [
                    text_of(row[name]).removeprefix(_AS_TEXT)
                    for name in ("item", "field", "shown", "typed")
                ],
            )
            for number, row in enumerate(rows, 2)
        ]
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError, IndexError, TypeError) as error:
        raise foreign(path) from error
    return FilledList(about, typed_values(path, lines))


def _about(path: Path, row: Mapping[str, str | None]) -> About:
    return about_of(path, json.dumps({each.name: row[each.name] for each in fields(About)}))


def _check_one_list(path: Path, about: About, rows: Sequence[Mapping[str, str | None]]) -> None:
    for number, row in enumerate(rows, 2):
        typed = row["typed"] and row["item"] and row["field"]
        if typed and _about(path, row) != about:
            raise UsageError(
                f"{path}, line {number}: belongs to another list (job {row['job']}) than the "
                "lines above: import each list by itself"
            )
