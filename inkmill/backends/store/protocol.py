"""What Inkmill needs of an object store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: S3 deletes at most this many keys in one request.
DELETE_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One line of a listing; ``modified`` in seconds since the epoch."""

    key: str
    size: int
    modified: float
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is stored."""

    data: bytes
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """What Inkmill needs of an object store.

    Every method may raise Unreachable (try again later) or StoreDenied (correct the credentials
    or the bucket first).
    """

    def get(self, key: str) -> Stored:
        """Read an object. Raises NotFound, or Corrupt if its checksum does not fit."""
        ...

    def get_if_changed(self, key: str, etag: str) -> Stored | None:
        """Read an object unless it still has ``etag``: one conditional GET. Raises NotFound."""
        ...

    def head(self, key: str) -> Mapping[str, str] | None:
        """An object's metadata, or None where there is no such object."""
        ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write an object at once, or not at all, and return its etag.

        ``if_match`` demands that the object has that etag, ``if_none_match`` that there is
        none: else PreconditionFailed is raised and nothing is written.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that do not exist are ignored."""
        ...

    def delete_if_match(self, key: str, etag: str) -> None:
        """Delete an object only while it still has ``etag``.

        Raises PreconditionFailed, and deletes nothing, where the object has another etag or does
        not exist.
        """
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix`` and sorts after ``after``, in key order."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """The folders directly below ``prefix``; both end with /."""
        ...


def exists(store: Store, key: str) -> bool:
    """Whether there is an object of that key."""
    return store.head(key) is not None


def delete_prefix(store: Store, prefix: str) -> int:
    """Delete every object below ``prefix``; returns how many there were."""
    total, batch = 0, list[str]()
    for entry in store.list(prefix):
        batch.append(entry.key)
        if len(batch) == DELETE_BATCH:
            store.delete(batch)
            total, batch = total + len(batch), []
    store.delete(batch)
    return total + len(batch)
