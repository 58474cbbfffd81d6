"""Storage of runs: an object store, or a folder if none is configured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from inkmill.backends.store import ObjectInfo, Stored
from inkmill.errors import NotFound, PreconditionFailed, Unreachable


class RunStore(Protocol):
    """The methods of `inkmill.backends.store.Store` that runs need; `FolderStore` has them too."""

    def get(self, key: str) -> Stored: ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str: ...

    def delete(self, keys: Iterable[str]) -> None: ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]: ...


class FolderStore:
    """Objects as files. A file appears complete or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> Stored:
        try:
            data = (self.root / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no file {self.root / key}") from None
        return Stored(data, hashlib.sha256(data).hexdigest())

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        path = self.root / key
        if if_match is not None or metadata:
            raise NotImplementedError("a folder keeps neither etags nor metadata")
        if if_none_match and path.exists():
            raise PreconditionFailed(f"{path} already exists")
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise Unreachable(f"{path}: cannot be written ({error.strerror})") from None
        return hashlib.sha256(data).hexdigest()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.root / key).unlink(missing_ok=True)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        found = []
        folder = self.root / prefix
        for path in (folder if prefix.endswith("/") else folder.parent).rglob("*"):
            key = path.relative_to(self.root).as_posix()
            hidden = path.name.startswith(".")
            if path.is_file() and not hidden and key.startswith(prefix) and key > after:
                about = path.stat()
                found.append(ObjectInfo(key, about.st_size, about.st_mtime))
        return iter(sorted(found, key=lambda entry: entry.key))
