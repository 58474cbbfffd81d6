"""The columns that users see, and how a row fills them. Scripts depend on both.

Digit images have one line each. Pages of a form have one wide line each, with four columns for
every field of the template; or, long, one line for each field of each page (a page that could
not be read still has one, without a field). Where values may come from people or rules, each
field has one column more: ``<field>_source``, and ``value_source`` at the end of the long table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from inkmill.errors import UsageError
from inkmill.jobs import Job
from inkmill.rows import FieldResult, Row

Value = str | int | float | None
Line = list[Value]

#: Columns that are no text: whole numbers, and probabilities between 0 and 1.
NUMBERS = ("item", "page")
CONFIDENCE = "confidence"

_DIGITS = (
    "item",
    "source",
    "status",
    "code",
    "message",
    "digit",
    "confidence",
    "model",
    "precision",
)
_PAGE = (
    "item",
    "source",
    "page",
    "key",
    "status",
    "code",
    "message",
    "form",
    "model",
    "precision",
)
_LONG = (
    "item",
    "source",
    "page",
    "key",
    "field",
    "value",
    "raw",
    "confidence",
    "status",
    "code",
    "box",
)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and the lines that a row becomes: as many values as columns, in their order."""

    columns: tuple[str, ...]
    lines: Callable[[Row], Iterator[Line]]

    def is_confidence(self, column: str) -> bool:
        return column == CONFIDENCE or column.endswith(f"_{CONFIDENCE}")


def table_of(record: Job, long: bool, sources: bool = False) -> Table:
    """The table of a job; with ``sources`` it says where each value comes from.

    Raises UsageError for --long without a form.
    """
    if not record.form:
        if long:
            raise UsageError("--long is for forms: a digit image is one line as it is")
        return Table(_DIGITS, _digit_lines)
    if long:
        columns = (*_LONG, "value_source") if sources else _LONG
        return Table(columns, lambda row: _long_lines(row, sources))
    fields = _field_names(record)
    parts = ("", "_raw", "_confidence", "_status", *(["_source"] if sources else []))
    return Table(
        (*_PAGE, *(f"{name}{part}" for name in fields for part in parts)),
        lambda row: iter([_wide_line(row, fields, sources)]),
    )


def _field_names(record: Job) -> Sequence[str]:
    from inkmill.producer.settling import form_of

    return [field.name for field in form_of(record).all_fields]


def _digit_lines(row: Row) -> Iterator[Line]:
    yield [
        row.item,
        row.source,
        str(row.status),
        _text(row.code),
        row.message,
        row.digit,
        row.confidence,
        row.model,
        row.precision,
    ]


def _wide_line(row: Row, fields: Sequence[str], sources: bool) -> Line:
    line: Line = [
        row.item,
        row.source,
        row.page,
        row.key,
        str(row.status),
        _text(row.code),
        row.message,
        row.form,
        row.model,
        row.precision,
    ]
    read = {result.name: result for result in row.fields}
    for name in fields:
        result = read.get(name)
        if result is None:
            line += ("", "", None, "", *([""] if sources else []))
        else:
            line += (result.value, result.raw, result.confidence, str(result.status))
            line += [result.source] if sources else []
    return line


def _long_lines(row: Row, sources: bool) -> Iterator[Line]:
    about: Line = [row.item, row.source, row.page, row.key]
    if not row.fields:
        none = [""] if sources else []
        yield [*about, "", "", "", None, str(row.status), _text(row.code), "", *none]
    for result in row.fields:
        yield [
            *about,
            result.name,
            result.value,
            result.raw,
            result.confidence,
            str(result.status),
            _text(result.code),
            _box(result),
            *([result.source] if sources else []),
        ]


def _box(result: FieldResult) -> str:
    return " ".join(map(str, result.box)) if result.box else ""


def _text(code: object) -> str:
    return "" if code is None else str(code)
