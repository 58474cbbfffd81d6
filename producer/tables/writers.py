"""Tables as files: CSV, JSON lines, Parquet and XLSX, each written line by line.

No format changes a value: digits stay text, so that 007 stays 007. Confidences have four
decimals in CSV and JSON lines. Only `excel_safe`, which is for CSV, alters a cell: it puts an
apostrophe before text that a spreadsheet would take for a formula.
"""

from __future__ import annotations

import csv
import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import IO, Any

from inkmill.errors import UsageError
from inkmill.producer.tables.columns import ColumnKind, Line, ResultTable
from inkmill.records.rows import Row

Writer = Callable[[IO[bytes], ResultTable, Iterable[Row]], int]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Lines of one Parquet row group, which is held in memory.
_GROUP = 16_384
#: Characters that XML 1.0 excludes (its production Char): control characters, which GS1 codes
#: contain, lone surrogates and two non-characters.
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: Lines of a sheet besides its header; Excel's limit is 2**20 lines.
_SHEET_LINES = 2**20 - 1


def writer(kind: str, excel_safe: bool = False, bom: bool = False) -> Writer:
    """The function that writes a format and returns the number of lines.

    Raises UsageError for an unknown format, and for ``excel_safe`` or ``bom`` with any format but
    csv.
    """
    if kind == "csv":
        write = write_csv_safely if excel_safe else write_csv
        return _marked(write) if bom else write
    if bom:
        raise UsageError(f"--bom is for csv: programs know the encoding of {kind}")
    if excel_safe:
        raise UsageError(f"--excel-safe is for csv: in {kind} text is never a formula")
    try:
        return WRITERS[kind]
    except KeyError:
        raise UsageError(f"{kind!r} is not a format: use one of {', '.join(FORMATS)}") from None


def write_csv(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
    """CSV in UTF-8, with commas and LF line ends."""
    return _csv(file, table, _lines(table, rows))


def write_csv_safely(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
    """CSV in which no spreadsheet finds a formula."""
    return _csv(file, table, (list(map(_defused, line)) for line in _lines(table, rows)))


def _marked(write: Writer) -> Writer:
    """The same file after a byte order mark, by which Excel knows UTF-8."""

    def written(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
        file.write(BOM_UTF8)
        return write(file, table, rows)

    return written


def _csv(file: IO[bytes], table: ResultTable, lines: Iterable[Line]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    out = csv.writer(text, lineterminator="\n")
    out.writerow(table.columns)
    places = [place for place, kind in enumerate(table.kinds) if kind is ColumnKind.CONFIDENCE]
    count = 0
    for line in lines:
        count += 1
        for place in places:
            confidence = line[place]
            if confidence is not None:
                line[place] = f"{confidence:.4f}"
        out.writerow(line)
    text.flush()
    text.detach()
    return count


def _defused(value: str | float | None) -> str | float | None:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_jsonl(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
    """One JSON object per line; null if there is no confidence."""
    count = 0
    for line in _lines(table, rows):
        count += 1
        plain = [round(value, 4) if isinstance(value, float) else value for value in line]
        record = dict(zip(table.columns, plain, strict=True))
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return count


def write_parquet(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
    """Parquet: text as strings, item and page as integers, confidences as 32-bit floats."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[ColumnKind, pa.DataType] = {
        ColumnKind.TEXT: pa.string(),
        ColumnKind.NUMBER: pa.int64(),
        ColumnKind.CONFIDENCE: pa.float32(),
    }
    schema = pa.schema(
        [(column, types[kind]) for column, kind in zip(table.columns, table.kinds, strict=True)]
    )
    lines, count = _lines(table, rows), 0
    with pq.ParquetWriter(file, schema, compression="zstd") as out:
        while group := list(islice(lines, _GROUP)):
            columns: list[list[Any]] = [list(column) for column in zip(*group, strict=True)]
            out.write_table(pa.table(columns, schema=schema))
            count += len(group)
    return count


def write_xlsx(file: IO[bytes], table: ResultTable, rows: Iterable[Row]) -> int:
    """XLSX, in sheets of at most a million lines; text is text, even if it looks like a formula."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise UsageError(
            "xlsx needs openpyxl, which is not installed: pip install 'inkmill[xlsx]', "
            "or choose another --format"
        ) from None

    def cell(sheet: Any, value: str | float | None) -> Any:
        if isinstance(value, float):
            return round(value, 4)
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, for_xml(value))
        made.data_type = "s"
        return made

    book, lines, count = Workbook(write_only=True), _lines(table, rows), 0
    while count == 0 or count % _SHEET_LINES == 0:
        sheet = book.create_sheet("rows" if count == 0 else f"rows {count // _SHEET_LINES + 1}")
        sheet.append(list(table.columns))
        before = count
        for line in islice(lines, _SHEET_LINES):
            sheet.append([cell(sheet, value) for value in line])
            count += 1
        if count == before:
            break
    book.save(file)
    return count


def for_xml(text: str) -> str:
    """Text for a spreadsheet: characters that XML excludes become replacement characters."""
    return _NOT_XML.sub("\ufffd", text)


def _lines(table: ResultTable, rows: Iterable[Row]) -> Iterator[Line]:
    for row in rows:
        yield from table.lines(row)


WRITERS: dict[str, Writer] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}
FORMATS = tuple(WRITERS)
BINARY = ("parquet", "xlsx")
