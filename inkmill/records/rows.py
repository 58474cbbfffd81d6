"""Rows: the outcome of each item, and their encoding as Parquet.

One item, one row. A digit image fills ``digit`` and ``confidence``; a form page fills
``document_key``, ``form`` and ``fields``. Both have one schema, so that an export can read a job's
results one file after another without knowing what they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, PageBy, Status
from inkmill.errors import Corrupt
from inkmill.records.codec import MOST_ITEMS
from inkmill.records.columnar import Column, Float32, Layout, String, read_table

if TYPE_CHECKING:
    import pyarrow as pa

#: Raised whenever a column changes meaning; readers refuse a newer one.
SCHEMA_VERSION = 1

#: The marks with which people cross out a cell.
MARKS = ("X", "-")
#: What the probabilities of a cell belong to, in their order.
SYMBOLS = (*"0123456789", EMPTY_CELL, UNREAD_CELL, *MARKS)
#: Where a field's value comes from: the model, a rule, or a person ("review:NAME").
READ, REPAIR, REVIEW = "read", "repair", "review"


def _code(text: str) -> Code | None:
    return Code(text) if text else None


def _box(edges: list[int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = edges
    return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class CellReading:
    """The model's reading of one crop.

    ``symbol`` is a digit "0".."9", "_" for an empty cell, "X" or "-" for a mark for none, "?" for
    any other ink; ``probabilities`` are those of `SYMBOLS`, in that order, and sum to 1 (there are
    none if the cell was found empty without the model). A model without a class for the marks
    gives them 0.
    """

    symbol: String
    confidence: Float32
    probabilities: Annotated[tuple[float, ...], Column("float32", many=True)] = ()
    runner_up: String = ""
    runner_up_confidence: Float32 = 0.0


@dataclass(frozen=True, slots=True)
class StringReading:
    """One way to read a number that has no cells, and its probability.

    ``text`` is what is written, with points and dashes; "_" for nothing, "X" or "-" for a mark for
    none.
    """

    text: String
    probability: Float32


@dataclass(frozen=True, slots=True)
class FieldResult:
    """A named value of a page: ``raw`` is the reading cell by cell, ``value`` its meaning.

    ``confidence`` is the probability that every cell was read correctly, based on the reading
    alone. A number without cells has ``strings`` in place of ``cells``, the most probable first:
    what their probabilities lack to 1 is that of all else. ``box`` is the field's rectangle on the
    scan in pixels: left, top, right, bottom. ``proposed`` is the most probable value that satisfies
    the form's rules, ``rule`` the rule that was broken or that decided, ``margin`` the natural
    logarithm of the odds of the proposal against all other values. They change ``value`` only if
    the field has ``repair``. ``source`` is "read", "repair", or "review:NAME" for a value that a
    person entered.
    """

    name: String
    value: String
    raw: String
    confidence: Float32
    status: Annotated[Status, Column("string", read=Status)] = Status.OK
    code: Annotated[Code | None, Column("string", read=_code)] = None
    message: String = ""
    box: Annotated[tuple[int, int, int, int] | None, Column("int32", many=True, read=_box)] = None
    cells: Annotated[tuple[CellReading, ...], Column(Layout(CellReading), many=True)] = ()
    proposed: String = ""
    rule: String = ""
    margin: Float32 = 0.0
    source: String = READ
    strings: Annotated[tuple[StringReading, ...], Column(Layout(StringReading), many=True)] = ()

    @property
    def by_model(self) -> bool:
        """Whether a model, or the cutting of cells, says what is written."""
        return bool(self.cells or self.strings)


#: Text that repeats itself from row to row. The rest (sources, digests) would only be hashed in
#: vain, a quarter of the time of writing.
_Repeated = Annotated[str, Column("string", repeats=True)]
#: Columns that say which page of which document a row is.
_Place = Annotated[str, Column("string", repeats=True, head=True)]


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of one item (one page of one image).

    ``document_key`` is the key of the document that the page belongs to (the column ``key``).
    ``transform`` maps template units to the scan's pixels (a 3x3 matrix, row by row);
    ``residual`` is its error in template units. ``form`` and ``form_hash`` are the name and the
    SHA-256 of the template that the page was read with; ``form_page`` is the page of the
    template (0 if unknown), and ``page_by`` says how it was determined. ``model`` is the version
    that read digits, ``strips_model`` the one that read numbers without cells ("" for none).
    """

    item: Annotated[int, Column("int64", head=True)]
    source: Annotated[str, Column("string", head=True)]
    page: Annotated[int, Column("int32", head=True)] = 1
    status: Annotated[Status, Column("string", read=Status, repeats=True, head=True)] = Status.OK
    code: Annotated[Code | None, Column("string", read=_code, repeats=True, head=True)] = None
    message: _Repeated = ""
    document_key: Annotated[str, Column("string", name="key", repeats=True, head=True)] = ""
    digit: _Repeated = ""
    confidence: Annotated[float | None, Column("float32")] = None
    form: _Place = ""
    model: _Repeated = ""
    precision: _Repeated = ""
    fields: Annotated[tuple[FieldResult, ...], Column(Layout(FieldResult), many=True)] = ()
    transform: Annotated[tuple[float, ...], Column("float64", many=True)] = ()
    residual: Annotated[float | None, Column("float32")] = None
    sha256: String = ""
    form_hash: _Place = ""
    form_page: Annotated[int, Column("int32", head=True)] = 0
    page_by: Annotated[PageBy, Column("string", read=PageBy, repeats=True, head=True)] = (
        PageBy.UNKNOWN
    )
    strips_model: _Repeated = ""

    def failed(self, code: Code, message: str) -> Row:
        """The same item as an error row, with nothing read."""
        return replace(
            self,
            status=Status.ERROR,
            code=code,
            message=message,
            digit="",
            confidence=None,
            fields=(),
        )


_LAYOUT = Layout(Row)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a result holds, in all, by status and by code."""

    rows: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, statuses: Mapping[str, int], codes: Mapping[str, int]) -> Counts:
        """Counts from how often each status and each code occurs; every row has a status."""
        every = {str(status): statuses.get(status, 0) for status in Status}
        return cls(sum(every.values()), every, {str(code): n for code, n in codes.items()})


def count(rows: Iterable[Row]) -> Counts:
    """Count rows by status and code."""
    statuses, codes = Counter[str](), Counter[str]()
    for row in rows:
        statuses[row.status] += 1
        if row.code is not None:
            codes[row.code] += 1
    return Counts.of(statuses, codes)


@cache
def schema() -> pa.Schema:
    """The Arrow schema of a result object."""
    return _LAYOUT.schema.with_metadata({"inkmill": str(SCHEMA_VERSION)})


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as one Parquet object."""
    return encode_columns(_LAYOUT.to_columns(rows), len(rows))


def encode_columns(columns: Mapping[str, Any], count: int) -> bytes:
    """``count`` rows whose columns are there already, as lists or arrays, as one Parquet object.

    A column that is left out holds the default of the row's field.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(each: pa.Field[Any]) -> Any:
        values = columns.get(each.name)
        if values is None:
            return pa.repeat(pa.scalar(_LAYOUT.defaults[each.name], each.type), count)
        return values if isinstance(values, pa.ChunkedArray) else pa.array(values, each.type)

    arrays = [column(each) for each in schema()]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema()),
        sink,
        compression="zstd",
        write_statistics=False,  # single rows are never looked up
        use_dictionary=_LAYOUT.repetitive,  # type: ignore[arg-type]
    )
    return sink.getvalue().to_pybytes()


def decode(data: bytes, heads: bool = False) -> list[Row]:
    """The rows of one Parquet object; with ``heads`` only the columns that say which page each is.

    Raises Corrupt, or Newer.
    """
    wanted = _LAYOUT.heads if heads else None
    table = read_table(data, "result", SCHEMA_VERSION, wanted)
    found = _LAYOUT.from_table(table)
    for row in found:
        if row.item is None or not 0 <= row.item <= MOST_ITEMS:
            raise Corrupt(f"not a result object: a row for item {row.item}")
    return found


def values_of(data: bytes, column: str) -> set[Any]:
    """The different values in one column of a Parquet object of rows. Raises Corrupt, or Newer."""
    import pyarrow.compute as pc

    table = read_table(data, "result", SCHEMA_VERSION, [column])
    try:
        return set(pc.unique(table.column(column)).to_pylist())
    except KeyError as error:
        raise Corrupt(f"not a result object: it has no column {column}") from error
