"""Workers on hosts of their own, and a cable that is pulled."""

from __future__ import annotations

import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from tests.faults import checker, hosts, workload
from tests.faults.cluster import Cluster
from tests.faults.hosts import Hosts
from tests.faults.outcome import Outcome
from tests.faults.proxies import TcpProxy


def _start(
    cluster: Cluster, there: Hosts, name: str, redis: int, s3: int
) -> subprocess.Popen[bytes]:
    chosen = cluster.settings
    near = chosen.model_copy(
        update={
            "redis_url": chosen.redis_url.replace(
                f"127.0.0.1:{cluster.redis_port}", f"{there.here}:{redis}"
            ),
            "s3_endpoint": f"http://{there.here}:{s3}",
        }
    )
    environment = {**cluster.process_environment(["decoder"]), **near.environment()}
    with cluster.log.open("ab") as output:
        worker = subprocess.Popen(
            there.command(name, [sys.executable, "-m", "inkmill.cli.main", "worker"]),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    cluster.adopt(worker)
    return worker


@pytest.mark.scenario(31)
@pytest.mark.skipif(bool(hosts.missing()), reason=hosts.missing())
def test_a_host_whose_cable_is_pulled(cluster: Cluster, found: Outcome) -> None:
    """Two hosts share a job; one falls silent with chunks in hand, and comes back too late."""
    s3_port = urlsplit(cluster.settings.s3_endpoint or "").port or 0
    with (
        Hosts("ann", "bob") as there,
        TcpProxy(cluster.redis_port, there.here) as redis,
        TcpProxy(s3_port, there.here) as s3,
    ):
        workers = [_start(cluster, there, name, redis.port, s3.port) for name in ("ann", "bob")]
        checker.until(
            lambda: (
                sorted(name.split(":")[0] for name in cluster.queue.workers()) == ["ann", "bob"]
            ),
            90,
            f"both hosts report: {cluster.words()[-3000:]}",
        )
        work = cluster.work(600, workload.marked(1, 600, "slow=0.03"))
        job = cluster.submit(work)
        checker.until(lambda: cluster.results(job) > 3, 30, "chunks are read")
        there.unplug("ann")
        began = time.monotonic()
        cluster.wait(job, 120)
        found.struck(recovery=time.monotonic() - began)
        there.plug_in("ann")
        cluster.verify(job, work)
        # The host that was away takes part again.
        there.unplug("bob")
        again = cluster.work(100, name="again")
        second = cluster.submit(again, name="second")
        began = time.monotonic()
        cluster.wait(second, 60)
        found.struck(recovery=time.monotonic() - began)
        there.plug_in("bob")
        cluster.verify("second", again)
        assert all(worker.poll() is None for worker in workers)
