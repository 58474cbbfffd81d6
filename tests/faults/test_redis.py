"""Redis that dies, forgets, fills up or falls silent."""

from __future__ import annotations

import time

import pytest

from inkmill.errors import Unreachable
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.faults.proxies import TcpProxy


def _restart(cluster: Cluster, away: float) -> None:
    cluster.stack.kill("redis")
    time.sleep(away)
    cluster.stack.start_redis()
    cluster.stack.wait_until_ready()


@pytest.mark.scenario(7)
def test_redis_killed_and_restarted_while_idle(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    _restart(cluster, 3.0)
    began = time.monotonic()
    work = cluster.work(100)
    job = cluster.submit(work)
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(7)
def test_redis_killed_and_restarted_while_busy(cluster: Cluster, found: Outcome) -> None:
    workers = cluster.start(2, faults=["decoder"])
    work = cluster.work(1200, workload.marked(1, 1200, "slow=0.03"))
    job = cluster.submit(work)
    for away in (0.5, 4.0):
        before = cluster.results(job)
        checker.until(lambda: cluster.results(job) > before + 1, 30, "chunks are read")  # noqa: B023
        _restart(cluster, away)
        began, before = time.monotonic(), cluster.results(job)
        checker.until(lambda: cluster.results(job) > before + 4, 60, "goes on")  # noqa: B023
        found.struck(recovery=time.monotonic() - began)
    cluster.wait(job, 90)
    assert all(worker.poll() is None for worker in workers)
    cluster.verify(job, work)


@pytest.mark.scenario(8)
@pytest.mark.parametrize("how", ["flushed", "replaced"])
def test_redis_emptied(cluster: Cluster, found: Outcome, how: str) -> None:
    workers = cluster.start(2, faults=["decoder"])
    work = cluster.work(400, workload.marked(1, 400, "slow=0.03"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.results(job) > 3, 30, "chunks are read")
    if how == "flushed":
        cluster.queue.client.flushall()
    else:
        cluster.stack.kill("redis")
        cluster.stack.forget_redis()
        cluster.stack.start_redis()
        cluster.stack.wait_until_ready()
    began, before = time.monotonic(), cluster.results(job)
    checker.until(lambda: cluster.results(job) > before + 8, 60, "goes on")
    found.struck(recovery=time.monotonic() - began)
    cluster.wait(job, 60)
    assert all(worker.poll() is None for worker in workers)
    cluster.verify(job, work)


@pytest.mark.scenario(9)
def test_redis_out_of_memory(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(300, workload.marked(1, 300, "slow=0.03"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.results(job) > 2, 30, "chunks are read")
    client = cluster.queue.client
    client.config_set("maxmemory", 1_000_000)
    try:
        late = cluster.work(40, name="late")
        with pytest.raises(Unreachable, match="out of memory"):
            cluster.submit(late, name="late")
        time.sleep(10)
        assert worker.poll() is None
        assert not cluster.done(job)
    finally:
        client.config_set("maxmemory", 0)
    began = time.monotonic()
    cluster.wait(job, 60)
    cluster.wait("late", 60)
    found.struck(recovery=time.monotonic() - began)
    assert worker.poll() is None
    cluster.verify(job, work)
    cluster.verify("late", late)


@pytest.mark.scenario(10)
def test_connections_that_fall_silent(cluster: Cluster, found: Outcome) -> None:
    silent = 60.0
    with TcpProxy(cluster.redis_port) as proxy:
        near = cluster.settings.redis_url.replace(str(cluster.redis_port), str(proxy.port))
        (worker,) = cluster.start(faults=["decoder"], redis_url=near)
        work = cluster.work(600, workload.marked(1, 600, "slow=0.03"))
        job = cluster.submit(work)
        checker.until(lambda: cluster.results(job) > 2, 30, "chunks are read")
        proxy.swallow()
        time.sleep(silent)
        before = cluster.results(job)
        proxy.heal()
        began = time.monotonic()
        checker.until(lambda: cluster.results(job) > before + 3, 60, "goes on")
        taken = time.monotonic() - began
        found.struck(recovery=taken)
        assert taken < 2 * 15
        cluster.wait(job, 60)
        assert worker.poll() is None
        cluster.verify(job, work)
