"""A job is cancelled though some of its chunk objects are damaged or gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import names
from inkmill.backends.store import exists
from inkmill.codes import Code
from inkmill.producer import cancel, results, status, submit
from inkmill.records import rows
from inkmill.records.chunks import Chunk
from inkmill.records.rows import Row
from tests.fakes import FakeCluster

Scans = Callable[..., Path]
SOURCES = [f"{number:03d}.png" for number in range(8)]


@pytest.fixture
def job(cluster: FakeCluster, scans: Scans) -> str:
    """Four chunks of two items; the first has its rows."""
    submit(scans(8), name="j", chunk_size=2, connection=cluster.connection)
    job = cluster.id("j")
    items = Chunk.decode(cluster.store.get(names.chunk(job, 0)).data).items
    made = [Row(item.item, item.source, digit="7") for item in items]
    cluster.store.put(names.result(job, 0), rows.encode(made))
    return job


def damage(cluster: FakeCluster, number: int, where: bytes) -> None:
    """Flip a bit of a stored chunk at the first such bytes."""
    objects = cast(Any, cluster.store)._objects
    stored, modified = objects[names.chunk(cluster.id("j"), number)]
    data = bytearray(stored.data)
    data[data.index(where)] ^= 1
    objects[names.chunk(cluster.id("j"), number)] = replace(stored, data=bytes(data)), modified


def cancelled(cluster: FakeCluster) -> list[str]:
    """Cancels; the sources of all rows. Each item has one, and nothing is left open."""
    cancel("j", connection=cluster.connection)
    found = list(results("j", connection=cluster.connection))
    assert [row.item for row in found] == list(range(8))
    assert [row.code for row in found] == [None] * 2 + [Code.CANCELLED] * 6
    assert status("j", connection=cluster.connection).state == "cancelled"
    assert not exists(cluster.store, names.open_marker(cluster.id("j")))
    assert cancel("j", connection=cluster.connection) == 0
    return [row.source for row in found]


def test_a_damaged_image_costs_no_name(cluster: FakeCluster, job: str) -> None:
    damage(cluster, 1, b"IDAT")
    assert cancelled(cluster) == SOURCES


def test_of_damaged_names_the_numbers_are_known(cluster: FakeCluster, job: str) -> None:
    damage(cluster, 1, b"002.png")
    assert cancelled(cluster) == [*SOURCES[:2], "", "", *SOURCES[4:]]


@pytest.mark.parametrize("gone", [(1,), (3,), (1, 2), (2, 3), (1, 2, 3)])
def test_of_chunks_that_are_gone_the_numbers_are_known(
    cluster: FakeCluster, job: str, gone: tuple[int, ...]
) -> None:
    cluster.store.delete([names.chunk(job, number) for number in gone])
    lost = {item for number in gone for item in (2 * number, 2 * number + 1)}
    assert cancelled(cluster) == ["" if item in lost else SOURCES[item] for item in range(8)]
