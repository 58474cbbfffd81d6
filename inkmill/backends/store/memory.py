"""A store in this process's memory: the twin of S3 for unit tests."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

from inkmill import names
from inkmill.backends.store.checksum import DIGEST, too_large, verify
from inkmill.backends.store.protocol import ObjectInfo, Stored
from inkmill.errors import NotFound, PreconditionFailed


class MemoryStore:
    """A store in this process's memory, for unit tests."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[Stored, float]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Stored:
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise NotFound(f"there is no object {key}")
        if len(found[0].data) > names.most_bytes(key):
            raise too_large(key, len(found[0].data))
        verify(key, found[0].data, found[0].metadata)
        return found[0]

    def get_if_changed(self, key: str, etag: str) -> Stored | None:
        found = self.get(key)
        return None if found.etag == etag else found

    def head(self, key: str) -> Mapping[str, str] | None:
        with self._lock:
            found = self._objects.get(key)
        return None if found is None else found[0].metadata

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        digest = hashlib.sha256(data).hexdigest()
        stored = Stored(bytes(data), f'"{digest[:32]}"', {**(metadata or {}), DIGEST: digest})
        with self._lock:
            found = self._objects.get(key)
            if if_none_match and found is not None:
                raise PreconditionFailed(f"{key} already exists")
            if if_match is not None and (found is None or found[0].etag != if_match):
                raise PreconditionFailed(f"{key} was changed by another process")
            self._objects[key] = (stored, time.time())
        return stored.etag

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def delete_if_match(self, key: str, etag: str) -> None:
        with self._lock:
            found = self._objects.get(key)
            if found is None or found[0].etag != etag:
                raise PreconditionFailed(f"{key} was changed by another process")
            del self._objects[key]

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            entries = [
                ObjectInfo(key, len(stored.data), modified, stored.etag)
                for key, (stored, modified) in sorted(self._objects.items())
                if key.startswith(prefix) and key > after
            ]
        return iter(entries)

    def folders(self, prefix: str) -> Iterator[str]:
        below = (entry.key[len(prefix) :] for entry in self.list(prefix))
        return iter(sorted({f"{prefix}{key.split('/')[0]}/" for key in below if "/" in key}))
