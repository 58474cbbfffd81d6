"""Workers and engines that are killed, told to leave, or stopped for a while."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest

from inkmill.backends.broker import UNACKED
from inkmill.settings import Settings
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome


@pytest.mark.scenario(3)
def test_killed_between_the_result_and_the_ack(cluster: Cluster, found: Outcome) -> None:
    (victim,) = cluster.start(faults=["after_result"])
    cluster.arm("after_result")
    work = cluster.work(100)
    job = cluster.submit(work)
    victim.wait(30)
    began = time.monotonic()
    assert cluster.struck("after_result")
    written = cluster.results(job)
    assert 0 < written < 5
    cluster.start()
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    cluster.verify(job, work)


@pytest.mark.scenario(32)
def test_killed_with_default_timeouts_its_chunks_are_read_within_a_minute(
    cluster: Cluster, found: Outcome
) -> None:
    """By its silence, long before the visibility timeout."""
    default = Settings()
    timeouts: dict[str, Any] = {
        "visibility_timeout": default.visibility_timeout,
        "reconcile_interval": default.reconcile_interval,
        "redis_timeout": default.redis_timeout,
    }
    (victim,) = cluster.start(
        faults=["slow_chunks"], environment={"FAULT_SECONDS": "600"}, **timeouts
    )
    work = cluster.work(60)
    job = cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED) == 3, 20, "chunks in hand")
    (worker,) = cluster.start(**timeouts)
    cluster.kill(victim)
    found.struck(recovery=cluster.wait(job, 60))
    assert found.recovery[-1] <= 60
    assert cluster.words().count("is delivered again") == 3
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(4)
def test_an_engine_killed_in_mid_batch_costs_no_redelivery(
    cluster: Cluster, found: Outcome
) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(60, workload.marked(1, 60, "slow=0.1"))
    job = cluster.submit(work)
    for _ in range(3):
        engine = cluster.engine_of(worker)
        checker.until(lambda: cluster.queue.client.hlen(UNACKED), 10, "a chunk in hand")
        time.sleep(0.7)  # well inside the two seconds that a chunk takes
        engine.kill()
        began = time.monotonic()
        cluster.engine_of(worker, after=engine)
        found.struck(recovery=time.monotonic() - began)
    cluster.wait(job, 60)
    assert worker.poll() is None
    assert "delivered again" not in cluster.words()
    assert "sent again" not in cluster.words()
    cluster.verify(job, work)


@pytest.mark.scenario(5)
@pytest.mark.parametrize("in_hand", [False, True], ids=["idle", "busy"])
def test_told_to_leave_a_worker_finishes_what_it_holds(
    cluster: Cluster, found: Outcome, in_hand: bool
) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(100, workload.marked(1, 100, "slow=0.05"))
    job = ""
    if in_hand:
        job = cluster.submit(work)
        checker.until(lambda: cluster.queue.client.hlen(UNACKED), 10, "a chunk in hand")
    code, taken = cluster.leave(worker)
    assert code == 0
    assert taken < cluster.settings.drain_deadline
    assert cluster.queue.client.hlen(UNACKED) == 0
    assert cluster.queue.workers() == {}
    found.struck(recovery=taken)
    if in_hand:
        assert cluster.results(job) > 0
        cluster.start(faults=["decoder"])
        cluster.wait(job, 60)
        cluster.verify(job, work)


@pytest.mark.scenario(5)
def test_what_is_not_done_by_the_drain_deadline_goes_back(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(
        faults=["slow_chunks"], environment={"FAULT_SECONDS": "30"}, drain_deadline=3.0
    )
    work = cluster.work(100)
    job = cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED) == 3, 10, "chunks in hand")
    code, taken = cluster.leave(worker)
    assert code == 0
    assert taken < 10
    assert cluster.queue.client.hlen(UNACKED) == 0
    assert sum(cluster.queue.lengths().values()) == 5
    began = time.monotonic()
    cluster.start()
    cluster.wait(job, 30)
    found.struck(recovery=time.monotonic() - began)
    cluster.verify(job, work)


@pytest.mark.scenario(2)
def test_killed_between_the_pop_and_the_unacked_record(cluster: Cluster, found: Outcome) -> None:
    work = cluster.work(100)
    cluster.arm("before_unacked")
    job = cluster.submit(work)
    (victim,) = cluster.start(faults=["before_unacked"], ready=False)
    victim.wait(60)
    began = time.monotonic()
    assert cluster.struck("before_unacked")
    assert cluster.queue.client.hlen(UNACKED) == 0
    assert sum(cluster.queue.lengths().values()) == 4  # of five; nobody has the fifth
    cluster.start()
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    cluster.verify(job, work)


_KILLS = int(os.environ.get("FAULT_KILLS", "20"))


@pytest.mark.scenario(1)
@pytest.mark.timeout(600 + 30 * _KILLS)
def test_workers_killed_at_random_under_load(cluster: Cluster, found: Outcome) -> None:
    """FAULT_KILLS says how many; each kill takes a new worker's start, some 5 s of one core."""
    chance = random.Random(7)
    count = 400 + 60 * min(_KILLS, 40)
    work = cluster.work(count, workload.marked(1, count, "slow=0.02"))
    alive = cluster.start(2, faults=["decoder"])
    job, jobs = cluster.submit(work), 1
    for _ in range(0, _KILLS, 2):
        fresh = cluster.start(2, faults=["decoder"])
        for _ in range(2):
            time.sleep(chance.uniform(0.0, 1.0))
            cluster.kill(alive.pop(chance.randrange(len(alive))))
            found.struck()
        alive += fresh
        if cluster.done(job):
            cluster.verify(job, work)
            job, jobs = cluster.submit(work), jobs + 1
    began = time.monotonic()
    cluster.wait(job, 300)
    found.note(
        f"{jobs} jobs, {jobs * count:,} rows; the last job was finished "
        f"{time.monotonic() - began:.0f} s after the last kill"
    )
    cluster.verify(job, work)


@pytest.mark.scenario(1)
def test_recovery_from_one_kill(cluster: Cluster, found: Outcome) -> None:
    """Another worker is there: what the dead one held comes back after the timeout."""
    slow = {"FAULT_SECONDS": "5"}
    (victim,) = cluster.start(faults=["slow_chunks"], environment=slow, concurrency=3)
    work = cluster.work(60)
    job = cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED) == 3, 20, "chunks in hand")
    cluster.kill(victim)
    began = time.monotonic()
    cluster.start()
    cluster.wait(job, 60)
    taken = time.monotonic() - began
    found.struck(recovery=taken)
    chosen = cluster.settings
    looks = 2 * 5  # kombu looks every five seconds, and the new worker has to start
    assert taken < chosen.visibility_timeout + chosen.reconcile_interval + looks + 15
    cluster.verify(job, work)


@pytest.mark.scenario(6)
def test_sigterm_then_sigkill(cluster: Cluster, found: Outcome) -> None:
    (victim,) = cluster.start(faults=["decoder"])
    work = cluster.work(100, workload.marked(1, 100, "slow=0.1"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED) == 3, 20, "chunks in hand")
    victim.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    cluster.kill(victim)
    began = time.monotonic()
    cluster.start(faults=["decoder"])
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    cluster.verify(job, work)


@pytest.mark.scenario(18)
def test_a_chunk_slower_than_the_visibility_timeout_is_read_once(
    cluster: Cluster, found: Outcome
) -> None:
    workers = cluster.start(
        2, faults=["slow_chunks"], environment={"FAULT_SECONDS": "30"}, concurrency=1
    )
    work = cluster.work(20)
    job = cluster.submit(work)
    taken = cluster.wait(job, 60)
    assert taken > 2 * cluster.settings.visibility_timeout
    # It says so just after its rows are there, which end the wait.
    checker.until(lambda: "chunk read" in cluster.words(), 10, "the worker's word")
    assert "delivered again" not in cluster.words()
    assert cluster.words().count("chunk read") == 1
    assert all(worker.poll() is None for worker in workers)
    found.struck(recovery=0.0)
    cluster.verify(job, work)


@pytest.mark.scenario(18)
def test_stopped_past_the_visibility_timeout_then_continued(
    cluster: Cluster, found: Outcome
) -> None:
    (frozen,) = cluster.start(faults=["slow_chunks"], environment={"FAULT_SECONDS": "3"})
    work = cluster.work(60)
    job = cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED) == 3, 20, "chunks in hand")
    frozen.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    cluster.start()
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    frozen.send_signal(signal.SIGCONT)
    checker.until(
        lambda: "another worker wrote the rows first" in cluster.words(), 30, "the late writer"
    )
    cluster.verify(job, work)
    assert frozen.poll() is None


@pytest.mark.scenario(19)
@pytest.mark.parametrize("wrong", [600, -600], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_by_ten_minutes(cluster: Cluster, found: Outcome, wrong: int) -> None:
    workers = [
        *cluster.start(faults=["decoder"]),
        *cluster.start(faults=["decoder", "clock"], environment={"FAULT_CLOCK": str(wrong)}),
    ]
    work = cluster.work(400, workload.marked(1, 400, "slow=0.03"))
    job = cluster.submit(work)
    cluster.wait(job, 60)
    assert "delivered again" not in cluster.words()
    assert "sent again" not in cluster.words()
    checker.until(lambda: cluster.words().count("chunk read") == 20, 10, "each is read once")
    assert "clock is 600 s" in cluster.words()
    assert all(worker.poll() is None for worker in workers)
    found.struck(recovery=0.0)
    cluster.verify(job, work)
