"""Evidence of failures that workers store beside a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from inkmill.codes import Code
from inkmill.records import codec
from inkmill.records.codec import ChunkCount, ItemCount, Name, Timestamp, Within

#: Version of both records; readers refuse a newer one.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class GivenUpItem:
    """An item that killed engines or workers, with the code and message of its row."""

    item: ItemCount
    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The items of a chunk that were given up, for ``inkmill quarantine``."""

    job: Name
    chunk: ChunkCount
    time: Timestamp
    items: tuple[GivenUpItem, ...]
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    @classmethod
    def of(
        cls, job: str, chunk: int, time: float, given_up: Mapping[int, tuple[str, str]]
    ) -> Evidence:
        """The evidence for these items: item -> code and message."""
        items = (
            GivenUpItem(item, Code(code), message)
            for item, (code, message) in sorted(given_up.items())
        )
        return cls(job=job, chunk=chunk, time=time, items=tuple(items))

    def encode(self) -> bytes:
        """The evidence as an object."""
        return codec.encode(self, f"the evidence of chunk {self.chunk}", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str) -> Evidence:
        """The evidence in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=SCHEMA_VERSION)


@dataclass(frozen=True, slots=True)
class AttemptMark:
    """A repeated attempt at a chunk: which worker made it, and when."""

    worker: str
    time: Timestamp
    attempt: ItemCount
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    def encode(self) -> bytes:
        """The mark as an object."""
        return codec.encode(self, f"the mark of attempt {self.attempt}")
