"""Chunk objects that are damaged or gone: what is saved, and who has an error row."""

from __future__ import annotations

from itertools import permutations

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import Corrupt
from inkmill.producer.inputs.upload import about
from inkmill.records import rows
from inkmill.records.jobs import DIGEST, FIRST, ITEMS, Chunk, Item, Job, Message
from inkmill.records.rows import Row
from inkmill.worker.chunk import salvage


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
    saved, verdicts = salvage.salvage(stored(whole), Message("job", 0), error)
    assert saved == bytes(data)
    assert {position: code for position, (code, _) in verdicts.items()} == {1: Code.QUARANTINED}


def test_a_damaged_name_costs_the_chunk() -> None:
    whole = chunk(0, 6)
    data = whole.encode().replace(b"7.png", b"9.png")
    with pytest.raises(salvage.Lost) as lost:
        salvage.salvage(stored(whole), Message("job", 0), Corrupt("damaged", data))
    assert lost.value.items == range(6, 9)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"rubbish" * 100])
def test_bytes_that_are_no_chunk_cost_the_chunk(data: bytes) -> None:
    with pytest.raises(salvage.Lost) as lost:
        salvage.salvage(stored(chunk(0, 0)), Message("job", 0), Corrupt("damaged", data))
    made = rows.decode(salvage.rows_of(lost.value).data)
    assert [row.item for row in made] == [0, 1, 2]
    assert {row.code for row in made} == {Code.QUARANTINED}


def test_a_chunk_that_is_gone_is_told_by_its_neighbours() -> None:
    chunks = [chunk(0, 0), chunk(1, 3), chunk(2, 6), chunk(3, 9, 2)]
    job = Job("job", 0.0).seal(4, 11, "")
    for number, items in enumerate([range(3), range(3, 6), range(6, 9), range(9, 11)]):
        store = stored(*chunks)
        store.delete([names.chunk("job", number)])
        assert salvage.gone(store, job, number).items == items


CHUNKS = [chunk(0, 0), chunk(1, 3), chunk(2, 6), chunk(3, 9, 2)]
JOB = Job("job", 0.0).seal(4, 11, "")


def read(store: MemoryStore, number: int) -> None:
    """A worker that had the chunk in hand before it was gone writes its rows."""
    made = [Row(item.item, item.source, digit="7") for item in CHUNKS[number].items]
    store.put(names.result("job", number), rows.encode(made), if_none_match=True)


def give_up(store: MemoryStore, number: int) -> bool:
    """A worker finds that the chunk is gone; whether it has rows now."""
    try:
        lost = salvage.gone(store, JOB, number)
    except Corrupt:
        return False
    store.put(names.result("job", number), salvage.rows_of(lost).data, if_none_match=True)
    return True


def items_with_rows(store: MemoryStore) -> list[int]:
    return [
        row.item
        for entry in store.list(names.results("job"))
        for row in rows.decode(store.get(entry.key).data)
    ]


@pytest.mark.parametrize("missing", [{1, 2}, {0, 1, 2}, {1, 2, 3}, {0, 1, 2, 3}, {0, 2}])
@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("in_time", [set(), {0}, {1}, {2}, {1, 2}, {0, 3}])
def test_of_several_that_are_gone_each_item_has_one_row(
    missing: set[int], order: tuple[int, ...], in_time: set[int]
) -> None:
    """Whichever of them were read before they were gone, and in whatever order the rest comes."""
    store = stored(*CHUNKS)
    for number in {0, 1, 2, 3} - missing | in_time:
        read(store, number)
    store.delete([names.chunk("job", number) for number in missing])
    pending = [number for number in order if number in missing - in_time]
    while pending:
        left = [number for number in pending if not give_up(store, number)]
        assert len(left) < len(pending)
        pending = left
    assert sorted(items_with_rows(store)) == list(range(11))


def test_who_comes_later_waits_for_the_rows_of_who_is_before() -> None:
    store = stored(CHUNKS[0], CHUNKS[3])
    with pytest.raises(Corrupt, match="come first"):
        salvage.gone(store, JOB, 2)
    read(store, 1)  # a worker held it all the time
    assert salvage.gone(store, JOB, 2).items == range(6, 9)


def test_a_hole_after_a_cancel_is_no_neighbour() -> None:
    store = stored(CHUNKS[0], CHUNKS[2], CHUNKS[3])
    store.put(names.chunk("job", 0), b"", metadata={DIGEST: "x", ITEMS: "0"})
    assert salvage.gone(store, JOB, 1).items == range(6)


def test_what_nobody_knows_is_said() -> None:
    store = stored(chunk(0, 0))
    store.put(names.chunk("job", 0), b"", metadata={DIGEST: "x"})
    with pytest.raises(Corrupt, match="nobody knows"):
        salvage.gone(store, Job("job", 0.0).seal(2, 6, ""), 1)
    assert {FIRST, ITEMS}.isdisjoint(store.head(names.chunk("job", 0)) or {})
