"""Published models in object storage: versions that never change, and one pointer that does.

A version's manifest is written last, so that its existence means complete. The pointer is
replaced by conditional write: two publishers at once never lose or mix a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from inkmill import names
from inkmill.backends import model_index
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, ModelError, NotFound, PreconditionFailed
from inkmill.models import training_images
from inkmill.models.manifest import Manifest
from inkmill.models.weights import ModelFiles
from inkmill.records.pointer import MOST_HISTORY, Pointer

#: Each lost race means that another process published; this many in a row mean a defect.
_RACES = 20


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
        to refuse; it is called again whenever another process published meanwhile. A version that
        is stored already is left as it is.
        """
        files.check()
        version = files.manifest.version
        if promote and gate is not None:
            self._ask(gate, self.current(), version)
        listed = files.manifest.trained_on
        if listed is not None:
            listed.check(training_images.FILE, files.trained_on)
            self._write(names.model_training_images(self.name, version), files.trained_on)
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
            return version, (current.version, *current.history)[:MOST_HISTORY]

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
            pointer = Pointer(version, history, now)
            try:
                etag = self.store.put(
                    key,
                    pointer.encode(),
                    if_match=current.etag if current else None,
                    if_none_match=current is None and not damaged,
                )
            except PreconditionFailed:
                continue
            return replace(pointer, etag=etag)
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
            return model_index.latest(self.store, self.name)
        except NotFound:
            return None

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

    def fetch(self, version: str, *, with_training_images: bool = False) -> ModelFiles:
        """A version with its files, every digest checked. Raises NotFound or ModelError.

        Only evaluation needs the list of training images; workers do without.
        """
        manifest = self.show(version)
        listed = with_training_images and manifest.trained_on is not None
        try:
            weights = self.store.get(names.model_weights(self.name, version)).data
            golden = self.store.get(names.model_golden(self.name, version)).data
            images = names.model_training_images(self.name, version)
            trained_on = self.store.get(images).data if listed else b""
        except NotFound as error:
            raise ModelError(f"model {self.name} {version[:12]} is incomplete: {error}") from None
        except Corrupt as error:
            raise ModelError(f"{error}: publish the model again") from error
        files = ModelFiles(manifest, weights, golden, trained_on)
        files.check()
        return files

    def latest(self) -> Pointer:
        """The pointer. Raises NotFound where nothing was published, ModelError for a bad one."""
        return model_index.latest(self.store, self.name)

    def versions(self) -> Iterator[tuple[str, float]]:
        """Complete versions with the time they were stored, in seconds since the epoch."""
        return model_index.versions(self.store, self.name)

    def find(self, text: str) -> str:
        """The version that ``text`` names: "latest", or its first digits.

        Raises NotFound or UsageError.
        """
        return model_index.find_version(self.store, self.name, text)
