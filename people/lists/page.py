"""A list as a page for the browser, and the CSV file that the page saves.

The page needs no network. Until it is saved, the browser keeps what is typed below an id that
every page has of its own, field by field: no two lists mix.
"""

from __future__ import annotations

import base64
import csv
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import IO

from inkmill.errors import UsageError
from inkmill.people.lists.files import (
    AUDIT,
    About,
    Line,
    Sheet,
    about_of,
    entries,
    foreign,
    shown,
    text_of,
)

#: Before what the page saves of a field: spreadsheets then take no value for a number (007 for 7).
_AS_TEXT = "'"


def write_page(file: IO[bytes], about: About, lines: Iterable[Line]) -> int:
    """Write the page; returns how many lines it has."""
    page = files("inkmill.people.lists").joinpath("review.html").read_text(encoding="utf-8")
    head, foot = page.replace("{{ABOUT}}", _for_script(about)).split("{{LINES}}")
    count = 0
    file.write(head.encode())
    for line in lines:
        file.write(_html_line(about, line).encode())
        count += 1
    file.write(foot.encode())
    return count


def _for_script(about: About) -> str:
    # The id keeps what is typed apart from what was typed in any other list of the job.
    data = asdict(about) | {"list": secrets.token_hex(8)}
    return json.dumps(data).replace("<", "\\u003c")


def _html_line(about: About, line: Line) -> str:
    raw, value, proposed, reason = map(escape, shown(about, line))
    picture = base64.b64encode(line.picture).decode("ascii")
    image = f'<img src="data:image/png;base64,{picture}" alt="">' if picture else "(page is gone)"
    where = escape(f"{line.source} {line.page if line.page > 1 else ''}".strip())
    told = f"<td>{raw}<td>{value}<td class=rules>{proposed}<td class=why>{reason}"
    name = escape(line.field)
    return (
        f'<tr data-item="{line.item}" data-field="{name}" data-value="{value}">'
        f"<td class=where>{where}<br>{escape(line.key)}<td>{name}<td>{image}"
        f"{told if about.kind != AUDIT else ''}"
        f'<td><input aria-label="{name}" autocomplete="off">\n'
    )


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
