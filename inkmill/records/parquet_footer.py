"""What a Parquet object says of its columns, read from its footer without pyarrow.

pyarrow ends the process where the description of a column is damaged: `RowGroupMetaData.column`
lets no C++ exception through (about one in a thousand footers of which a byte was changed). The
footer is in Thrift's compact protocol, of which nothing but the shape is needed here: see
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md and, for the
fields, https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAGIC = b"PAR1"
#: Bytes behind the footer: its length, and the magic.
_TAIL = 8
#: Ours have some hundred values, five deep.
_MOST_VALUES, _DEEPEST = 1_000_000, 16
#: Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_NUM_VALUES, _UNCOMPRESSED_SIZE, _DICTIONARY = 5, 6, 11


@dataclass(frozen=True, slots=True)
class ColumnSize:
    """A part of a column: ``size`` in bytes when unpacked, its ``values``, and whether it has a
    dictionary."""

    size: int
    values: int
    dictionary: bool


def column_sizes(data: bytes) -> list[ColumnSize]:
    """The sizes of all parts of columns of a Parquet object. Raises ValueError if it is none."""
    if len(data) < _TAIL or data[-4:] != _MAGIC:
        raise ValueError("it does not end as a Parquet object")
    length = int.from_bytes(data[-_TAIL:-4], "little")
    if length > len(data) - _TAIL:
        raise ValueError("its footer is longer than itself")
    try:
        footer = _Reader(data[len(data) - _TAIL - length : -_TAIL]).struct()
        return [_size(part) for group in footer[_ROW_GROUPS] for part in group[_COLUMNS]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"its footer is damaged ({type(error).__name__})") from error


def _size(part: dict[int, Any]) -> ColumnSize:
    about = part[_META_DATA]
    size, values = about[_UNCOMPRESSED_SIZE], about[_NUM_VALUES]
    if type(size) is not int or type(values) is not int or min(size, values) < 0:
        raise ValueError("its footer gives a column a size that is none")
    return ColumnSize(size, values, _DICTIONARY in about)


class _Reader:
    """Thrift's compact protocol: structs as mappings by field number, lists as lists."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._left = data, 0, _MOST_VALUES

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("its footer is too deep")
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            # A field of type bool has its value in its type.
            found[number] = self._value(kind, depth + 1) if kind > 2 else kind == 1
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("its footer has too many values")
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 12:
            return self.struct(depth)
        if kind in (9, 10):
            return list(self._items(depth))
        if kind in (1, 2, 3):
            return self._byte()
        if kind == 7:
            return self._bytes(8)
        raise ValueError(f"its footer has a value of type {kind}")

    def _items(self, depth: int) -> Iterator[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        for _ in range(min(count, _MOST_VALUES)):
            yield self._value(kind, depth + 1)

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)  # zigzag

    def _varint(self) -> int:
        value = self._byte()
        if value < 128:  # nearly all are
            return value
        value &= 127
        for shift in range(7, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its footer has a number that does not end")

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise ValueError("its footer ends too soon")
        return self._data[self._at - count : self._at]
