"""Lists that people fill in: a spreadsheet with pictures, or a page for the browser.

Both carry their job and kind, so that an import needs nothing but the file. The page needs no
network; what is typed there is saved as a CSV file by the browser, which is then imported. Until
then the browser keeps it, below an id that every written page has of its own.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from inkmill.errors import UsageError
from inkmill.jobs import Job
from inkmill.producer.writers import for_xml

#: What a list is for. An audit is blind: it shows pictures and no values.
REVIEW, SECOND, AUDIT = "review", "second", "audit"
COLUMNS = (
    "item",
    "source",
    "page",
    "key",
    "field",
    "picture",
    "raw",
    "value",
    "proposed",
    "reason",
)
TYPED = "type here"
_ABOUT = "inkmill"
#: Where a spreadsheet has item, field, the value shown, and what was typed.
_PLACES = (*(COLUMNS.index(name) for name in ("item", "field", "value")), len(COLUMNS))
#: Height of a picture's row in points, and pixels of a picture for a column's unit of width.
_ROW_POINTS, _UNIT_PIXELS = 56, 7.0


@dataclass(frozen=True, slots=True)
class Line:
    """A field to look at; ``picture`` is a PNG, empty where the page is gone."""

    item: int
    source: str
    page: int
    key: str
    field: str
    raw: str
    value: str
    proposed: str
    reason: str
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class About:
    """Which list this is: its job, its kind, and the digest of an audit's sample.

    ``created`` tells the job from others of its name: `of` says how. It is empty in lists that
    were written before there was such a word.
    """

    job: str
    kind: str
    sample: str = ""
    created: str = ""

    @classmethod
    def of(cls, record: Job, kind: str, sample: str = "") -> About:
        """A list of this very job."""
        # With a letter before it no spreadsheet takes it for a number and rounds it.
        return cls(record.job, kind, sample, f"t{record.created!r}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody typed for a field that showed a value; ``row`` is its place in the file."""

    item: int
    field: str
    shown: str
    typed: str
    row: int


@dataclass(frozen=True)
class Sheet:
    """A list that came back."""

    about: About
    entries: Sequence[Entry] = field(default_factory=tuple)


def write(path: Path, about: About, lines: Iterable[Line]) -> int:
    """Write a list as .xlsx or .html, by the file's name; returns how many lines it has."""
    if path.suffix.lower() == ".xlsx":
        return _write_xlsx(path, about, lines)
    if path.suffix.lower() in (".html", ".htm"):
        return _write_html(path, about, lines)
    raise UsageError(f"-o {path}: give a name that ends with .xlsx or .html")


def read(path: Path) -> Sheet:
    """A list that was filled in: .xlsx, or the .csv that the browser saved.

    Raises UsageError for anything else.
    """
    try:
        if path.suffix.lower() == ".xlsx":
            return _read_xlsx(path)
        if path.suffix.lower() == ".csv":
            return _read_csv(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    raise UsageError(f"{path}: give the .xlsx that was filled in, or the .csv that the page saved")


def _shown(about: About, line: Line) -> tuple[str, str, str, str]:
    if about.kind == AUDIT:
        return "", "", "", ""
    return line.raw, line.value, line.proposed, line.reason


def _entries(path: Path, told: Iterable[tuple[int, Sequence[str]]]) -> list[Entry]:
    """What was typed, from each line's number, item, field, value shown and what was typed.

    A note that names neither item nor field is passed over. Raises UsageError for a line of
    which nobody knows for what it was typed: nothing that a person typed is lost in silence.
    """
    found = list[Entry]()
    for number, (item, name, shown, typed) in told:
        if not typed or not (item or name):
            continue
        if not (item.isascii() and item.isdecimal() and name):
            raise UsageError(
                f"{path}, line {number}: {typed!r} is typed, but {item!r} and {name!r} are no item "
                "and field: put back what the list had there, and keep the last column for values"
            )
        found.append(Entry(int(item), name, shown, typed, number))
    return found


# --- xlsx -------------------------------------------------------------------------------------


def _write_xlsx(path: Path, about: About, lines: Iterable[Line]) -> int:
    book_type = _openpyxl("openpyxl").Workbook
    image_type = _openpyxl("openpyxl.drawing.image").Image
    book = book_type()
    sheet = book.active
    sheet.title = about.kind
    sheet.append([*COLUMNS, TYPED])
    sheet.freeze_panes = "A2"
    widths = (6, 28, 5, 14, 16, 40, 10, 12, 12, 48, 16)
    for number, width in enumerate(widths):
        sheet.column_dimensions["ABCDEFGHIJK"[number]].width = width
    count = 0
    for count, line in enumerate(lines, 1):
        row = count + 1
        cells = [line.item, line.source, line.page, line.key, line.field, "", *_shown(about, line)]
        for column, value in enumerate([*cells, ""], 1):
            text = for_xml(value) if isinstance(value, str) else value
            made = sheet.cell(row, column, text or (0 if column == 1 else None))
            if isinstance(value, str):
                made.number_format = "@"  # typed digits stay as typed: 007 is not 7
                made.data_type = "s" if value else made.data_type
        if line.picture:
            sheet.row_dimensions[row].height = _ROW_POINTS
            sheet.add_image(image_type(io.BytesIO(line.picture)), f"F{row}")
    hidden = book.create_sheet(_ABOUT)
    hidden.append([json.dumps(asdict(about))])
    hidden.sheet_state = "hidden"
    book.save(path)
    return count


def _read_xlsx(path: Path) -> Sheet:
    load = _openpyxl("openpyxl").load_workbook
    try:
        book = load(path, read_only=True, data_only=True)
        about = _about(json.loads(book[_ABOUT]["A1"].value))
        rows = [list(row) for row in book[about.kind].iter_rows(values_only=True)]
    except OSError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise _foreign(path) from error
    told = [
        (number, [_text(row[place]) for place in _PLACES])
        for number, row in enumerate(rows[1:], 2)
        if len(row) > len(COLUMNS)
    ]
    return Sheet(about, _entries(path, told))


def _text(value: Any) -> str:
    """What was typed, as text; a spreadsheet may have made a number of it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _openpyxl(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise UsageError(
            "xlsx needs openpyxl, which is not installed: pip install 'inkmill[xlsx]', "
            "or give a name that ends with .html"
        ) from None


# --- html and csv -----------------------------------------------------------------------------


def _write_html(path: Path, about: About, lines: Iterable[Line]) -> int:
    page = files("inkmill.producer").joinpath("review.html").read_text(encoding="utf-8")
    head, foot = page.replace("{{ABOUT}}", _for_script(about)).split("{{LINES}}")
    count = 0
    with path.open("w", encoding="utf-8") as out:
        out.write(head)
        for line in lines:
            out.write(_html_line(about, line))
            count += 1
        out.write(foot)
    return count


def _for_script(about: About) -> str:
    # The id keeps what is typed apart from what was typed in any other list of the job.
    data = asdict(about) | {"list": secrets.token_hex(8)}
    return json.dumps(data).replace("<", "\\u003c")


def _html_line(about: About, line: Line) -> str:
    raw, value, proposed, reason = map(escape, _shown(about, line))
    picture = base64.b64encode(line.picture).decode("ascii")
    image = f'<img src="data:image/png;base64,{picture}" alt="">' if picture else "(page is gone)"
    where = escape(f"{line.source} {line.page if line.page > 1 else ''}".strip())
    shown = f"<td>{raw}<td>{value}<td class=rules>{proposed}<td class=why>{reason}"
    name = escape(line.field)
    return (
        f'<tr data-item="{line.item}" data-field="{name}" data-value="{value}">'
        f"<td class=where>{where}<br>{escape(line.key)}<td>{name}<td>{image}"
        f"{shown if about.kind != AUDIT else ''}"
        f'<td><input aria-label="{name}" autocomplete="off">\n'
    )


def _read_csv(path: Path) -> Sheet:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        about = _about(rows[0])
        _check_one_list(path, about, rows)
        told = [
            (number, [_text(row[name]) for name in ("item", "field", "shown", "typed")])
            for number, row in enumerate(rows, 2)
        ]
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError, IndexError, TypeError) as error:
        raise _foreign(path) from error
    return Sheet(about, _entries(path, told))


def _check_one_list(path: Path, about: About, rows: Sequence[Mapping[str, str | None]]) -> None:
    for number, row in enumerate(rows, 2):
        if row["typed"] and row["item"] and row["field"] and _about(row) != about:
            raise UsageError(
                f"{path}, line {number}: is of another list (job {row['job']}) than the lines "
                "above: import each list by itself"
            )


def _about(record: Mapping[str, Any]) -> About:
    if record["kind"] not in (REVIEW, SECOND, AUDIT):
        raise ValueError(record["kind"])
    told = (record["job"], record["kind"], record["sample"], record.get("created") or "")
    return About(*map(str, told))


def _foreign(path: Path) -> UsageError:
    return UsageError(
        f"{path}: not a list of `inkmill review export` or `inkmill audit`: fill in the last "
        "column of that very file and keep its other sheets and columns"
    )
