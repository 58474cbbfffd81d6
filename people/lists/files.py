"""Lists that people fill in: a spreadsheet with pictures, or a page for the browser.

Both carry their job and kind, so that an import needs nothing but the file. What is typed on the
page is saved as a CSV file by the browser, which is then imported (`inkmill.people.lists.page`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from inkmill.errors import UsageError
from inkmill.producer.tables import files
from inkmill.producer.tables.writers import for_xml
from inkmill.records.jobs import Job

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
#: What Excel lets a column be wide.
_WIDEST = 255


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
        return cls(record.label, kind, sample, record.job)


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


def check(path: Path) -> None:
    """Raises UsageError for a name that is no list's, or where no file can be made."""
    if path.suffix.lower() not in (".xlsx", ".html", ".htm"):
        raise UsageError(f"-o {path}: give a name that ends with .xlsx or .html")
    files.check(path)


def write(path: Path, about: About, lines: Iterable[Line]) -> int:
    """Write a list as .xlsx or .html, by the file's name; returns how many lines it has.

    The file appears complete or not at all. Raises UsageError where it cannot be written.
    """
    from inkmill.people.lists.page import write_page

    check(path)
    write_list = _write_xlsx if path.suffix.lower() == ".xlsx" else write_page
    with files.opened(path) as file:
        return write_list(file, about, lines)


def read(path: Path) -> Sheet:
    """A list that was filled in: .xlsx, or the .csv that the browser saved.

    Raises UsageError for anything else.
    """
    from inkmill.people.lists.page import read_saved

    try:
        if path.suffix.lower() == ".xlsx":
            return _read_xlsx(path)
        if path.suffix.lower() == ".csv":
            return read_saved(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    raise UsageError(f"{path}: give the .xlsx that was filled in, or the .csv that the page saved")


def shown(about: About, line: Line) -> Line:
    """The line as a list shows it: an audit hides raw, value, proposal and reason."""
    if about.kind == AUDIT:
        return replace(line, raw="", value="", proposed="", reason="")
    return line


def entries(path: Path, told: Iterable[tuple[int, Sequence[str]]]) -> list[Entry]:
    """What was typed, from each line's number, item, field, value shown and what was typed.

    A note that names neither item nor field is passed over. Raises UsageError for a line of
    which nobody knows for what it was typed: nothing that a person typed is lost in silence.
    """
    found = list[Entry]()
    for number, (item, name, value, typed) in told:
        if not typed or not (item or name):
            continue
        if not (item.isascii() and item.isdecimal() and name):
            raise UsageError(
                f"{path}, line {number}: {typed!r} is typed, but {item!r} and {name!r} are no item "
                "and field: put back what the list had there, and keep the last column for values"
            )
        found.append(Entry(int(item), name, value, typed, number))
    return found


# --- xlsx -------------------------------------------------------------------------------------


def _write_xlsx(file: IO[bytes], about: About, lines: Iterable[Line]) -> int:
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
    count = widest = 0
    for count, line in enumerate((shown(about, line) for line in lines), 1):
        row = count + 1
        cells = [getattr(line, column) if column != "picture" else "" for column in COLUMNS]
        for column, value in enumerate([*cells, ""], 1):
            text = for_xml(value) if isinstance(value, str) else value
            made = sheet.cell(row, column, text or (0 if column == 1 else None))
            if isinstance(value, str):
                made.number_format = "@"  # typed digits stay as typed: 007 is not 7
                made.data_type = "s" if value else made.data_type
        if line.picture:
            sheet.row_dimensions[row].height = _ROW_POINTS
            image = image_type(io.BytesIO(line.picture))
            sheet.add_image(image, f"F{row}")
            widest = max(widest, image.width)
    # A picture lies over the cells, and would hide what was read.
    pictures = sheet.column_dimensions["F"]
    pictures.width = min(max(pictures.width, widest / _UNIT_PIXELS + 1), _WIDEST)
    hidden = book.create_sheet(_ABOUT)
    hidden.append([json.dumps(asdict(about))])
    hidden.sheet_state = "hidden"
    book.save(file)
    return count


def _read_xlsx(path: Path) -> Sheet:
    load = _openpyxl("openpyxl").load_workbook
    try:
        book = load(path, read_only=True, data_only=True)
        about = about_of(json.loads(book[_ABOUT]["A1"].value))
        rows = [list(row) for row in book[about.kind].iter_rows(values_only=True)]
    except OSError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise foreign(path) from error
    told = [
        (number, [text_of(row[place]) for place in _PLACES])
        for number, row in enumerate(rows[1:], 2)
        if len(row) > len(COLUMNS)
    ]
    return Sheet(about, entries(path, told))


def text_of(value: Any) -> str:
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


def about_of(record: Mapping[str, Any]) -> About:
    """What a list says of itself. Raises KeyError or ValueError where it is no list of ours."""
    if record["kind"] not in (REVIEW, SECOND, AUDIT):
        raise ValueError(record["kind"])
    told = (record["job"], record["kind"], record["sample"], record.get("created") or "")
    return About(*map(str, told))


def foreign(path: Path) -> UsageError:
    """The error for a file that is no list."""
    return UsageError(
        f"{path}: not a list of `inkmill review export` or `inkmill audit`: fill in the last "
        "column of that very file and keep its other sheets and columns"
    )
