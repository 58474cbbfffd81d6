"""More work than there is room for, and hosts that lack what a worker likes to have."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from inkmill import names
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome


@pytest.mark.scenario(24)
def test_ten_times_more_work_than_capacity(cluster: Cluster, found: Outcome) -> None:
    """One slow worker, forty jobs at once: what Redis and the worker hold stays bounded."""
    (worker,) = cluster.start(
        faults=["slow_chunks"], environment={"FAULT_SECONDS": "0.1"}, concurrency=3
    )
    process = psutil.Process(worker.pid)
    work = cluster.work(600)
    before = process.memory_info().rss
    used = int(cluster.queue.client.info("memory")["used_memory"])
    jobs = [cluster.submit(work, chunk_size=30, name=f"job-{number}") for number in range(8)]
    window = cluster.queue.window()
    most = most_redis = 0
    while not all(map(cluster.done, jobs)):
        waiting = sum(cluster.queue.lengths().values())
        assert waiting <= window * len(jobs)
        most = max(most, process.memory_info().rss)
        most_redis = max(most_redis, int(cluster.queue.client.info("memory")["used_memory"]))
        time.sleep(0.5)
    found.struck(len(jobs))
    found.note(
        f"window {window} chunks a job; worker grew by {(most - before) / 2**20:.0f} MiB, "
        f"Redis by {(most_redis - used) / 2**20:.1f} MiB"
    )
    assert most - before < 200 * 2**20
    assert most_redis - used < 8 * 2**20
    for job in jobs:
        cluster.verify(job, work)


@pytest.mark.scenario(25)
def test_a_cache_folder_that_cannot_be_written(
    cluster: Cluster, found: Outcome, tmp_path: Path
) -> None:
    """As with a full disk or a read-only home: the worker does without."""
    blocked = tmp_path / "file"
    blocked.write_text("a file, where the folder should be")
    (worker,) = cluster.start(
        cache_dir=blocked / "cache",
        environment={"HOME": "/proc/no-such-home", "TMPDIR": "/proc/no-such-folder"},
    )
    work = cluster.work(60)
    job = cluster.submit(work)
    found.struck(recovery=cluster.wait(job, 60))
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(25)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts are made for the worker alone")
def test_a_full_disk_and_no_shared_memory(cluster: Cluster, found: Outcome, tmp_path: Path) -> None:
    """In a mount namespace of its own: the temporary folder is full, /dev/shm takes nothing."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespaces")
    script = tmp_path / "worker.sh"
    small = tmp_path / "small"
    small.mkdir()
    script.write_text(
        "set -e\n"
        f"mount -t tmpfs -o size=64k none {small}\n"
        f"dd if=/dev/zero of={small}/full bs=1k count=64 2>/dev/null || true\n"
        "mount -t tmpfs -o ro none /dev/shm\n"
        f"exec {sys.executable} -m inkmill.cli.main worker\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    settings = cluster.settings.model_copy(update={"cache_dir": small / "cache"})
    environment = {**os.environ, **settings.environment(), "TMPDIR": str(small)}
    with cluster.log.open("ab") as output:
        worker = subprocess.Popen(
            ["unshare", "--mount", "sh", str(script)],
            env={**environment, "HOME": str(small)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    cluster.adopt(worker)
    if worker.poll() is not None and "mount:" in cluster.words():
        pytest.skip(f"mounts are not allowed here: {cluster.words()[-200:]}")
    cluster.wait_ready(worker)
    work = cluster.work(60)
    job = cluster.submit(work)
    found.struck(recovery=cluster.wait(job, 60))
    cluster.verify(job, work)


@pytest.mark.scenario(24)
def test_a_submit_without_workers_sends_no_more_than_its_window(
    cluster: Cluster, found: Outcome
) -> None:
    work = cluster.work(1000)
    job = cluster.submit(work, chunk_size=5)
    assert sum(cluster.queue.lengths().values()) == cluster.queue.window() < 10
    assert cluster.queue.waiting(job) == 200 - cluster.queue.window()
    assert len(list(cluster.store.list(names.chunks(job)))) == 200
    found.struck()
    cluster.start(2)
    cluster.wait(job, 60)
    cluster.verify(job, work)
    checker.until(lambda: not cluster.queue.present(), 10, "drained")
    assert workload.sources(work)
