"""A list as a page for the browser, and the CSV file that the page saves.

The page needs no network. Until it is saved, the browser keeps what is typed below an id that
every page has of its own, field by field: no two lists mix.
"""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from inkmill.errors import UsageError
from inkmill.people.lists.files import (
    About,
    Line,
    Sheet,
    about_of,
    entries,
    foreign,
    shown,
    text_of,
)
from inkmill.webpage import render

#: Before what the page saves of a field: spreadsheets then take no value for a number (007 for 7).
_AS_TEXT = "'"


def write_page(file: IO[bytes], about: About, lines: Iterable[Line]) -> int:
    """Write the page; returns how many lines it has."""
    count = 0

    def counted() -> Iterator[Line]:
        nonlocal count
        for line in lines:
            count += 1
            yield shown(about, line)

    # The id keeps what is typed apart from what was typed in any other list of the job.
    page = render(
        Path(__file__).parent, "review", about=about, id=secrets.token_hex(8), lines=counted()
    )
    file.writelines(piece.encode() for piece in page)
    return count


def read_saved(path: Path) -> Sheet:
    """A list as the page saved it. Raises UsageError for a file that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        about = about_of(rows[0])
        _check_one_list(path, about, rows)
        told = [
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
    return Sheet(about, entries(path, told))


def _check_one_list(path: Path, about: About, rows: Sequence[Mapping[str, str | None]]) -> None:
    for number, row in enumerate(rows, 2):
        if row["typed"] and row["item"] and row["field"] and about_of(row) != about:
            raise UsageError(
                f"{path}, line {number}: is of another list (job {row['job']}) than the lines "
                "above: import each list by itself"
            )
