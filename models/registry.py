"""Published models in object storage: versions that never change, and one pointer that does.

A version's manifest is written last, so that its existence means complete. The pointer is
replaced by conditional write: two publishers at once never lose or mix a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, ModelError, NotFound, PreconditionFailed, UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.weights import ModelFiles

_SCHEMA = 1
#: The pointer remembers this many versions to roll back to.
_HISTORY = 50
#: Each lost race means that somebody else published; this many in a row means a defect.
_RACES = 20


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version is latest. ``history`` are the ones before it, newest first."""

    version: str
    history: tuple[str, ...]
    promoted: str
    etag: str

    def encode(self) -> bytes:
        record = {
            "inkmill_pointer": _SCHEMA,
            "version": self.version,
            "history": list(self.history),
            "promoted": self.promoted,
        }
        return json.dumps(record, sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes, etag: str) -> Pointer:
        """Read a pointer; raises ModelError for anything that is not one."""
        try:
            record = json.loads(data)
            if record["inkmill_pointer"] != _SCHEMA:
                raise ValueError(f"schema {record['inkmill_pointer']!r}")
            versions = [names.check_sha256(each) for each in record["history"]]
            version, promoted = names.check_sha256(record["version"]), str(record["promoted"])
        except (ValueError, KeyError, TypeError, UsageError) as error:
            raise ModelError(
                f"latest.json is no pointer to a model ({error}): promote a version again"
            ) from None
        return cls(version, tuple(versions), promoted, etag)


class Registry:
    """The models of one name."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = names.check_model(name)

    def publish(
        self,
        files: ModelFiles,
        *,
        promote: bool = True,
        gate: Callable[[Manifest], None] | None = None,
    ) -> str:
        """Store a model and make it the latest; returns its version.

        ``gate`` is called with the manifest of the version that would be replaced, and raises
        to refuse; it is asked again whenever somebody else published meanwhile. A version that
        is stored already is left as it is.
        """
        files.check()
        version = files.manifest.version
        if promote and gate is not None:
            self._ask(gate, self.current(), version)
        self._write(names.model_weights(self.name, version), files.weights)
        self._write(names.model_golden(self.name, version), files.golden)
        self._write(names.model_manifest(self.name, version), files.manifest.encode())
        if promote:
            self.promote(version, gate=gate)
        return version

    def _write(self, key: str, data: bytes) -> None:
        # Over a half-finished or damaged copy too: keys are named by content, so that writing
        # twice is harmless.
        self.store.put(key, data)

    def _ask(self, gate: Callable[[Manifest], None], current: Pointer | None, version: str) -> None:
        if current is not None and current.version != version:
            gate(self.show(current.version))

    def promote(self, version: str, *, gate: Callable[[Manifest], None] | None = None) -> Pointer:
        """Make a stored version the latest. Raises NotFound if it is not there."""
        self.show(version)

        def step(current: Pointer | None) -> tuple[str, tuple[str, ...]]:
            if gate is not None:
                self._ask(gate, current, version)
            if current is None:
                return version, ()
            if current.version == version:
                return version, current.history
            return version, (current.version, *current.history)[:_HISTORY]

        return self._move(step)

    def rollback(self) -> Pointer:
        """Make the version before the latest the latest again. Raises NotFound if there is none."""

        def step(current: Pointer | None) -> tuple[str, tuple[str, ...]]:
            if current is None or not current.history:
                raise NotFound(f"model {self.name}: there is no earlier version to roll back to")
            self.show(current.history[0])
            return current.history[0], current.history[1:]

        return self._move(step)

    def _move(self, step: Callable[[Pointer | None], tuple[str, tuple[str, ...]]]) -> Pointer:
        key = names.model_pointer(self.name)
        for _ in range(_RACES):
            current, damaged = self._current_or_damaged()
            version, history = step(current)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            pointer = Pointer(version, history, now, "")
            try:
                etag = self.store.put(
                    key,
                    pointer.encode(),
                    if_match=current.etag if current else None,
                    if_none_match=current is None and not damaged,
                )
            except PreconditionFailed:
                continue
            return Pointer(version, history, now, etag)
        raise PreconditionFailed(f"{key} changed {_RACES} times in a row: try again")

    def _current_or_damaged(self) -> tuple[Pointer | None, bool]:
        """The pointer; and whether one is there that cannot be read, and may be replaced."""
        try:
            return self.current(), False
        except ModelError:
            return None, True

    def current(self) -> Pointer | None:
        """The pointer, or None where nothing was published yet."""
        try:
            return self.latest()
        except NotFound:
            return None

    def latest(self, etag: str | None = None) -> Pointer | None:
        """The pointer, by one GET; with ``etag`` a conditional one: None means unchanged.

        Raises NotFound where nothing was published, ModelError for one that is damaged.
        """
        key = names.model_pointer(self.name)
        try:
            found = self.store.get(key) if etag is None else self.store.get_if_changed(key, etag)
        except NotFound:
            raise NotFound(
                f"no model named {self.name} was published: inkmill models publish"
            ) from None
        except Corrupt as error:
            raise ModelError(f"{error}: promote a version again") from error
        return None if found is None else Pointer.decode(found.data, found.etag)

    def show(self, version: str) -> Manifest:
        """A version's manifest. Raises NotFound, or ModelError if it is damaged."""
        try:
            data = self.store.get(names.model_manifest(self.name, version)).data
        except NotFound:
            raise NotFound(f"model {self.name} has no version {version}") from None
        except Corrupt as error:
            raise ModelError(f"{error}: publish the model again") from error
        manifest = Manifest.decode(data)
        if manifest.version != version:
            raise ModelError(
                f"model {self.name}: the manifest of {version[:12]} has the digest "
                f"{manifest.version[:12]}: publish the model again"
            )
        return manifest

    def fetch(self, version: str) -> ModelFiles:
        """A version with its files, every digest checked. Raises NotFound or ModelError."""
        manifest = self.show(version)
        try:
            weights = self.store.get(names.model_weights(self.name, version)).data
            golden = self.store.get(names.model_golden(self.name, version)).data
        except NotFound as error:
            raise ModelError(f"model {self.name} {version[:12]} is not whole: {error}") from None
        except Corrupt as error:
            raise ModelError(f"{error}: publish the model again") from error
        files = ModelFiles(manifest, weights, golden)
        files.check()
        return files

    def list(self) -> Iterator[tuple[str, float]]:
        """Complete versions with the time they were stored, in seconds since the epoch."""
        root = names.model_root(self.name)
        for entry in self.store.list(root):
            version, _, file = entry.key.removeprefix(root).partition("/")
            if file == "manifest.json":
                yield names.check_sha256(version), entry.modified

    def find(self, prefix: str) -> str:
        """The one version whose digest begins with ``prefix`` (at least 4 digits), or "latest".

        Raises NotFound or UsageError.
        """
        if prefix == "latest":
            pointer: Any = self.latest()
            return str(pointer.version)
        if len(prefix) < 4:
            raise UsageError(f"{prefix!r} is too short: give at least 4 digits of the version")
        found = [version for version, _ in self.list() if version.startswith(prefix)]
        if not found:
            raise NotFound(f"model {self.name} has no version that begins with {prefix}")
        if len(found) > 1:
            raise UsageError(f"{len(found)} versions begin with {prefix}: give more digits")
        return found[0]
