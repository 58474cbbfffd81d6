"""Rows: what came of each item, and their encoding as Parquet.

One item, one row. A digit image fills ``digit`` and ``confidence``; a form page fills ``key``,
``form`` and ``fields``. Arrays travel as Parquet with one schema for both, so that an export
can read a job's results one file after another without knowing what they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status

if TYPE_CHECKING:
    import pyarrow as pa

#: Raised whenever a column changes meaning; readers refuse a newer one.
SCHEMA_VERSION = 1

#: What the probabilities of a cell belong to, in their order.
SYMBOLS = (*"0123456789", EMPTY_CELL, UNREAD_CELL)
#: Where a field's value comes from: the model, a rule, or a person ("review:NAME").
READ, REPAIR, REVIEW = "read", "repair", "review"

#: Columns whose text repeats itself from row to row: a dictionary makes them small. The others
#: (sources, digests) would only be hashed in vain, a quarter of the time of writing.
_REPETITIVE = (
    *("status", "code", "message", "key", "digit", "form", "model", "precision", "form_hash"),
)

#: What tells which page of which document a row is.
_HEADS = ("item", "source", "page", "status", "code", "key", "form", "form_hash", "form_page")


@dataclass(frozen=True, slots=True)
class CellReading:
    """What the model says of one crop.

    ``symbol`` is a digit "0".."9", "_" for an empty cell, "?" for what is no digit, or the
    form's mark for none ("X", "-"); ``probabilities`` are those of `SYMBOLS`, in that order,
    and sum to 1 (none where the cell was empty before the model saw it).
    """

    symbol: str
    confidence: float
    probabilities: tuple[float, ...] = ()
    runner_up: str = ""
    runner_up_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class FieldResult:
    """A named value of a page: ``raw`` as written, cell by cell; ``value`` as meant.

    ``confidence`` is the probability that every cell is read right, by the reading alone.
    ``box`` is the field's rectangle on the scan in pixels: left, top, right, bottom.
    ``proposed`` is the most probable value that fulfils the form's rules, ``rule`` the rule
    that was broken or that decided, ``margin`` the natural logarithm of the odds of the
    proposal against all others. They never change ``value`` unless the field asks for it:
    ``source`` then is "repair"; it is "read" else, and "review:NAME" for a person's value.
    """

    name: str
    value: str
    raw: str
    confidence: float
    status: Status = Status.OK
    code: Code | None = None
    message: str = ""
    box: tuple[int, int, int, int] | None = None
    cells: tuple[CellReading, ...] = ()
    proposed: str = ""
    rule: str = ""
    margin: float = 0.0
    source: str = READ


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of one item (one page of one image).

    ``transform`` maps template units to the scan's pixels: 3x3, row by row, so that crops can
    be cut again; ``residual`` is its error in the template's units. ``form`` is the name and
    ``form_hash`` the SHA-256 of the template that the page was read by, ``form_page`` which of
    its pages this is (0: not known).
    """

    item: int
    source: str
    page: int = 1
    status: Status = Status.OK
    code: Code | None = None
    message: str = ""
    key: str = ""
    digit: str = ""
    confidence: float | None = None
    form: str = ""
    model: str = ""
    precision: str = ""
    fields: tuple[FieldResult, ...] = ()
    transform: tuple[float, ...] = ()
    residual: float | None = None
    sha256: str = ""
    form_hash: str = ""
    form_page: int = 0

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
    import pyarrow as pa

    cell = pa.struct(
        [
            ("symbol", pa.string()),
            ("confidence", pa.float32()),
            ("probabilities", pa.list_(pa.float32())),
            ("runner_up", pa.string()),
            ("runner_up_confidence", pa.float32()),
        ]
    )
    field_type = pa.struct(
        [
            ("name", pa.string()),
            ("value", pa.string()),
            ("raw", pa.string()),
            ("confidence", pa.float32()),
            ("status", pa.string()),
            ("code", pa.string()),
            ("message", pa.string()),
            ("box", pa.list_(pa.int32())),
            ("cells", pa.list_(cell)),
            ("proposed", pa.string()),
            ("rule", pa.string()),
            ("margin", pa.float32()),
            ("source", pa.string()),
        ]
    )
    columns: list[tuple[str, pa.DataType]] = [
        ("item", pa.int64()),
        ("source", pa.string()),
        ("page", pa.int32()),
        ("status", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("key", pa.string()),
        ("digit", pa.string()),
        ("confidence", pa.float32()),
        ("form", pa.string()),
        ("model", pa.string()),
        ("precision", pa.string()),
        ("fields", pa.list_(field_type)),
        ("transform", pa.list_(pa.float64())),
        ("residual", pa.float32()),
        ("sha256", pa.string()),
        ("form_hash", pa.string()),
        ("form_page", pa.int32()),
    ]
    return pa.schema(columns, metadata={"inkmill": str(SCHEMA_VERSION)})


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as one Parquet object."""
    columns = {name: [getattr(row, name) for row in rows] for name in schema().names}
    columns["fields"] = [[_plain(each) for each in row.fields] for row in rows]
    return encode_columns(columns, len(rows))


def encode_columns(columns: Mapping[str, Any], count: int) -> bytes:
    """``count`` rows whose columns are there already, as lists or arrays, as one Parquet object.

    A column that is left out holds nothing: no text, no number, no fields.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(each: pa.Field[Any]) -> Any:
        values = columns.get(each.name)
        if values is None:
            missing = "" if pa.types.is_string(each.type) and each.name != "code" else None
            return pa.repeat(pa.scalar(missing, each.type), count)
        return values if isinstance(values, pa.ChunkedArray) else pa.array(values, each.type)

    arrays = [column(each) for each in schema()]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema()),
        sink,
        compression="zstd",
        write_statistics=False,  # nobody looks a single row up
        use_dictionary=list(_REPETITIVE),  # type: ignore[arg-type]
    )
    return sink.getvalue().to_pybytes()


def _plain(result: FieldResult) -> dict[str, Any]:
    cells = [
        {
            "symbol": cell.symbol,
            "confidence": cell.confidence,
            "probabilities": cell.probabilities,
            "runner_up": cell.runner_up,
            "runner_up_confidence": cell.runner_up_confidence,
        }
        for cell in result.cells
    ]
    return {
        "name": result.name,
        "value": result.value,
        "raw": result.raw,
        "confidence": result.confidence,
        "status": result.status,
        "code": result.code,
        "message": result.message,
        "box": result.box,
        "cells": cells,
        "proposed": result.proposed,
        "rule": result.rule,
        "margin": result.margin,
        "source": result.source,
    }


def decode(data: bytes, heads: bool = False) -> list[Row]:
    """The rows of one Parquet object; with ``heads`` only what says which page each one is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = list(_HEADS) if heads else None
    table = pq.ParquetFile(pa.BufferReader(data)).read(wanted, use_threads=False)
    return [_row(record) for record in table.to_pylist()]


def _code(text: str | None) -> Code | None:
    return Code(text) if text else None


def _row(record: dict[str, Any]) -> Row:
    record["status"] = Status(record["status"])
    record["code"] = _code(record["code"])
    record["fields"] = tuple(_field(each) for each in record.get("fields") or ())
    record["transform"] = tuple(record.get("transform") or ())
    record["form_page"] = record.get("form_page") or 0
    return Row(**record)


def _field(record: dict[str, Any]) -> FieldResult:
    cells = (
        CellReading(**{**cell, "probabilities": tuple(cell["probabilities"] or ())})
        for cell in record["cells"] or ()
    )
    box = record["box"]
    return FieldResult(
        **{
            **record,
            "status": Status(record["status"]),
            "code": _code(record["code"]),
            "box": (box[0], box[1], box[2], box[3]) if box else None,
            "cells": tuple(cells),
        }
    )
