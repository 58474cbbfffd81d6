"""The messages in the queue: each names a chunk and carries nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from inkmill.errors import BadMessage, InkmillError
from inkmill.names import check_job
from inkmill.records import codec
from inkmill.records.codec import ChunkCount, Name, Within

#: Version of the message; workers refuse a newer one.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of the queue: a schema version, the job and the chunk's number."""

    job: Name
    chunk: ChunkCount
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    def encode(self) -> dict[str, Any]:
        return {"schema": self.schema, "job": self.job, "chunk": self.chunk}

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Message:
        """The message in a task's keyword arguments. Raises BadMessage, which carries them."""
        try:
            message = codec.decode(cls, json.dumps(fields), "message", schema=SCHEMA_VERSION)
            check_job(message.job)
        except (InkmillError, TypeError, ValueError) as error:
            raise BadMessage(str(error), repr(fields)[:2000]) from error
        return message
