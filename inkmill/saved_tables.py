"""Text tables as spreadsheet programs save them.

Excel writes UTF-8 with a mark, UTF-16 with tabs ("Unicode text"), or the code page of western
Windows, and separates by semicolons where a comma is the decimal sign.
"""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from pathlib import Path

_MARKS = {BOM_UTF8: "utf-8-sig", BOM_UTF16_LE: "utf-16", BOM_UTF16_BE: "utf-16"}
_DELIMITERS = ",;\t"
_WORDS = {
    f"field larger than field limit ({csv.field_size_limit()})": (
        f"a cell of more than {csv.field_size_limit():,} characters: a quotation mark is missing"
    )
}


def read_text(path: Path) -> str:
    """A text file, in whichever of the encodings above.

    Raises OSError, or ValueError if it is none of text.
    """
    data = path.read_bytes()
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data:
        # Text of western letters in UTF-16 without a mark has a zero in every second byte.
        if len(data) % 2 or not (set(data[::2]) == {0} or set(data[1::2]) == {0}):
            raise ValueError("it has NUL bytes")
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def table_rows(text: str, delimiter: str = "") -> Iterator[list[str]]:
    """The lines of a table, as cells; without a delimiter, by the one that makes most columns.

    Raises ValueError with the line of what is no table.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or delimiter_of(text))
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {_WORDS.get(str(error), error)}") from None


def delimiter_of(text: str) -> str:
    """What separates a table's columns: of comma, semicolon and tab the one that makes most.

    Raises ValueError with the line of what is no table.
    """

    def columns(delimiter: str) -> int:
        return len(next(table_rows(text, delimiter), []))

    return max(_DELIMITERS, key=columns)


def dict_rows(text: str) -> csv.DictReader[str]:
    """The lines of a table by the names in its first line. Raises ValueError where that is none,
    and csv.Error later."""
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
