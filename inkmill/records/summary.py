"""How a job ended: the counts of its rows, written once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

from inkmill.records import codec
from inkmill.records.codec import ChunkCount, ItemCount, Length, Name, Timestamp, Within

#: Version of the summary; readers refuse a newer one.
SCHEMA_VERSION = 1

#: Metadata of the only result of a job: the summary as JSON.
_METADATA = "summary"
#: Counts by status or code; newer programs may know more of them than this one.
CountsByName = Annotated[dict[Name, ItemCount], Length(0, 1000)]


@dataclass(frozen=True, slots=True)
class Summary:
    """How many rows, by status and code; ``finished`` in seconds since the epoch."""

    job: Name
    finished: Timestamp
    chunks: ChunkCount
    rows: ItemCount
    statuses: CountsByName
    codes: CountsByName
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    def encode(self) -> bytes:
        """The summary as an object."""
        return codec.encode(self, f"the summary of job {self.job}", indent=1)

    def as_metadata(self) -> dict[str, str]:
        """The summary as metadata of an object: some hundred bytes of ASCII."""
        return {_METADATA: json.dumps(asdict(self))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> Summary | None:
        """The summary in the metadata of object ``name``, if there is one.

        Raises Corrupt, or Newer.
        """
        text = metadata.get(_METADATA)
        return None if text is None else cls.decode(text, name)

    @classmethod
    def decode(cls, data: bytes | str, name: str) -> Summary:
        """The summary in an object or its metadata; ``name`` is the key.

        Raises Corrupt, or Newer.
        """
        return codec.decode(cls, data, name, schema=SCHEMA_VERSION)
