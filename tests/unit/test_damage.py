"""Chunk objects that are damaged or gone: what is saved, and who has an error row."""

from __future__ import annotations

import pytest

from inkmill import names, rows
from inkmill.codes import Code
from inkmill.errors import Corrupt
from inkmill.jobs import DIGEST, FIRST, ITEMS, Chunk, Item, Job, Message
from inkmill.producer.upload import about
from inkmill.store import MemoryStore
from inkmill.worker import damage


def chunk(number: int, first: int, count: int = 3) -> Chunk:
    """Images of 200 equal bytes each, so that a test can hit the one it wants."""
    import hashlib

    items = []
    for item in range(first, first + count):
        data = bytes([65 + item]) * 200
        items.append(Item(item, f"{item}.png", data=data, sha256=hashlib.sha256(data).hexdigest()))
    return Chunk("job", number, tuple(items))


def stored(*chunks: Chunk) -> MemoryStore:
    store = MemoryStore()
    for each in chunks:
        store.put(names.chunk("job", each.number), each.encode(), metadata=about(each, each.digest))
    return store


def test_a_flipped_bit_costs_the_image_that_it_hit() -> None:
    whole = chunk(0, 0)
    data = bytearray(whole.encode())
    data[data.index(b"B" * 200) + 50] ^= 1
    error = Corrupt("damaged", bytes(data))
    saved, verdicts = damage.salvage(stored(whole), Message("job", 0), error)
    assert saved == bytes(data)
    assert {position: code for position, (code, _) in verdicts.items()} == {1: Code.QUARANTINED}


def test_a_damaged_name_costs_the_chunk() -> None:
    whole = chunk(0, 6)
    data = whole.encode().replace(b"7.png", b"9.png")
    with pytest.raises(damage.Lost) as lost:
        damage.salvage(stored(whole), Message("job", 0), Corrupt("damaged", data))
    assert lost.value.items == range(6, 9)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"rubbish" * 100])
def test_bytes_that_are_no_chunk_cost_the_chunk(data: bytes) -> None:
    with pytest.raises(damage.Lost) as lost:
        damage.salvage(stored(chunk(0, 0)), Message("job", 0), Corrupt("damaged", data))
    made = rows.decode(damage.rows_of(lost.value).data)
    assert [row.item for row in made] == [0, 1, 2]
    assert {row.code for row in made} == {Code.QUARANTINED}


def test_a_chunk_that_is_gone_is_told_by_its_neighbours() -> None:
    chunks = [chunk(0, 0), chunk(1, 3), chunk(2, 6), chunk(3, 9, 2)]
    job = Job("job", 0.0).seal(4, 11, "")
    for number, items in enumerate([range(3), range(3, 6), range(6, 9), range(9, 11)]):
        store = stored(*chunks)
        store.delete([names.chunk("job", number)])
        assert damage.gone(store, job, number).items == items


def test_of_several_that_are_gone_the_first_has_all_their_items() -> None:
    store = stored(chunk(0, 0), chunk(3, 9, 2))
    job = Job("job", 0.0).seal(4, 11, "")
    assert damage.gone(store, job, 1).items == range(3, 9)
    assert len(damage.gone(store, job, 2).items) == 0


def test_what_nobody_knows_is_said() -> None:
    store = stored(chunk(0, 0))
    store.put(names.chunk("job", 0), b"", metadata={DIGEST: "x"})
    with pytest.raises(Corrupt, match="nobody knows"):
        damage.gone(store, Job("job", 0.0).seal(2, 6, ""), 1)
    assert {FIRST, ITEMS}.isdisjoint(store.head(names.chunk("job", 0)) or {})
