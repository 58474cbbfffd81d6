"""Workers that die, leave, or are fed poison: the short version of tests/faults."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.request import urlopen

import psutil

from inkmill.backends.broker import UNACKED
from inkmill.codes import Code
from inkmill.lifecycle import outbox
from inkmill.local.servers import free_ports
from inkmill.producer import connect, quarantine, submit
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.receivers import receiver
from tests.unit.test_metrics import values
from tests.unit.test_outbox import SECRET


def test_poison_costs_its_own_rows_which_can_be_read_again(
    cluster: Cluster,
) -> None:
    """A decoder that crashes or hangs on an image; then a worker with a better decoder."""
    (port,) = free_ports(1)
    (first,) = cluster.start(faults=["decoder"], metrics_listen=str(port))
    work = cluster.work(100, {37: ("segv", Code.CRASHED), 61: ("hang", Code.TIMEOUT)})
    job = cluster.submit(work)
    cluster.wait(job, 120)
    assert first.poll() is None
    cluster.verify(job, work)
    found = list(quarantine.given_up(connection=cluster.connection))
    assert [(each.job, each.item, each.code) for each in found] == [
        (job, 37, "CRASHED"),
        (job, 61, "TIMEOUT"),
    ]
    assert {each.source for each in found} == set(work.harmful)
    item, data = quarantine.image(cluster.connection, job, 37)
    assert data == (work.folder / item.source).read_bytes()
    assert urlopen(f"http://127.0.0.1:{port}/readyz").status == 200
    told = values(urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    assert told["inkmill_worker_items_total", ("", "digits", "error")] == 2
    assert told["inkmill_worker_codes_total", ("CRASHED",)] == 1
    assert told["inkmill_worker_engine_restarts_total", ()] >= 4
    assert told["inkmill_worker_chunks_total", ("read",)] == 5
    cluster.leave(first)

    cluster.start()
    # Chunks of 20: the second and the fourth are read once more, the others are not.
    assert quarantine.retry(job, connection=cluster.connection) == [1, 3]
    assert not cluster.done(job)
    cluster.wait(job, 60)
    assert list(quarantine.given_up(job, connection=cluster.connection)) == []
    cluster.verify(job, workload.Workload(work.folder, work.count, {}))


def test_the_end_of_a_job_is_told_though_its_worker_is_killed_meanwhile(cluster: Cluster) -> None:
    """The receiver has the request and did not answer yet; another worker sends it again."""
    with receiver() as hooks:
        told: dict[str, Any] = {"on_done_origins": (hooks.origin,), "on_done_secret": SECRET}
        (victim,) = cluster.start(**told)
        hooks.hold.clear()
        connection = connect(cluster.settings.model_copy(update=told))
        job = submit(cluster.work(20).folder, on_done=hooks.origin, connection=connection)
        checker.until(lambda: bool(hooks.received), 120, "the request")
        victim.kill()
        hooks.hold.set()
        cluster.start(**told)
        checker.until(lambda: len(hooks.received) == 2, 120, "the request")
        assert len(set(hooks.ids)) == 1
        assert json.loads(hooks.received[1].body)["data"]["id"] == job
        checker.until(lambda: not list(outbox.pending(cluster.store)), 30, "the notice is gone")


def test_workers_that_are_killed_or_told_to_leave_leave_one_result(cluster: Cluster) -> None:
    """Killed after the rows, before the ack; then one that finishes what it holds. One job after
    the other, since each start of a worker takes seconds of a core."""
    (victim,) = cluster.start(faults=["after_result"])
    cluster.arm("after_result")
    first = cluster.work(100)
    job = cluster.submit(first)
    victim.wait(60)
    (worker,) = cluster.start(faults=["decoder"])
    cluster.wait(job, 60)
    cluster.verify(job, first)

    second = cluster.work(60, workload.marked(1, 60, "slow=0.05"), name="slow")
    job = cluster.submit(second)
    checker.until(lambda: cluster.queue.client.hlen(UNACKED), 20, "a chunk in hand")
    code, taken = cluster.leave(worker)
    assert code == 0
    assert taken < cluster.settings.drain_deadline
    assert cluster.queue.client.hlen(UNACKED) == 0
    cluster.start()
    cluster.wait(job, 60)
    cluster.verify(job, second)


_PARENT = """
import sys, time
from pathlib import Path
from inkmill.settings import Settings
from inkmill.local.workers import LocalWorkers

with LocalWorkers(Settings.load(), 1, Path(sys.argv[1])) as workers:
    workers.wait_ready()
    print(workers.processes[0].pid, flush=True)
    time.sleep(600)
"""


def test_workers_leave_when_the_program_that_started_them_is_killed(
    cluster: Cluster,
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(cluster.log)],
        env=cluster.process_environment([]),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    family = [worker, *worker.children(recursive=True)]
    assert len(family) > 1, "a worker and its engine"
    cluster.kill(parent)
    _, left = psutil.wait_procs(family, timeout=60)
    assert left == [], cluster.words()[-2000:]
    assert cluster.queue.workers() == {}
