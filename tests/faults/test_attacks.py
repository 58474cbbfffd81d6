"""What somebody who means harm can send, write or drop, tried on real workers and commands.

Each kind has many members, most of which no bug report named. While they arrive, a worker reads an
honest job: it must end with the rows of a calm run, the worker must be the same process as before,
and its memory must stay in bounds.
"""

from __future__ import annotations

import signal
import time
from collections import Counter

import psutil
import pytest

from inkmill import names, producer
from inkmill.cli.damaged_records import damaged_records
from inkmill.codes import Status
from inkmill.producer.overview import overview
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.hostile_files import PASSED_OVER, WITH_ROWS
from tests.faults.hostile_messages import ASIDE, MESSAGES
from tests.faults.hostile_objects import CHUNKS, OBJECTS
from tests.faults.hostile_redis import REDIS
from tests.faults.outcome import Outcome
from tests.faults.workload import Workload

#: What a worker may grow by, whatever it is sent (bytes).
_MOST_GROWTH = 600 * 2**20


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


@pytest.mark.scenario(38)
def test_hostile_objects_in_the_bucket_hold_up_nobody(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    growth = Growth(worker.pid)
    for spoil in OBJECTS.values():
        spoil(cluster.store)
    for number in range(3):
        work = cluster.work(60, name=f"scans-{number}")
        job = cluster.submit(work, name=f"honest-{number}")
        found.struck(recovery=cluster.wait(job, 60))
        cluster.verify(job, work)
    time.sleep(2 * cluster.settings.reconcile_interval)  # all sweep over what is there
    assert worker.poll() is None
    found.count += len(OBJECTS) - 3
    print(f"grew by {growth.check()} MiB")
    shown = {each.job for each in producer.jobs(connection=cluster.connection)}
    assert {f"honest-{number}" for number in range(3)} <= shown
    assert overview(cluster.connection).redis
    named = list(damaged_records(cluster.store, "digits"))
    found.note(f"inkmill doctor names {len(named)} of them")
    assert len(named) >= len(OBJECTS) / 2


@pytest.mark.scenario(38)
@pytest.mark.parametrize("what", CHUNKS)
def test_a_hostile_chunk_costs_its_own_items(what: str, cluster: Cluster, found: Outcome) -> None:
    """Its items get rows that say so; beside it, others are read."""
    job = cluster.submit(cluster.work(40))
    key = names.chunk(job, 0)
    stored = cluster.store.get(key)
    cluster.store.put(key, CHUNKS[what](stored.data), metadata=stored.metadata)
    (worker,) = cluster.start()
    growth = Growth(worker.pid)
    work = cluster.work(40, name="others")
    other = cluster.submit(work)
    cluster.wait(other, 60)
    cluster.verify(other, work)
    found.struck(recovery=cluster.wait(job, 120))
    assert worker.poll() is None
    growth.check()
    rows = cluster.promised_rows(job)
    assert [row.item for row in rows] == list(range(40)), what
    spoilt = {row.code for row in rows[:20]}
    print(f"{what}: {spoilt}, grew by {growth.check()} MiB")
    assert all(row.status is Status.OK or row.status is Status.REVIEW for row in rows[20:])


@pytest.mark.scenario(39)
def test_hostile_files_have_their_rows_or_are_passed_over(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    growth = Growth(worker.pid)
    folder = cluster.folder / "dropped"
    for number, drop in enumerate([*PASSED_OVER.values(), *WITH_ROWS.values()]):
        place = folder / f"{number:03}"
        place.mkdir(parents=True)
        drop(place)
    honest = workload.build(folder / "honest", 20)
    began = time.monotonic()
    job = cluster.submit(Workload(folder, 0))
    found.note(f"submitted in {time.monotonic() - began:.0f} s")
    found.struck(len(PASSED_OVER) + len(WITH_ROWS), recovery=cluster.wait(job, 200))
    assert worker.poll() is None
    rows = cluster.promised_rows(job)
    by_folder = Counter(row.source.split("/")[0] for row in rows)
    for number, what in enumerate(PASSED_OVER):
        assert by_folder[f"{number:03}"] == 0, what
    for number, what in enumerate(WITH_ROWS, len(PASSED_OVER)):
        assert by_folder[f"{number:03}"] > 0, what
    assert by_folder["honest"] == honest.count
    codes = Counter(str(row.code) for row in rows if not row.source.startswith("honest"))
    assert all(row.status is not Status.OK for row in rows if not row.source.startswith("honest"))
    found.note(", ".join(f"{count} {code}" for code, count in codes.most_common()))
    print(f"grew by {growth.check()} MiB")
