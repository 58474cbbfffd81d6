"""Hints in Redis that hold something else than they should, and workers that lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.errors import BadHint
from inkmill.producer import status, submit
from inkmill.records.messages import Delivery
from inkmill.worker.chunk import run
from tests.delivery import worker_of
from tests.fakes import FakeCluster
from tests.unit.test_absurd_records import JOB, Scans, sweep


def _string(queue: Queue, key: str) -> None:
    queue.client.delete(key)
    queue.client.set(key, "junk")


def _junk_member(queue: Queue, key: str) -> None:
    kind = queue.client.type(key)
    if kind in (b"zset", b"none"):
        queue.client.zadd(key, {b"junk": 1, b"-5": 2, b"9" * 40: 3, b"\xff": 4})
    elif kind == b"hash":
        queue.client.hset(key, mapping={"0": "junk", "rows": "1e99", "chunks": b"\xff"})


@pytest.mark.parametrize("spoil", [_string, _junk_member])
@pytest.mark.parametrize("hint", ["backlog", "sent", "progress", "tries", "counted"])
def test_hints_that_are_none_are_rebuilt(
    cluster: FakeCluster, scans: Scans, hint: str, spoil: Callable[[Queue, str], None]
) -> None:
    """Neither a worker nor a sweep waits for ever, and every item gets its row."""
    job = submit(scans(8), chunk_size=1, connection=cluster.connection)
    cluster.work(limit=2)
    spoil(cluster.queue, getattr(names, hint)(job))
    worker = worker_of(cluster.settings, cluster.store, cluster.queue)

    for _ in range(12):
        while (message := cluster.queue.take()) is not None:
            run.run(worker, message)
        status(job, connection=cluster.connection)
        sweep(cluster)
    state = status(job, connection=cluster.connection)
    assert (state.state, state.rows) == ("finished", 8)
    assert cluster.queue.hints(job) == []


def test_a_number_in_redis_is_bounded(cluster: FakeCluster) -> None:
    for junk in ("junk", "-1", "1e3", "٣", "9" * 400):
        cluster.queue.client.delete(names.sent(JOB))
        cluster.queue.client.zadd(names.sent(JOB), {junk: 1.0})
        with pytest.raises(BadHint, match="Redis holds"):
            cluster.queue.in_flight(JOB)


@pytest.mark.parametrize(
    "report",
    [
        {"slots": 10**9, "seen": 0.0},
        {"slots": -3, "seen": 0.0},
        {"slots": True, "seen": 0.0},
        {"slots": 5.5, "seen": 0.0},
        {"slots": 5, "seen": "now"},
        {"slots": 5},
        {"slots": 5, "seen": 0.0, "more": 1},
        [[[]]],
    ],
)
def test_a_worker_that_claims_the_absurd_does_not_count(cluster: FakeCluster, report: Any) -> None:
    cluster.queue.report_worker("good", 3)
    if isinstance(report, dict) and report.get("seen") == 0.0:
        report = {**report, "seen": cluster.queue.clock()}
    cluster.queue.client.hset(names.WORKERS, "liar", json.dumps(report))
    cluster.queue.client.hset(names.WORKERS, b"\xff", b"\xff")
    cluster.queue.client.hset(names.WORKERS, "deep", "[" * 99_999)
    assert cluster.queue.workers() == {"good": 3}
    assert cluster.queue.window() == 6


def test_many_liars_do_not_open_the_window_without_end(cluster: FakeCluster) -> None:
    for number in range(500):
        cluster.queue.report_worker(str(number), 10**9)
    assert cluster.queue.slots() == 100_000


@pytest.mark.parametrize("key", [names.SWEEP_LOCK, names.EXPIRY_LOCK])
def test_a_lock_without_an_end_locks_nobody_out(cluster: FakeCluster, key: str) -> None:
    take = {names.SWEEP_LOCK: cluster.queue.may_sweep, names.EXPIRY_LOCK: cluster.queue.may_expire}
    cluster.queue.client.lpush(key, "junk")
    assert take[key](60.0)
    assert not take[key](60.0)
    cluster.queue.client.set(key, "1", px=10**14)  # three thousand years
    assert take[key](60.0)
    assert not take[key](60.0)


def test_a_message_that_is_forged_as_being_in_hand_holds_up_nothing(
    cluster: FakeCluster, scans: Scans
) -> None:
    """Only what can be given back counts as being there."""
    job = submit(scans(1), connection=cluster.connection)
    cluster.queue.take()
    forged = Delivery(cluster.id(job), 0, names.queue("normal"), "w").encode()
    cluster.queue.client.hset("inkmill:unacked", "forged", forged)
    assert sweep(cluster) == 1
