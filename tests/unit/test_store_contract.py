"""The in-memory store keeps the store's contract; integration tests run it on real S3."""

from __future__ import annotations

import pytest

from inkmill.backends.store import MemoryStore, Store, Stored
from inkmill.errors import Corrupt
from tests.contracts import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_a_flipped_bit_is_named() -> None:
    store = MemoryStore()
    store.put("a", b"1234")
    stored, modified = store._objects["a"]
    store._objects["a"] = (Stored(b"1235", stored.etag, stored.metadata), modified)
    with pytest.raises(Corrupt, match="object a: 4 bytes"):
        store.get("a")
