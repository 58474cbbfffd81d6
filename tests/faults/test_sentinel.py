"""A master of Redis that dies, and another that takes its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkmill.backends.queue import Queue
from inkmill.local.servers import find_redis
from inkmill.producer import wait
from tests.certificates import Certificates
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.sentinels import Watched, has_tls


@pytest.fixture(params=["plain", "tls"])
def watched(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Watched]:
    certificates = None
    if request.param == "tls":
        if not has_tls(find_redis()):
            pytest.skip("redis-server was built without TLS")
        certificates = Certificates.make(tmp_path / "certificates")
    with Watched(tmp_path / "redis", cluster.settings, certificates) as running:
        yield running


@pytest.mark.scenario(34)
def test_two_failovers_within_a_job(cluster: Cluster, watched: Watched, found: Outcome) -> None:
    """200 chunks, read with the rights of a worker; both masters die while it runs."""
    cluster.settings = watched.settings
    cluster.queue = Queue(watched.settings)
    as_worker = watched.as_part("worker").redis_url
    workers = cluster.start(2, faults=["decoder"], redis_url=as_worker)
    work = cluster.work(2000, workload.marked(1, 2000, "slow=0.03"))
    cluster.settings = watched.as_part("producer")
    job = cluster.submit(work, chunk_size=10)
    for _ in range(2):
        before = cluster.results(job)
        checker.until(lambda: cluster.results(job) > before + 5, 60, "chunks are read")  # noqa: B023
        before, began = cluster.results(job), time.monotonic()
        watched.fail_over()
        checker.until(lambda: cluster.results(job) > before + 10, 90, "goes on")  # noqa: B023
        found.struck(recovery=time.monotonic() - began)
    assert wait(job, timeout=checker.patient(180), settings=cluster.settings).rows == 2000
    assert all(worker.poll() is None for worker in workers)
    cluster.verify(job, work)
