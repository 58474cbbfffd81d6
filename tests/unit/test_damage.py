"""Chunk objects that are damaged or gone: what is saved, and who has an error row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import Corrupt, NotFound
from inkmill.lifecycle.lookup import read_record
from inkmill.producer import submit
from inkmill.producer.inputs.upload import about
from inkmill.records import rows
from inkmill.records.chunks import DIGEST, Chunk, Item
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.worker.chunk import inputs, salvage
from tests.delivery import worker_of
from tests.fakes import FakeCluster


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


OPEN = Job("job", 0.0)
SEALED = OPEN.seal([3, 3, 3], "")


def test_a_flipped_bit_costs_the_image_that_it_hit() -> None:
    whole = chunk(0, 0)
    data = bytearray(whole.encode())
    data[data.index(b"B" * 200) + 50] ^= 1
    error = Corrupt("damaged", bytes(data))
    saved, verdicts = salvage.salvage(stored(whole), OPEN, Message("job", 0), error)
    assert saved == bytes(data)
    assert {position: code for position, (code, _) in verdicts.items()} == {1: Code.QUARANTINED}


def test_a_damaged_name_costs_the_chunk() -> None:
    whole = chunk(0, 6)
    data = whole.encode().replace(b"7.png", b"9.png")
    with pytest.raises(salvage.ChunkLost) as lost:
        salvage.salvage(stored(whole), OPEN, Message("job", 0), Corrupt("damaged", data))
    assert lost.value.items == range(6, 9)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"rubbish" * 100])
def test_bytes_that_are_no_chunk_cost_the_chunk(data: bytes) -> None:
    with pytest.raises(salvage.ChunkLost) as lost:
        salvage.salvage(stored(chunk(0, 0)), OPEN, Message("job", 0), Corrupt("damaged", data))
    made = rows.decode(salvage.rows_of(lost.value).data)
    assert [row.item for row in made] == [0, 1, 2]
    assert {row.code for row in made} == {Code.QUARANTINED}


def test_a_chunk_that_is_gone_is_known_from_the_record() -> None:
    job = Job("job", 0.0).seal([3, 3, 3, 2], "")
    lost = [salvage.gone(job, number) for number in range(4)]
    assert [each.items for each in lost] == [range(3), range(3, 6), range(6, 9), range(9, 11)]
    assert "chunks/00002" in str(lost[2])


def test_a_damaged_chunk_whose_description_is_damaged_too_is_named() -> None:
    store = stored(chunk(0, 0))
    store.put(names.chunk("job", 0), b"", metadata={DIGEST: "x"})
    with pytest.raises(Corrupt, match="chunk 0 of job job"):
        salvage.salvage(store, OPEN, Message("job", 0), Corrupt("damaged", b""))
    # The sealed record knows better, so that the job can end.
    with pytest.raises(salvage.ChunkLost) as lost:
        salvage.salvage(store, SEALED, Message("job", 2), Corrupt("damaged", b""))
    assert lost.value.items == range(6, 9)


@pytest.mark.parametrize("items", [(), (3, 4, 5), (0, 1), (0, 1, 2, 3), (2, 1, 0), (0, 0, 2)])
def test_a_chunk_of_other_items_than_the_record_gives_it_is_lost(
    scans: Callable[..., Path], items: tuple[int, ...]
) -> None:
    """Whole, but not this job's: its own items had no rows at all, in a job that ended."""
    cluster = FakeCluster()
    job = cluster.id(submit(scans(6), chunk_size=3, connection=cluster.connection))
    key = names.chunk(job, 0)
    own = Chunk.decode(cluster.store.get(key).data)
    others = tuple(replace(own.items[0], item=each) for each in items)
    cluster.store.put(key, replace(own, items=others).encode())
    worker = worker_of(cluster.settings, cluster.store, cluster.queue)
    with pytest.raises(salvage.ChunkLost, match="is not this job's chunk") as lost:
        inputs.gather(worker, read_record(cluster.store, job), Message(job, 0), 1, False)
    assert lost.value.items == range(3)
    with pytest.raises(NotFound):
        inputs.gather(worker, read_record(cluster.store, job), Message(job, 2), 1, False)
