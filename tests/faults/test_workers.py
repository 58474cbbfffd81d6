"""Workers and engines that are killed, told to leave, or stopped for a while."""

from __future__ import annotations

import time

import pytest

from inkmill.queue import UNACKED
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
