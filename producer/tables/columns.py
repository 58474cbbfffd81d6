"""The columns that users see, and how a row fills them. Scripts depend on both.

A digit image has one line. A page of a form has one wide line, with four columns for every field
of the template; in the long format it has one line for each field (a page that could not be read
still has one, without a field). With several templates, fields of the same name share their
columns, and lines end with the template that their page was read by. Where the forms have numbers
without cells, wide lines name the model that read them, as ``strips_model``. Where values may come
from people or rules, each field has one more column, ``<field>_source``, and the long table ends
with ``value_source``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from inkmill.errors import FormError, UsageError
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row

if TYPE_CHECKING:
    from inkmill.template.form import Form

Value = str | int | float | None
Line = list[Value]


class ColumnKind(Enum):
    """The type of a column's values: text, whole numbers, or probabilities between 0 and 1."""

    TEXT, NUMBER, CONFIDENCE = "text", "number", "confidence"


#: The columns about a row that are not text.
_KINDS = {"item": ColumnKind.NUMBER, "page": ColumnKind.NUMBER, "confidence": ColumnKind.CONFIDENCE}
#: Follow a field's name in the wide table; the last only where values may come from elsewhere.
_PARTS = ("", "_raw", "_confidence", "_status", "_source")
#: Columns of the table that `inkmill data from-job` writes, besides the fields.
_VERIFIED = ("image", "page", "form_page", "document")
#: Stands for the pages whose template could not be detected.
NO_FORM = "-"
#: Lines end with these if a job has several templates; the wide table always has a column form.
_FORM = ("form", "form_hash")
#: The wide table has it where the forms have numbers without cells.
_STRIPS_MODEL = "strips_model"

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
class ResultTable:
    """Distinct column names with their kinds; ``lines`` turns a row into lists of their values."""

    columns: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    lines: Callable[[Row], Iterator[Line]]


def table_of(
    record: Job, long: bool, sources: bool = False, form: str | None = None
) -> ResultTable:
    """The table of a job; with ``sources`` it says where each value comes from.

    With ``form``, it has only the columns of this template of the job (`NO_FORM`: those of a page
    without a detected template). Raises UsageError for --long and --form if the job has no form,
    and for a template that the job does not have.
    """
    if not record.form:
        if long or form is not None:
            option = "--long" if long else "--form"
            raise UsageError(f"{option} is for forms: a digit image always has one line")
        return ResultTable(_DIGITS, _kinds(_DIGITS), _digit_lines)
    forms = _forms(record, form)
    of_form = _FORM if form is None and len(forms) > 1 else ()
    if long:
        columns = (*_LONG, *(["value_source"] if sources else []), *of_form)
        return ResultTable(columns, _kinds(columns), lambda row: _long_lines(row, sources, of_form))
    # Fields of the same name share a column, in the order in which they first appear.
    fields = list(dict.fromkeys(field.name for each in forms for field in each.all_fields))
    parts = _PARTS if sources else _PARTS[:-1]
    of_field = [
        ColumnKind.CONFIDENCE if part == "_confidence" else ColumnKind.TEXT for part in parts
    ]
    ends = (*([_STRIPS_MODEL] if record.strips_model else []), *of_form[1:])
    return ResultTable(
        (*_PAGE, *(f"{name}{part}" for name in fields for part in parts), *ends),
        (*_kinds(_PAGE), *of_field * len(fields), *_kinds(ends)),
        lambda row: iter([[*_wide_line(row, fields, sources), *_values_of(row, ends)]]),
    )


def _kinds(columns: Sequence[str]) -> tuple[ColumnKind, ...]:
    return tuple(_KINDS.get(column, ColumnKind.TEXT) for column in columns)


def check_names(forms: Iterable[Form]) -> None:
    """Raise FormError if two fields, or a field and the row itself, would fill the same column.

    Called at submit and not whenever a template is read: a job's own template must stay readable.
    """
    owner = dict.fromkeys((*_PAGE, *_FORM, *_VERIFIED, _STRIPS_MODEL), "")
    for form in forms:
        for field in form.all_fields:
            for column in (f"{field.name}{part}" for part in _PARTS):
                other = owner.setdefault(column, field.name)
                if not other:
                    raise FormError(
                        f"form {form.name}: field {field.name} would fill the column {column}, "
                        "which every table has: rename the field"
                    )
                if other != field.name:
                    raise FormError(
                        f"form {form.name}: fields {other} and {field.name} would both fill the "
                        f"column {column}: rename one of them"
                    )


def _forms(record: Job, name: str | None) -> Sequence[Form]:
    from inkmill.producer.tables.settlement import templates_of

    templates = templates_of(record)
    if name == NO_FORM:
        return ()
    return templates.forms if name is None else [templates.of_name(name)]


def _values_of(row: Row, columns: Sequence[str]) -> Line:
    """The values of columns that are called as the row's."""
    return [getattr(row, column) for column in columns]


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
        row.document_key,
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


def _long_lines(row: Row, sources: bool, of_form: Sequence[str]) -> Iterator[Line]:
    about: Line = [row.item, row.source, row.page, row.document_key]
    if not row.fields:
        none = [""] if sources else []
        ends = [*none, *_values_of(row, of_form)]
        yield [*about, "", "", "", None, str(row.status), _text(row.code), "", *ends]
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
            *_values_of(row, of_form),
        ]


def _box(result: FieldResult) -> str:
    return " ".join(map(str, result.box)) if result.box else ""


def _text(code: object) -> str:
    return "" if code is None else str(code)
