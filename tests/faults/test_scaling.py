"""Workers that an autoscaler starts and stops by the backlog."""

from __future__ import annotations

import math
import subprocess
import time

import pytest

from inkmill.producer.metrics import QueueMetrics
from tests.faults import workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome

#: Chunks without rows for each worker, and the most workers, as in deploy/kubernetes/scaling.yaml.
_TARGET, _MOST = 5, 6


@pytest.mark.scenario(33)
def test_workers_come_and_go_with_the_backlog(cluster: Cluster, found: Outcome) -> None:
    """From none to six and back; nobody but the autoscaler starts or stops one."""
    running: list[subprocess.Popen[bytes]] = []
    sizes = [0]
    work = cluster.work(600, workload.marked(1, 600, "slow=0.05"))
    job = cluster.submit(work)
    queue, began = QueueMetrics(cluster.connection), time.monotonic()
    while (left := queue.backlog()["chunks"]) or running:
        assert time.monotonic() - began < 240, cluster.words()[-3000:]
        wanted = min(_MOST, math.ceil(left / _TARGET))
        if wanted > len(running):
            running += cluster.start(wanted - len(running), faults=["decoder"])
        for worker in running[wanted:]:
            code, _ = cluster.leave(worker)
            assert code == 0
        del running[wanted:]
        if wanted != sizes[-1]:
            sizes.append(wanted)
        time.sleep(1.0)
    found.struck(len(sizes) - 1)
    found.note(f"workers: {', '.join(map(str, sizes))}; {time.monotonic() - began:.0f} s")
    assert sizes[0] == sizes[-1] == 0
    assert max(sizes) == _MOST
    cluster.verify(job, work)
