"""Chunks are sized by what engines really read, and a job keeps the size that it began with."""

from __future__ import annotations

from typing import Any

import pytest

from inkmill import names
from inkmill.errors import JobMismatch, Unreachable
from inkmill.lifecycle.lookup import read_record
from inkmill.producer import submit
from inkmill.records import rows, sizing
from inkmill.records.jobs import Job
from inkmill.worker.link import ChunkResult
from inkmill.worker.speed import EngineSpeeds
from tests.fakes import FakeCluster

DIGITS = names.kind_of_work("digits", "")


@pytest.mark.parametrize(
    ("form", "speed", "size"),
    [
        (False, 0.0, 2048),
        (True, 0.0, 8),
        (False, 11_350.0, 5632),
        (False, 6_100.0, 2816),  # whole batches of 256
        (False, 30.0, 256),
        (False, 1e6, 8192),
        (True, 18.7, 9),
        (True, 0.5, 2),
        (True, 1e6, 32),
    ],
)
def test_half_a_second_of_work_within_bounds(form: bool, speed: float, size: int) -> None:
    assert sizing.chunk_size(form, speed) == size


def read(count: int, seconds: float) -> ChunkResult:
    """What an engine answers for a chunk of digit images."""
    stages = {"decode": seconds / 2, "predict": seconds / 2}
    return ChunkResult(rows.encode([]), count, {"ok": count}, {}, {}, stages=stages)


def test_only_what_was_read_for_long_enough_is_reported() -> None:
    speeds, job, form = EngineSpeeds(), Job("a", 1.0), Job("b", 1.0, form_hash="cd" * 32)
    speeds.add(job, read(2048, 0.4))
    speeds.add(job, read(1, 3.0))  # one image pays for the whole batch
    assert speeds.take() == {}
    for _ in range(4):
        speeds.add(job, read(2048, 0.4))
    speeds.add(form, read(8, 4.0))
    assert speeds.take() == {DIGITS: pytest.approx(5120), "digits/cdcdcdcdcdcdcdcd": 2.0}
    assert speeds.take() == {}


def test_a_job_keeps_its_size_whatever_engines_read_later(scans: Any) -> None:
    cluster, folder = FakeCluster(), scans(300)

    def again(speed: float, **options: Any) -> Job:
        cluster.queue.client.delete(names.SPEEDS)
        cluster.queue.report_speeds({DIGITS: speed})
        cluster.connection.speeds.forget(DIGITS)
        label = submit(folder, name="a", connection=cluster.connection, **options)
        return read_record(cluster.store, cluster.id(label))

    first = again(512.0)
    assert (first.options.chunk_size, first.chunks) == (256, 2)
    assert again(9000.0) == first  # sealed
    open_record = Job(first.job, first.created, first.options, first.version, name="a")
    cluster.store.put(names.job_record(first.job), open_record.encode())
    cluster.store.delete([names.chunk(first.job, 1)])
    assert again(4000.0).inputs == first.inputs  # killed in between, and resumed
    cluster.work()
    assert sorted(set(cluster.worked)) == [(first.job, 0), (first.job, 1)]
    with pytest.raises(JobMismatch, match="chunk size was 256, now 100"):
        again(4000.0, chunk_size=100)
    second = again(4000.0, new_revision=True, priority="low")
    assert (second.options.chunk_size, second.chunks) == (1792, 1)


def test_without_redis_chunks_have_their_usual_size(
    scans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> float:
        raise Unreachable("Redis does not answer")

    cluster = FakeCluster()
    monkeypatch.setattr(type(cluster.queue), "speed", away)
    job = cluster.id(submit(scans(3), connection=cluster.connection))
    assert read_record(cluster.store, job).options.chunk_size == 2048


def test_a_size_that_was_asked_for_asks_nobody(scans: Any) -> None:
    cluster = FakeCluster(chunk_size=40)
    cluster.queue.report_speeds({DIGITS: 9000.0})
    for asked, size in ((None, 40), (7, 7)):
        job = cluster.id(submit(scans(3), chunk_size=asked, connection=cluster.connection))
        assert read_record(cluster.store, job).options.chunk_size == size
    assert not cluster.connection.speeds.has(DIGITS)
