"""The columns that users see, and how a row fills them. Scripts depend on both.

Digit images have one line each. Pages of a form have one wide line each, with four columns for
every field of the template; or, long, one line for each field of each page (a page that could
not be read still has one, without a field). Of several templates, fields of the same name share
their columns, and lines end with the template that their page was read by. Where values may
come from people or rules, each field has one column more: ``<field>_source``, and
``value_source`` at the end of the long table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING

from inkmill.errors import FormError, UsageError
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row

if TYPE_CHECKING:
    from inkmill.template.form import Form

Value = str | int | float | None
Line = list[Value]


class Kind(Enum):
    """What a column holds: text, whole numbers, or probabilities between 0 and 1."""

    TEXT, NUMBER, CONFIDENCE = "text", "number", "confidence"


#: The kinds of the columns that are no text, where they are not a field's.
_KINDS = {"item": Kind.NUMBER, "page": Kind.NUMBER, "confidence": Kind.CONFIDENCE}
#: What follows a field's name in the wide table; the last where values may come from elsewhere.
_PARTS = ("", "_raw", "_confidence", "_status", "_source")
#: Columns of the table that `inkmill data from-job` writes, besides its fields.
_VERIFIED = ("image", "page", "form_page", "document")
#: Stands for the pages of which it could not be told which template they are of.
NO_FORM = "-"
#: What lines end with where a job has several templates; the wide table has a column form anyway.
_FORM = ("form", "form_hash")

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
    """Columns with their kinds, and the lines that a row becomes: a value for each, in order.

    Each column has a name of its own.
    """

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    lines: Callable[[Row], Iterator[Line]]


def table_of(record: Job, long: bool, sources: bool = False, form: str | None = None) -> Table:
    """The table of a job; with ``sources`` it says where each value comes from.

    With ``form``, the columns are those of this one of its templates alone (`NO_FORM`: those of
    a page of which no template was told). Raises UsageError for --long and --form without a
    form, and for a template that the job does not have.
    """
    if not record.form:
        if long or form is not None:
            option = "--long" if long else "--form"
            raise UsageError(f"{option} is for forms: a digit image is one line as it is")
        return Table(_DIGITS, _kinds(_DIGITS), _digit_lines)
    forms = _forms(record, form)
    told = _FORM if form is None and len(forms) > 1 else ()
    if long:
        columns = (*_LONG, *(["value_source"] if sources else []), *told)
        return Table(columns, _kinds(columns), lambda row: _long_lines(row, sources, told))
    # Fields of the same name have one column, in the order of their first mention.
    fields = list(dict.fromkeys(field.name for each in forms for field in each.all_fields))
    parts = _PARTS if sources else _PARTS[:-1]
    of_field = [Kind.CONFIDENCE if part == "_confidence" else Kind.TEXT for part in parts]
    return Table(
        _unlike([*_PAGE, *(f"{name}{part}" for name in fields for part in parts), *told[1:]]),
        (*_kinds(_PAGE), *of_field * len(fields), *_kinds(told[1:])),
        lambda row: iter([[*_wide_line(row, fields, sources), *_told(row, told[1:])]]),
    )


def _kinds(columns: Sequence[str]) -> tuple[Kind, ...]:
    return tuple(_KINDS.get(column, Kind.TEXT) for column in columns)


def _unlike(columns: Sequence[str]) -> tuple[str, ...]:
    """Column names of which none is there twice; the later of two is numbered.

    Only jobs from before `check_names` have such fields: none of their values gets lost.
    """
    given = set(columns)
    found = dict[str, None]()
    for column in columns:
        numbered = (f"{column}_{number}" for number in count(2))
        unlike = (each for each in numbered if each not in given and each not in found)
        found[next(unlike) if column in found else column] = None
    return tuple(found)


def check_names(forms: Iterable[Form]) -> None:
    """Raises FormError where fields would fill the same column of a table, or one of the row's.

    Asked at submit, not of every template: what was read by one must stay readable.
    """
    owner = dict.fromkeys((*_PAGE, *_FORM, *_VERIFIED), "")
    for form in forms:
        for field in form.all_fields:
            for column in (f"{field.name}{part}" for part in _PARTS):
                other = owner.setdefault(column, field.name)
                if not other:
                    raise FormError(
                        f"form {form.name}: a field is called {column}, which tables have as a "
                        "column of their own: give it another name"
                    )
                if other != field.name:
                    raise FormError(
                        f"form {form.name}: field {field.name} and a field {other} would both fill "
                        f"the column {column} of tables: give one of them another name"
                    )


def _forms(record: Job, name: str | None) -> Sequence[Form]:
    from inkmill.producer.tables.settlement import templates_of

    templates = templates_of(record)
    if name == NO_FORM:
        return ()
    return templates.forms if name is None else [templates.of_name(name)]


def _told(row: Row, columns: Sequence[str]) -> Line:
    """What a line says of the template that its page was read by."""
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


def _long_lines(row: Row, sources: bool, told: Sequence[str]) -> Iterator[Line]:
    about: Line = [row.item, row.source, row.page, row.document_key]
    if not row.fields:
        none = [""] if sources else []
        ends = [*none, *_told(row, told)]
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
            *_told(row, told),
        ]


def _box(result: FieldResult) -> str:
    return " ".join(map(str, result.box)) if result.box else ""


def _text(code: object) -> str:
    return "" if code is None else str(code)
