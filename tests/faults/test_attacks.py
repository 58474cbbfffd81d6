"""What somebody who means harm can send, write or drop, tried on real workers and commands.

Each kind has many members, most of which no bug report named. While they arrive, a worker reads an
honest job: it must end with the rows of a calm run, the worker must be the same process as before,
and its memory must stay in bounds.
"""

from __future__ import annotations

import signal

import psutil
import pytest

from inkmill import names
from tests.faults import checker
from tests.faults.cluster import Cluster
from tests.faults.hostile_messages import ASIDE, MESSAGES
from tests.faults.hostile_redis import REDIS
from tests.faults.outcome import Outcome

#: What a worker may grow by, whatever it is sent (bytes).
_MOST_GROWTH = 400 * 2**20


class Growth:
    """How much a process grew since this was made."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._process.memory_info().rss

    def check(self) -> int:
        """MiB, within bounds."""
        grown = self._process.memory_info().rss - self._before
        assert grown < _MOST_GROWTH
        return max(0, grown) >> 20


@pytest.mark.scenario(36)
@pytest.mark.parametrize("kind", MESSAGES)
def test_hostile_messages_end_no_worker(kind: str, cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    growth, client = Growth(worker.pid), cluster.queue.client
    entries = MESSAGES[kind]
    work = cluster.work(100)
    for entry, _ in entries[: len(entries) // 2]:
        client.lpush("inkmill.normal", entry)
    job = cluster.submit(work)
    for entry, _ in entries[len(entries) // 2 :]:
        client.lpush("inkmill.high", entry)
    seconds = cluster.wait(job, 90)
    checker.until(lambda: not sum(cluster.queue.lengths().values()), 30, "queues are empty")
    aside = sum(fate == ASIDE for _, fate in entries)
    checker.until(lambda: cluster.queue.ever_aside() == aside, 30, "all others are set aside")
    assert worker.poll() is None
    found.struck(len(entries))
    found.note(f"{kind}: {aside} set aside, {len(entries) - aside} read as job and chunk alone")
    assert "Unrecoverable" not in cluster.words()
    growth.check()
    print(f"{kind}: {seconds:.1f} s, grew by {growth.check()} MiB")
    cluster.verify(job, work)
    assert names.ASIDE in str(cluster.words())


@pytest.mark.scenario(37)
@pytest.mark.parametrize("kind", REDIS)
def test_hostile_keys_of_redis_end_no_worker(kind: str, cluster: Cluster, found: Outcome) -> None:
    """Each is made while the worker stands still, so that the job's messages are there."""
    (worker,) = cluster.start()
    growth = Growth(worker.pid)
    for number, (what, spoil) in enumerate(REDIS[kind].items()):
        work = cluster.work(60, name=f"scans-{number}")
        worker.send_signal(signal.SIGSTOP)
        cluster.queue.client.delete(names.WORKERS, names.SILENT, names.ASIDE)  # the last one's
        job = cluster.submit(work)
        spoil(cluster.queue.client, job)
        worker.send_signal(signal.SIGCONT)
        seconds = cluster.wait(job, 60)
        print(f"{kind}, {what}: {seconds:.1f} s, grew by {growth.check()} MiB")
        found.struck(recovery=seconds)
        assert worker.poll() is None, what
        rows = cluster.promised_rows(job)
        assert len(rows) == 60, what
        for row in rows:
            cluster.as_calm(row, work)
    assert "Unrecoverable" not in cluster.words()
