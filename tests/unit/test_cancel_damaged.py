"""A job is cancelled though some of its chunk objects are damaged or gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import belonging, names, reconcile, rows
from inkmill.codes import Code
from inkmill.jobs import Chunk
from inkmill.producer import cancel, results, status, submit
from inkmill.rows import Row
from inkmill.store import exists
from tests.fakes import FakeMill

Scans = Callable[..., Path]
SOURCES = [f"{number:03d}.png" for number in range(8)]


@pytest.fixture
def job(mill: FakeMill, scans: Scans) -> str:
    """Four chunks of two items; the first has its rows."""
    submit(scans(8), name="j", chunk_size=2, connection=mill.connection)
    items = Chunk.decode(mill.store.get(names.chunk("j", 0)).data).items
    made = [Row(item.item, item.source, digit="7") for item in items]
    record = reconcile.load_job(mill.store, "j")
    mill.store.put(names.result("j", 0), rows.encode(made), metadata=belonging.mark(record))
    return "j"


def damage(mill: FakeMill, number: int, where: bytes) -> None:
    """Flip a bit of a stored chunk at the first such bytes."""
    objects = cast(Any, mill.store)._objects
    stored, modified = objects[names.chunk("j", number)]
    data = bytearray(stored.data)
    data[data.index(where)] ^= 1
    objects[names.chunk("j", number)] = replace(stored, data=bytes(data)), modified


def cancelled(mill: FakeMill) -> list[str]:
    """Cancels; the sources of all rows. Each item has one, and nothing is left open."""
    cancel("j", connection=mill.connection)
    found = list(results("j", connection=mill.connection))
    assert [row.item for row in found] == list(range(8))
    assert [row.code for row in found] == [None] * 2 + [Code.CANCELLED] * 6
    assert status("j", connection=mill.connection).state == "cancelled"
    assert not exists(mill.store, names.open_marker("j"))
    assert cancel("j", connection=mill.connection) == 0
    return [row.source for row in found]


def test_a_damaged_image_costs_no_name(mill: FakeMill, job: str) -> None:
    damage(mill, 1, b"IDAT")
    assert cancelled(mill) == SOURCES


def test_of_damaged_names_the_numbers_are_known(mill: FakeMill, job: str) -> None:
    damage(mill, 1, b"002.png")
    assert cancelled(mill) == [*SOURCES[:2], "", "", *SOURCES[4:]]


@pytest.mark.parametrize("gone", [(1,), (3,), (1, 2), (2, 3), (1, 2, 3)])
def test_of_chunks_that_are_gone_the_numbers_are_known(
    mill: FakeMill, job: str, gone: tuple[int, ...]
) -> None:
    mill.store.delete([names.chunk(job, number) for number in gone])
    lost = {item for number in gone for item in (2 * number, 2 * number + 1)}
    assert cancelled(mill) == ["" if item in lost else SOURCES[item] for item in range(8)]


def test_rows_of_a_deleted_job_are_replaced(mill: FakeMill, job: str) -> None:
    record = reconcile.load_job(mill.store, job)
    old = belonging.mark(replace(record, created=record.created - 100))
    stale = rows.encode([Row(item, "OLD", digit="9") for item in (2, 3)])
    mill.store.put(names.result(job, 1), stale, metadata=old)
    assert cancelled(mill) == SOURCES


def test_rows_of_a_deleted_job_are_replaced_where_no_other_chunk_is_missing(
    mill: FakeMill, job: str
) -> None:
    record = reconcile.load_job(mill.store, job)
    old = belonging.mark(replace(record, created=record.created - 100))
    for number in (1, 2, 3):
        stale = rows.encode([Row(item, "OLD", digit="9") for item in (2 * number, 2 * number + 1)])
        mill.store.put(names.result(job, number), stale, metadata=old)
    assert cancelled(mill) == SOURCES
