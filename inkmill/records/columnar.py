"""Records as columns of a Parquet object: one declaration, from which schema and coding follow.

Each field of a frozen dataclass is annotated with a `Column`: its Arrow type and, where they differ
from the field's, its name in the object and its coding. A `Layout` makes of that the schema, the
encoding and the decoding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, get_type_hints

from inkmill.errors import Corrupt, Newer
from inkmill.records.codec import MOST_IN_CHUNK
from inkmill.records.parquet_footer import ColumnSize, column_sizes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

T = TypeVar("T")

#: Bytes of a table in memory, and values of one column, lists within lists counted through. A
#: Parquet object of some kilobytes can stand for any number of them.
MOST_IN_MEMORY, MOST_VALUES = 2**30, 2**27


@dataclass(frozen=True, slots=True)
class Column:
    """How a field of a record is stored.

    ``arrow`` is the name of its Arrow type, or the layout of the records that it holds; ``many``
    says that it is a list. ``name`` is the column's where it is not the field's. ``read`` and
    ``write`` turn a stored value into the field's and back. ``repeats`` marks text that is the same
    in many rows, which a dictionary makes small; ``head`` marks what is read where only the
    record's place matters.
    """

    arrow: str | Layout[Any]
    many: bool = False
    name: str = ""
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    repeats: bool = False
    head: bool = False

    @property
    def type(self) -> pa.DataType:
        """The Arrow type."""
        import pyarrow as pa

        if isinstance(self.arrow, str):
            one: pa.DataType = pa.type_for_alias(self.arrow)  # type: ignore[call-overload]
        else:
            one = pa.struct(list(self.arrow.schema))
        return pa.list_(one) if self.many else one


#: The usual columns.
Int64 = Annotated[int, Column("int64")]
Int32 = Annotated[int, Column("int32")]
Float32 = Annotated[float, Column("float32")]
String = Annotated[str, Column("string")]
Binary = Annotated[bytes, Column("binary")]


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a record with its column; ``default`` is what null stands for."""

    attribute: str
    name: str
    column: Column
    default: Any

    @property
    def is_read_otherwise(self) -> bool:
        """Whether a stored value is not yet the field's value, or has another name."""
        column = self.column
        nested = isinstance(column.arrow, Layout) or column.many
        return nested or column.read is not None or self.name != self.attribute

    @property
    def is_written_otherwise(self) -> bool:
        """Whether the field's value is not what is stored."""
        return isinstance(self.column.arrow, Layout) or self.column.write is not None

    def encode(self, value: Any) -> Any:
        column = self.column
        if isinstance(column.arrow, Layout):
            return [column.arrow.encode(each) for each in value]
        return value if column.write is None else column.write(value)

    def decode(self, value: Any) -> Any:
        column = self.column
        if value is None:
            return self.default
        if isinstance(column.arrow, Layout):
            return tuple(column.arrow.decode(each) for each in value)
        if column.read is not None:
            return column.read(value)
        return tuple(value) if column.many else value


class Layout(Generic[T]):
    """The columns of one type of record; worked out at the first use."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind

    @cached_property
    def _fields(self) -> tuple[_Field, ...]:
        hints = get_type_hints(self._kind, include_extras=True)
        found: list[_Field] = []
        for each in dataclasses.fields(self._kind):  # type: ignore[arg-type]
            column: Column = hints[each.name].__metadata__[0]
            default = None if each.default is dataclasses.MISSING else each.default
            found.append(_Field(each.name, column.name or each.name, column, default))
        return tuple(found)

    @cached_property
    def _read_otherwise(self) -> list[tuple[str, str, Callable[[Any], Any]]]:
        fields = (each for each in self._fields if each.is_read_otherwise)
        return [(each.name, each.attribute, each.decode) for each in fields]

    @cached_property
    def _written_otherwise(self) -> list[tuple[str, Callable[[Any], Any]]]:
        fields = (each for each in self._fields if each.is_written_otherwise)
        return [(each.name, each.encode) for each in fields]

    @cached_property
    def _names(self) -> list[str]:
        return [each.name for each in self._fields]

    @cached_property
    def _values_of(self) -> Callable[[T], tuple[Any, ...]]:
        return attrgetter(*(each.attribute for each in self._fields))

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, without metadata."""
        import pyarrow as pa

        return pa.schema([(each.name, each.column.type) for each in self._fields])

    @cached_property
    def repetitive(self) -> list[str]:
        """The columns whose text repeats itself from record to record."""
        return [each.name for each in self._fields if each.column.repeats]

    @cached_property
    def heads(self) -> list[str]:
        """The columns that say which record each one is."""
        return [each.name for each in self._fields if each.column.head]

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What a column without values holds: the field's default, or null for a list."""
        return {each.name: None if each.column.many else each.default for each in self._fields}

    def encode(self, record: T) -> dict[str, Any]:
        """The values of a record by column."""
        values = dict(zip(self._names, self._values_of(record), strict=True))
        for name, encode in self._written_otherwise:
            values[name] = encode(values[name])
        return values

    def decode(self, values: dict[str, Any]) -> T:
        """A record from its values by column, which it takes over; others are its defaults.

        Most values are used as they are: a job has millions of rows.
        """
        for name, attribute, decode in self._read_otherwise:
            if name in values:
                values[attribute] = decode(values.pop(name))
        return self._kind(**values)

    def to_columns(self, records: Sequence[T]) -> dict[str, list[Any]]:
        """The values of all columns, in the records' order."""
        columns = {
            each.name: list(map(attrgetter(each.attribute), records)) for each in self._fields
        }
        for name, encode in self._written_otherwise:
            columns[name] = list(map(encode, columns[name]))
        return columns

    def from_table(self, table: pa.Table) -> list[T]:
        """A record for each line. Raises Corrupt for a value that a record cannot have."""
        try:
            return [self.decode(values) for values in table.to_pylist()]
        except (ValueError, TypeError) as error:
            raise Corrupt(f"not a table of {self._kind.__name__}: {error}") from error


def read_table(
    data: bytes,
    what: str,
    version: int,
    columns: Iterable[str] | None,
    *,
    most: int | None = None,
) -> pa.Table:
    """The columns of a Parquet object of ours (all of them for None), with its metadata.

    ``what`` it is meant to be; ``version`` the highest that is known; ``most`` how many bytes it
    may have in memory, `MOST_IN_MEMORY` by default. Raises Corrupt, or Newer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Through ParquetFile: read_table's dataset layer costs a millisecond a call.
        file = pq.ParquetFile(pa.BufferReader(data))
        if file.metadata.num_rows > MOST_IN_CHUNK:
            raise Corrupt(
                f"not a {what} object: {file.metadata.num_rows} lines, at most {MOST_IN_CHUNK}"
            )
        wanted = None if columns is None else list(columns)
        table = _read_bounded(file, column_sizes(data), what, wanted, most or MOST_IN_MEMORY)
        found = int((table.schema.metadata or {})[b"inkmill"])
    except (pa.ArrowException, KeyError, ValueError, OSError, MemoryError) as error:
        raise Corrupt(f"not a {what} object: {error}") from error
    if found > version:
        raise Newer(
            f"{what} was written by a newer Inkmill (schema {found}, but this one reads up to "
            f"{version}): update this program"
        )
    return table


def _read_bounded(
    file: pq.ParquetFile,
    parts: Sequence[ColumnSize],
    what: str,
    columns: list[str] | None,
    most: int,
) -> pa.Table:
    """Read the table, unless it is a bomb: small as an object, huge in memory. Raises Corrupt.

    What it says of itself is checked first. A value that a dictionary holds once may stand in each
    line, of which the sizes say nothing: such a table is read by as many lines as surely fit.
    """
    import pyarrow as pa

    about = file.metadata
    size = sum(each.size for each in parts)
    values = max((each.values for each in parts), default=0)
    if size > most or values > MOST_VALUES:
        raise Corrupt(
            f"not a {what} object: {size:,} bytes in memory and {values:,} values in a column, but "
            f"at most {most:,} and {MOST_VALUES:,} are allowed"
        )
    lines = most // max(size, 1)  # a line holds no more than the dictionaries do
    if lines >= about.num_rows or not any(each.dictionary for each in parts):
        return file.read(columns, use_threads=False)
    batches: list[pa.RecordBatch] = []
    left = most
    for batch in file.iter_batches(max(lines // 8, 1), columns=columns, use_threads=False):
        batches.append(batch)
        left -= batch.nbytes
        if left < 0:
            raise Corrupt(
                f"not a {what} object: more than {most:,} bytes in memory, in "
                f"{about.num_rows} lines"
            )
    return pa.Table.from_batches(batches, file.schema_arrow if columns is None else None)
