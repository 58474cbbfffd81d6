"""The batches of a watch, as the store keeps them: which files were claimed and submitted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

from inkmill.errors import Corrupt
from inkmill.folders import same_name
from inkmill.producer.inputs.sources import Found
from inkmill.records import codec
from inkmill.records.image_ref import UserObject

_SCHEMA = 1
_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Files that are submitted together.

    ``marks`` identify their states, ``sources`` their names without those that are absent, both as
    hexadecimal digests. ``files`` is emptied once the batch is ``submitted``: names may be personal
    data, and are no longer needed.
    """

    marks: tuple[str, ...]
    sources: tuple[str, ...]
    files: tuple[Found, ...] = ()
    submitted: bool = False
    schema: int = _SCHEMA

    @classmethod
    def of(cls, files: Sequence[Found]) -> WatchBatch:
        """The batch of these files, not yet submitted."""
        there = (found for found in files if not is_absent(found))
        return cls(
            marks=tuple(mark(found).hex() for found in files),
            sources=tuple(source_digest(found.source).hex() for found in there),
            files=tuple(files),
        )

    def mark_submitted(self) -> WatchBatch:
        """The batch once its job has all of its files."""
        return replace(self, submitted=True, files=())

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> WatchBatch:
        """The batch in an object of the store. Raises Corrupt, or Newer."""
        codec.refuse_newer(data, "the batch of a watch", schema=_SCHEMA)
        try:
            record = json.loads(data)
            return cls(
                marks=_digests(record["marks"]),
                sources=_digests(record["sources"]),
                files=tuple(map(_found, record["files"])),
                submitted=record["submitted"] is True,
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Corrupt(f"not a batch of a watch: {error}", data) from error


@dataclass
class BatchInputs:
    """The files of a batch as a job's inputs, which can be iterated repeatedly."""

    found: Sequence[Found]
    passed_over: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Found]:
        return iter(self.found)


def absent(source: str, problem: str) -> Found:
    """An expected source that has no file."""
    return Found(source, problem=problem)


def is_absent(found: Found) -> bool:
    """Whether this is an expected source that has no file."""
    return not (found.ref or found.path)


def _digests(found: list[str]) -> tuple[str, ...]:
    """Digests as `digest` makes them, in hexadecimal. Raises ValueError or TypeError."""
    if any(len(bytes.fromhex(each)) != _DIGEST_BYTES for each in found):
        raise ValueError("a digest of another length")
    return tuple(found)


def _found(record: dict[str, Any]) -> Found:
    # Not by the codec: a path may hold bytes that are not UTF-8, which JSON proper has no way for.
    ref = record.pop("ref")
    return Found(**record, ref=UserObject(**ref) if ref else None)


def mark(found: Found) -> bytes:
    """Eight bytes that identify this state of a file: its place, size and time of change."""
    place = f"absent\n{found.source}" if is_absent(found) else found.ref or found.path
    return digest(f"{place}\n{found.size}\n{found.changed}")


def source_digest(source: str) -> bytes:
    """Eight bytes that stand for a source, the same for names that look the same."""
    return digest(same_name(source))


def digest(text: str) -> bytes:
    """Eight bytes that stand for a name; file names may have bytes that are not UTF-8."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=_DIGEST_BYTES).digest()
