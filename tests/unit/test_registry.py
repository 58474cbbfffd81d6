"""Published models: versions and the pointer to the latest, under races and damage."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from inkmill import names
from inkmill.backends import model_index
from inkmill.backends.store import MemoryStore
from inkmill.errors import Corrupt, ModelError, NotFound, PreconditionFailed, UsageError
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.registry import Registry
from inkmill.models.weights import ModelFiles
from inkmill.records.pointer import Pointer
from tests.unit.test_models import model


def test_publish_fetch_and_roll_back() -> None:
    registry = Registry(MemoryStore(), "digits")
    first, second = model(1), model(2)
    assert registry.current() is None
    one, two = registry.publish(first), registry.publish(second)
    pointer = registry.latest()
    assert (pointer.version, pointer.history) == (two, (one,))
    assert registry.fetch(two) == second
    assert {version for version, _ in registry.versions()} == {one, two}
    assert registry.rollback().version == one
    with pytest.raises(NotFound, match="no earlier version"):
        registry.rollback()
    assert registry.promote(two).history == (one,)
    assert registry.find(two[:8]) == two
    assert registry.find("latest") == two


def test_a_version_is_found_by_its_first_digits() -> None:
    store = MemoryStore()
    for version in ("abcd" + "0" * 60, "abcd" + "1" * 60, "beef" + "0" * 60):
        store.put(names.model_manifest("digits", version), b"")
    store.put(names.model_weights("digits", "dead" + "0" * 60), b"")  # not complete
    find = partial(model_index.find_version, store, "digits")
    assert find("beef") == "beef" + "0" * 60
    assert find("abcd1") == "abcd" + "1" * 60
    for text, words in (
        ("abcd", "2 versions of model digits begin with abcd"),
        ("dead", "no version that begins with dead"),
        ("bee", "at least 4 of its first digits"),
        ("../x", "is not a version"),
    ):
        with pytest.raises(UsageError, match=words):
            find(text)


def test_latest_is_unchanged_until_somebody_promotes() -> None:
    store = MemoryStore()
    registry = Registry(store, "digits")
    with pytest.raises(NotFound, match="inkmill models publish"):
        registry.latest()
    registry.publish(model(1))
    pointer = registry.latest()
    assert model_index.latest_if_changed(store, "digits", pointer.etag) is None
    registry.publish(model(2))
    changed = model_index.latest_if_changed(store, "digits", pointer.etag)
    assert changed is not None
    assert changed.version == model(2).manifest.version


class Journal(MemoryStore):
    """Remembers the order of writes."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        self.keys.append(key.rsplit("/", 1)[1])
        return super().put(key, data, **conditions)


def test_weights_first_manifest_then_pointer() -> None:
    store = Journal()
    Registry(store, "digits").publish(model())
    assert store.keys == [
        "weights.safetensors",
        "golden.safetensors",
        "manifest.json",
        "latest.json",
    ]


class Raced(MemoryStore):
    """Somebody else promotes just before our pointer is written."""

    def __init__(self, rival: ModelFiles) -> None:
        super().__init__()
        self.rival: ModelFiles | None = rival

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if key.endswith("latest.json") and self.rival:
            rival, self.rival = self.rival, None
            Registry(self, "digits").publish(rival)
        return super().put(key, data, **conditions)


def test_two_publishers_at_once_lose_no_model() -> None:
    rival = model(2)
    registry = Registry(Raced(rival), "digits")
    version = registry.publish(model(1))
    pointer = registry.latest()
    assert pointer.version == version
    assert pointer.history == (rival.manifest.version,)


def test_the_gate_is_asked_again_after_a_lost_race() -> None:
    rival, asked = model(2), []

    def gate(current: Manifest) -> None:
        asked.append(current.version)
        raise UsageError("worse")

    registry = Registry(Raced(rival), "digits")
    with pytest.raises(UsageError, match="worse"):
        registry.publish(model(1), gate=gate)
    assert asked == [rival.manifest.version]
    pointer = registry.latest()
    assert pointer.version == rival.manifest.version


class Hostile(MemoryStore):
    """Never lets a conditional write through."""

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if conditions:
            raise PreconditionFailed(key)
        return super().put(key, data)


def test_a_pointer_that_never_holds_still_is_a_clear_error() -> None:
    with pytest.raises(PreconditionFailed, match="times in a row"):
        Registry(Hostile(), "digits").publish(model())


def test_damaged_objects_never_load() -> None:
    store = MemoryStore()
    registry = Registry(store, "digits")
    version = registry.publish(model(1))
    store.put(names.model_weights("digits", version), model(2).weights)
    with pytest.raises(ModelError, match="do not match the manifest"):
        registry.fetch(version)
    store.put(names.model_manifest("digits", version), model(2).manifest.encode())
    with pytest.raises(ModelError, match="has the digest"):
        registry.show(version)
    store.delete([names.model_weights("digits", version)])
    registry.publish(model(1))
    assert registry.fetch(version) == model(1)


def test_a_pointer_that_is_none_is_refused() -> None:
    for data in (b"", b"[]", b'{"inkmill_pointer":1,"version":"../x","history":[],"promoted":""}'):
        with pytest.raises(Corrupt, match="is damaged"):
            Pointer.decode(data, "")


def damage(store: MemoryStore, key: str) -> None:
    stored, modified = store._objects[key]
    store._objects[key] = replace(stored, data=stored.data[:-1] + b"?"), modified


@pytest.mark.parametrize("part", ["manifest", "weights", "golden"])
def test_a_model_damaged_in_the_store_must_not_serve(part: str) -> None:
    store = MemoryStore()
    registry = Registry(store, "digits")
    version = registry.publish(model())
    damage(store, getattr(names, f"model_{part}")("digits", version))
    with pytest.raises(ModelError, match="publish the model again"):
        registry.fetch(version)
    assert registry.publish(model()) == version
    assert registry.fetch(version).manifest.version == version


def test_a_damaged_pointer_is_replaced_by_a_promotion() -> None:
    store = MemoryStore()
    registry = Registry(store, "digits")
    version = registry.publish(model())
    for spoil in (b"{}", None):
        if spoil is None:
            damage(store, names.model_pointer("digits"))
        else:
            store.put(names.model_pointer("digits"), spoil)
        with pytest.raises(ModelError, match="inkmill models promote VERSION"):
            registry.latest()
        registry.promote(version)
        pointer = registry.latest()
        assert pointer.version == version


def test_a_list_of_training_images_is_stored_checked_and_read_where_asked_for() -> None:
    from inkmill.models import training_images

    listed = training_images.encode([b"a" * 16, b"b" * 16], training_images.encode([b"c" * 8]))
    found = training_images.listed(listed, [b"b" * 16, b"d" * 16, b"c" * 16])
    assert found.tolist() == [True, False, True]
    with pytest.raises(ModelError, match="9 bytes, no multiple of 8"):
        training_images.listed(listed[:9], [b"b" * 16])
    plain = model()
    files = replace(
        plain, manifest=replace(plain.manifest, trained_on=Blob.of(listed)), trained_on=listed
    )
    assert Manifest.decode(files.manifest.encode()) == files.manifest
    registry = Registry(MemoryStore(), "digits")
    version = registry.publish(files)
    assert registry.fetch(version).trained_on == b""
    assert registry.fetch(version, with_training_images=True) == files
    with pytest.raises(ModelError, match=r"training-images\.bin: 0 bytes that do not match"):
        registry.publish(replace(files, trained_on=b""))
