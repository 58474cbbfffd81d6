"""A list as a spreadsheet: pictures in the cells, and a hidden sheet that says which list it is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

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
from inkmill.producer.tables.writers import for_xml

#: The columns with their widths; the last is filled in.
_COLUMNS = {
    "item": 6,
    "source": 28,
    "page": 5,
    "key": 14,
    "field": 16,
    "picture": 40,
    "raw": 10,
    "value": 12,
    "proposed": 12,
    "reason": 48,
    "type here": 16,
}
_NAMES = list(_COLUMNS)
#: Where a row has item, field, the value shown, and the value typed.
_READ = [_NAMES.index(name) for name in ("item", "field", "value", "type here")]
#: The hidden sheet that says which list it is.
_ABOUT = "inkmill"
#: Height of a picture's row in points, and pixels of a picture for a column's unit of width.
_ROW_POINTS, _UNIT_PIXELS = 56, 7.0
#: Excel's limit for the width of a column.
_WIDEST = 255


def write(file: IO[bytes], about: About, lines: Iterable[Line]) -> int:
    """Write the spreadsheet; returns how many lines it has."""
    book = _openpyxl("openpyxl").Workbook()
    sheet = book.active
    sheet.title = about.kind
    sheet.append(_NAMES)
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDEFGHIJK", _COLUMNS.values(), strict=True):
        sheet.column_dimensions[letter].width = width
    count = widest = 0
    for count, line in enumerate(lines, 1):
        _fill(sheet, count + 1, shown(about, line))
        widest = max(widest, _add_picture(sheet, count + 1, line.picture))
    # A picture covers the cells to its right, and would hide the reading.
    pictures = sheet.column_dimensions["F"]
    pictures.width = min(max(pictures.width, widest / _UNIT_PIXELS + 1), _WIDEST)
    hidden = book.create_sheet(_ABOUT)
    hidden.append([json.dumps(asdict(about))])
    hidden.sheet_state = "hidden"
    book.save(file)
    return count


def _fill(sheet: Any, row: int, line: Line) -> None:
    for column, name in enumerate(_NAMES, 1):
        value = "" if name in ("picture", "type here") else getattr(line, name)
        if not isinstance(value, str):
            sheet.cell(row, column, value)
            continue
        made = sheet.cell(row, column, for_xml(value) or None)
        made.number_format = "@"  # typed digits stay as typed: 007 is not 7
        made.data_type = "s" if value else made.data_type


def _add_picture(sheet: Any, row: int, picture: bytes) -> int:
    """Put a picture into a row; returns its width in pixels."""
    if not picture:
        return 0
    image = _openpyxl("openpyxl.drawing.image").Image(io.BytesIO(picture))
    sheet.row_dimensions[row].height = _ROW_POINTS
    sheet.add_image(image, f"F{row}")
    return int(image.width)


def read(path: Path) -> FilledList:
    """A spreadsheet that was filled in. Raises UsageError for any other file."""
    load = _openpyxl("openpyxl").load_workbook
    try:
        book = load(path, read_only=True, data_only=True)
        about = about_of(path, book[_ABOUT]["A1"].value)
        rows = [list(row) for row in book[about.kind].iter_rows(values_only=True)]
    except OSError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise foreign(path) from error
    lines = [
        (number, [text_of(row[place]) for place in _READ])
        for number, row in enumerate(rows[1:], 2)
        if len(row) >= len(_NAMES)
    ]
    return FilledList(about, typed_values(path, lines))


def _openpyxl(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise UsageError(
            "xlsx needs openpyxl, which is not installed: pip install 'inkmill[xlsx]', "
            "or use a name that ends with .html"
        ) from None
