"""The judge of the promise: each way of breaking it is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names, producer
from inkmill.lifecycle.invariants import judge
from inkmill.records import rows
from inkmill.records.rows import Row
from tests.fakes import FakeCluster

Scans = Callable[..., Path]


@pytest.fixture
def job(cluster: FakeCluster, scans: Scans) -> str:
    """A finished job of five images in three chunks."""
    name = producer.submit(scans(5), name="judged", chunk_size=2, connection=cluster.connection)
    cluster.work()
    return name


def problems(cluster: FakeCluster, job: str) -> str:
    return "; ".join(judge(cluster.store, cluster.queue, job).problems)


def rewrite(
    cluster: FakeCluster, job: str, number: int, change: Callable[[list[Row]], object]
) -> None:
    """Replace a result by a changed one."""
    key = names.result(cluster.id(job), number)
    found = rows.decode(cluster.store.get(key).data)
    change(found)
    cluster.store.put(key, rows.encode(found))


def test_a_kept_promise(cluster: FakeCluster, job: str) -> None:
    verdict = judge(cluster.store, cluster.queue, job)
    assert verdict.kept
    assert verdict.problems == ()
    assert sorted(verdict.rows) == [0, 1, 2, 3, 4]


def test_a_row_that_is_missing(cluster: FakeCluster, job: str) -> None:
    rewrite(cluster, job, 1, lambda found: found.pop())
    assert "1 items without a row, first 3" in problems(cluster, job)


def test_a_row_that_comes_twice(cluster: FakeCluster, job: str) -> None:
    rewrite(cluster, job, 1, lambda found: found.append(found[0]))
    assert "a second row for item 2" in problems(cluster, job)


def test_rows_of_another_chunk(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(
        names.result(cluster.id(job), 1), cluster.store.get(names.result(cluster.id(job), 0)).data
    )
    assert "rows of other items" in problems(cluster, job)


def test_a_result_that_is_missing(cluster: FakeCluster, job: str) -> None:
    cluster.store.delete([names.result(cluster.id(job), 2)])
    assert "chunk 2: no result" in problems(cluster, job)


def test_an_object_too_many(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(names.result(cluster.id(job), 3), b"")
    assert "orphaned object" in problems(cluster, job)


def test_a_marker_that_stayed(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(names.open_marker(cluster.id(job)), b"")
    assert "open marker" in problems(cluster, job)


def test_a_summary_that_is_wrong(cluster: FakeCluster, job: str) -> None:
    key = names.job_summary(cluster.id(job))
    data = cluster.store.get(key).data
    cluster.store.put(key, data.replace(b'"ok": 5', b'"ok": 4'))
    assert "the summary counts" in problems(cluster, job)


def test_what_stayed_in_redis(cluster: FakeCluster, job: str) -> None:
    cluster.queue.send(cluster.id(job), 1, "low")
    cluster.queue.offer(cluster.id(job), [1])
    assert f"messages left in Redis: ['{cluster.id(job)}:1']" in problems(cluster, job)
    assert "hints left in Redis" in problems(cluster, job)


def test_a_job_that_is_not_finished(cluster: FakeCluster, scans: Scans) -> None:
    job = producer.submit(scans(5), chunk_size=2, connection=cluster.connection)
    assert "no summary" in problems(cluster, job)
