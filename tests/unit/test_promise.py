"""The judge of the promise: each way of breaking it is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names, producer, rows
from inkmill.promise import judge
from inkmill.rows import Row
from tests.fakes import FakeMill

Scans = Callable[..., Path]


@pytest.fixture
def job(mill: FakeMill, scans: Scans) -> str:
    """A finished job of five images in three chunks."""
    name = producer.submit(scans(5), name="judged", chunk_size=2, connection=mill.connection)
    mill.work()
    return name


def problems(mill: FakeMill, job: str) -> str:
    return "; ".join(judge(mill.store, mill.queue, job).problems)


def rewrite(mill: FakeMill, job: str, number: int, change: Callable[[list[Row]], object]) -> None:
    """Replace a result by a changed one."""
    key = names.result(job, number)
    found = rows.decode(mill.store.get(key).data)
    change(found)
    mill.store.put(key, rows.encode(found))


def test_a_kept_promise(mill: FakeMill, job: str) -> None:
    verdict = judge(mill.store, mill.queue, job)
    assert verdict.kept
    assert verdict.problems == ()
    assert sorted(verdict.rows) == [0, 1, 2, 3, 4]


def test_a_row_that_is_missing(mill: FakeMill, job: str) -> None:
    rewrite(mill, job, 1, lambda found: found.pop())
    assert "1 items without a row, first 3" in problems(mill, job)


def test_a_row_that_comes_twice(mill: FakeMill, job: str) -> None:
    rewrite(mill, job, 1, lambda found: found.append(found[0]))
    assert "a second row for item 2" in problems(mill, job)


def test_rows_of_another_chunk(mill: FakeMill, job: str) -> None:
    mill.store.put(names.result(job, 1), mill.store.get(names.result(job, 0)).data)
    assert "rows of other items" in problems(mill, job)


def test_a_result_that_is_missing(mill: FakeMill, job: str) -> None:
    mill.store.delete([names.result(job, 2)])
    assert "chunk 2: no result" in problems(mill, job)


def test_an_object_too_many(mill: FakeMill, job: str) -> None:
    mill.store.put(names.result(job, 3), b"")
    assert "belongs to nothing" in problems(mill, job)


def test_a_marker_that_stayed(mill: FakeMill, job: str) -> None:
    mill.store.put(names.open_marker(job), b"")
    assert "open marker" in problems(mill, job)


def test_a_summary_that_is_wrong(mill: FakeMill, job: str) -> None:
    key = names.job_summary(job)
    data = mill.store.get(key).data
    mill.store.put(key, data.replace(b'"ok": 5', b'"ok": 4'))
    assert "the summary tells" in problems(mill, job)


def test_what_stayed_in_redis(mill: FakeMill, job: str) -> None:
    mill.queue.send(job, 1, "low")
    mill.queue.offer(job, [1])
    assert "messages left in Redis: ['judged:1']" in problems(mill, job)
    assert "hints left in Redis" in problems(mill, job)


def test_a_job_that_is_not_finished(mill: FakeMill, scans: Scans) -> None:
    job = producer.submit(scans(5), chunk_size=2, connection=mill.connection)
    assert "no summary" in problems(mill, job)
