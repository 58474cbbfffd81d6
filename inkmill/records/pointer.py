"""The one object of a model that changes: which version is the latest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from inkmill.records import codec
from inkmill.records.codec import Digest, Length, NameOrEmpty, Within

_SCHEMA = 1
#: The pointer remembers this many versions to roll back to.
MOST_HISTORY = 50


@dataclass(frozen=True, slots=True)
class _Record:
    """The pointer as it is stored."""

    version: Digest
    history: Annotated[tuple[Digest, ...], Length(0, MOST_HISTORY)]
    promoted: NameOrEmpty
    inkmill_pointer: Annotated[int, Within(_SCHEMA, _SCHEMA)] = _SCHEMA


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version is latest. ``history`` are the ones before it, newest first; ``promoted`` is
    when it became the latest (ISO 8601); ``etag`` is that of the object."""

    version: str
    history: tuple[str, ...] = ()
    promoted: str = ""
    etag: str = ""

    def encode(self) -> bytes:
        """The pointer as an object, without its etag."""
        record = _Record(self.version, self.history, self.promoted)
        return codec.encode(record, "the pointer to a model")

    @classmethod
    def decode(cls, data: bytes, etag: str, name: str = "latest.json") -> Pointer:
        """The pointer in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        record = codec.decode(_Record, data, name, schema=_SCHEMA, schema_field="inkmill_pointer")
        return cls(record.version, record.history, record.promoted, etag)
