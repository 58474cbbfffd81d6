"""Inputs that kill, hang or swell what reads them."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from inkmill import names
from inkmill.codes import Code, Status
from tests.faults import checker
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome


@pytest.mark.scenario(14)
@pytest.mark.parametrize("how", ["segv", "abort"])
def test_an_image_that_crashes_the_decoder(cluster: Cluster, found: Outcome, how: str) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(100, {37: (how, Code.CRASHED)})
    began = time.monotonic()
    job = cluster.submit(work)
    cluster.wait(job, 60)
    found.struck(recovery=time.monotonic() - began)
    assert worker.poll() is None
    assert cluster.words().count("an engine was replaced") <= 2
    rows = cluster.verify(job, work)
    number = signal.SIGSEGV if how == "segv" else signal.SIGABRT
    (row,) = (row for row in rows.values() if row.status is Status.ERROR)
    assert f"signal {int(number)}" in row.message
    # The evidence is kept, and names the item.
    evidence = cluster.store.get(names.quarantined(job, 37 // 20)).data
    assert b'"item": 37' in evidence


@pytest.mark.scenario(14)
def test_several_crashing_images_in_one_chunk(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(
        40, {0: ("segv", Code.CRASHED), 7: ("abort", Code.CRASHED), 19: ("segv", Code.CRASHED)}
    )
    job = cluster.submit(work)
    taken = cluster.wait(job, 90)
    found.struck(3, recovery=taken)
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(15)
def test_an_image_that_hangs_the_decoder(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(100, {61: ("hang", Code.TIMEOUT)})
    job = cluster.submit(work)
    found.struck(recovery=cluster.wait(job, 90))
    assert worker.poll() is None
    assert cluster.words().count("an engine was replaced") <= 2
    rows = cluster.verify(job, work)
    (row,) = (row for row in rows.values() if row.status is Status.ERROR)
    assert "longer than 3 s" in row.message


@pytest.mark.scenario(16)
def test_an_image_that_eats_memory(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"], engine_memory=1200 * 2**20)
    before = psutil.Process(worker.pid).memory_info().rss
    work = cluster.work(100, {5: ("memory", Code.CRASHED)})
    job = cluster.submit(work)
    found.struck(recovery=cluster.wait(job, 90))
    assert worker.poll() is None
    grown = psutil.Process(worker.pid).memory_info().rss - before
    assert grown < 200 * 2**20
    rows = cluster.verify(job, work)
    (row,) = (row for row in rows.values() if row.status is Status.ERROR)
    assert "memory" in row.message


@pytest.mark.scenario(17)
@pytest.mark.timeout(600)
def test_an_item_that_takes_whole_workers_down(cluster: Cluster, found: Outcome) -> None:
    work = cluster.work(60, {25: ("worker", Code.QUARANTINED)})
    job = cluster.submit(work)
    began, deaths = time.monotonic(), 0
    while not cluster.done(job):
        (worker,) = cluster.start(faults=["deadly_items"], visibility_timeout=6.0, ready=False)
        checker.until(lambda: worker.poll() is not None or cluster.done(job), 90, "it dies")  # noqa: B023
        deaths += worker.poll() is not None
        assert deaths < 9, cluster.words()[-4000:]
    found.struck(deaths, recovery=time.monotonic() - began)
    # Three deaths until the chunk is suspected, two more with one item in hand.
    assert deaths == 5
    rows = cluster.verify(job, work)
    (row,) = (row for row in rows.values() if row.status is Status.ERROR)
    assert "workers died" in row.message
    assert exists_below(cluster, names.attempts(job))
    assert exists_below(cluster, names.quarantine(job))


@pytest.mark.scenario(17)
@pytest.mark.timeout(600)
def test_a_flushed_redis_does_not_forget_the_attempts(cluster: Cluster, found: Outcome) -> None:
    """From the second attempt on the store remembers them."""
    work = cluster.work(20, {3: ("worker", Code.QUARANTINED)})
    job = cluster.submit(work)
    deaths = 0
    while not cluster.done(job):
        (worker,) = cluster.start(faults=["deadly_items"], visibility_timeout=6.0, ready=False)
        checker.until(lambda: worker.poll() is not None or cluster.done(job), 90, "it dies")  # noqa: B023
        deaths += worker.poll() is not None
        if deaths >= 2:
            cluster.queue.client.flushall()
        assert deaths < 9, cluster.words()[-4000:]
    found.struck(deaths)
    cluster.verify(job, work)


def exists_below(cluster: Cluster, prefix: str) -> bool:
    return next(iter(cluster.store.list(prefix)), None) is not None


@pytest.mark.scenario(15)
def test_a_hung_engine_does_not_outlive_its_worker(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"], item_deadline=60.0)
    work = cluster.work(20, {5: ("hang", Code.TIMEOUT)})
    cluster.submit(work)
    checker.until(lambda: cluster.queue.client.hlen("inkmill:unacked"), 20, "a chunk in hand")
    time.sleep(1.0)
    engine = cluster.engine_of(worker)
    cluster.kill(worker)
    found.struck()
    checker.until(lambda: has_ended(engine), 10, "the engine has gone")


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, even if nobody has asked how it ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
