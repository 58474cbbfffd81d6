"""`inkmill chaos`, as an operator runs it on a staging cluster."""

from __future__ import annotations

import subprocess
import sys

from inkmill import names
from tests.faults import workload
from tests.faults.cluster import Cluster


def chaos(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inkmill.cli.main", "chaos", *arguments],
        env=cluster.process_environment([]),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_cluster_that_keeps_the_promise(cluster: Cluster) -> None:
    cluster.start(2, faults=["decoder"])
    work = cluster.work(300, workload.marked(1, 300, "slow=0.03"))
    done = chaos(cluster, str(work.folder), "--every", "0.3", "--flush", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 items, 300 rows" in done.stdout
    assert "nothing lost, nothing wrong" in done.stdout
    assert "send rubbish" in done.stdout
    # The two jobs were only for this.
    assert list(cluster.store.list(names.JOBS)) == []


def test_a_cluster_whose_workers_read_otherwise_the_second_time(cluster: Cluster) -> None:
    """What chaos is for: a decoder that fails now and then is found out."""
    cluster.arm("misread")
    cluster.start(1, faults=["misread"])
    work = cluster.work(100)
    done = chaos(cluster, str(work.folder), "--every", "0.3")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differs from the undisturbed run" in done.stdout
    assert "rows were lost or changed" in done.stdout
