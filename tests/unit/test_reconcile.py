"""What Redis forgot comes back, what is done is finished once, what is old goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.store import exists
from inkmill.errors import NotFinished, NotFound, Unreachable
from inkmill.lifecycle import reconcile, retention
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.summary import load_summary
from inkmill.producer import delete, results, status, submit, wait
from inkmill.records import rows
from inkmill.records.jobs import Job
from tests.fakes import FakeCluster

Scans = Callable[..., Path]
DAY = 86400.0


def sweep(cluster: FakeCluster) -> int:
    return reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)


def test_a_flushed_redis_costs_time_and_nothing_else(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(20), chunk_size=1, connection=cluster.connection)
    cluster.work(limit=5)
    cluster.queue.client.flushall()
    assert cluster.work() == 0
    sweep(cluster)
    assert cluster.work() == 15
    assert [row.item for row in results(job, connection=cluster.connection)] == list(range(20))


def test_a_message_that_got_lost_is_sent_again(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(3), chunk_size=1, connection=cluster.connection)
    assert cluster.queue.take() is not None  # a worker took it and died before any trace of that
    assert sweep(cluster) == 1
    cluster.work()
    assert status(job, connection=cluster.connection).state == "finished"


def test_what_is_under_way_is_not_sent_twice(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(3), chunk_size=1, connection=cluster.connection)
    before = cluster.queue.lengths()
    assert sweep(cluster) == 0
    assert cluster.queue.lengths() == before


def test_a_young_send_is_given_time(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(1), connection=cluster.connection)
    cluster.queue.take()
    assert reconcile.sweep(cluster.store, cluster.queue, 60.0, force=True) == 0
    assert cluster.queue.lengths()["normal"] == 0


def test_a_job_whose_last_worker_died_before_finishing_it(
    cluster: FakeCluster, scans: Scans
) -> None:
    job = submit(scans(2), chunk_size=1, connection=cluster.connection)
    cluster.work()
    cluster.store.delete([names.job_summary(job)])
    cluster.store.put(names.open_marker(job), b"")
    cluster.queue.client.flushall()
    sweep(cluster)
    summary = load_summary(cluster.store, load_job(cluster.store, job))
    assert summary is not None
    assert (summary.rows, summary.statuses["ok"]) == (2, 2)  # counted from the rows themselves
    assert not exists(cluster.store, names.open_marker(job))


def test_a_count_that_does_not_fit_is_said_loudly(
    cluster: FakeCluster, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(scans(3), chunk_size=1, connection=cluster.connection)
    cluster.store.put(names.result(job, 1), rows.encode([]))  # by a stranger's hand
    cluster.work()
    sweep(cluster)
    assert status(job, connection=cluster.connection).rows == 2
    assert f"job {job} has 2 rows for 3 items" in caplog.text


def test_finishing_twice_keeps_the_first_summary(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(1), connection=cluster.connection)
    cluster.work()
    record = load_job(cluster.store, job)
    first = load_summary(cluster.store, load_job(cluster.store, job))
    assert reconcile.finish(cluster.store, cluster.queue, record) == first


def test_damage_to_one_job_does_not_stop_the_others(cluster: FakeCluster, scans: Scans) -> None:
    cluster.store.put(names.open_marker("a-damaged"), b"")
    cluster.store.put(names.job_record("a-damaged"), b"no record")
    cluster.store.put("open/NO JOB", b"")
    submit(scans(1), name="b", connection=cluster.connection)
    cluster.queue.client.flushall()
    sweep(cluster)
    assert cluster.work() == 1


def test_the_lock_lets_one_of_many_sweep(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(1), connection=cluster.connection)
    cluster.queue.client.flushall()
    for _ in range(3):
        reconcile.sweep(cluster.store, cluster.queue, 60.0)
    assert cluster.queue.lengths()["normal"] == 1


def test_wait_mends_what_redis_lost(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(4), chunk_size=1, connection=cluster.connection)
    cluster.queue.client.flushall()

    def work(_: object) -> None:
        cluster.work()

    ended = wait(job, timeout=10, connection=cluster.connection, progress=work)
    assert (ended.state, ended.rows) == ("finished", 4)


def test_wait_finishes_a_job_that_was_read_before_it_was_sealed(
    cluster: FakeCluster, scans: Scans
) -> None:
    job = submit(scans(4), chunk_size=1, connection=cluster.connection)
    key = names.job_record(job)
    sealed = cluster.store.get(key).data
    cluster.store.put(key, json.dumps({**json.loads(sealed), "sealed": False}).encode())
    cluster.work()
    cluster.store.put(key, sealed)
    assert not exists(cluster.store, names.job_summary(job))
    assert wait(job, timeout=5, connection=cluster.connection).state == "finished"


def test_wait_rides_out_servers_that_are_away(
    cluster: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = submit(scans(2), connection=cluster.connection)
    busy, failures = cluster.queue.busy, iter(range(3))

    def away_at_first(name: str) -> bool:
        if next(failures, None) is not None:
            raise Unreachable("Redis does not answer")
        return busy(name)

    monkeypatch.setattr(cluster.queue, "busy", away_at_first)

    def work(_: object) -> None:
        if next(failures, None) is None:
            cluster.work()

    ended = wait(job, timeout=10, connection=cluster.connection, progress=work)
    assert ended.state == "finished"
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "waiting for: Redis does not answer"
    ]


def test_wait_gives_up_only_when_told(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(2), connection=cluster.connection)
    with pytest.raises(NotFinished, match=r"not finished after 0.2 seconds: 0 of 1 chunks"):
        wait(job, timeout=0.2, connection=cluster.connection)
    with pytest.raises(NotFound):
        wait("never", connection=cluster.connection)


# --- retention ---------------------------------------------------------------------------------


def test_a_job_goes_when_its_days_are_over(cluster: FakeCluster, scans: Scans) -> None:
    kept = submit(scans(1), connection=cluster.connection)
    job = submit(scans(1), retention_days=3, connection=cluster.connection)
    cluster.work()
    finished = status(job, connection=cluster.connection).finished
    assert retention.expire(cluster.store, cluster.queue, finished + 2.9 * DAY) == 0
    assert retention.expire(cluster.store, cluster.queue, finished + 4.1 * DAY) == 1
    with pytest.raises(NotFound):
        status(job, connection=cluster.connection)
    assert list(cluster.store.list(names.job_root(job))) == []
    assert list(cluster.store.list(names.EXPIRY)) == []
    assert status(kept, connection=cluster.connection).state == "finished"


def test_a_name_used_again_does_not_inherit_the_end_of_the_first(
    cluster: FakeCluster, scans: Scans
) -> None:
    submit(scans(1), name="a", retention_days=1, connection=cluster.connection)
    cluster.work()
    first = status("a", connection=cluster.connection).finished
    delete("a", connection=cluster.connection)
    submit(scans(1), name="a", retention_days=30, connection=cluster.connection)
    cluster.work()
    assert retention.expire(cluster.store, cluster.queue, first + 5 * DAY) == 0
    assert status("a", connection=cluster.connection).state == "finished"
    assert retention.expire(cluster.store, cluster.queue, first + 32 * DAY) == 1


def test_a_sweep_looks_for_what_is_due(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(scans(1), retention_days=1, connection=cluster.connection)
    cluster.work()
    later = status(job, connection=cluster.connection).finished + 3 * DAY
    monkeypatch.setattr("inkmill.lifecycle.retention.time.time", lambda: later)
    sweep(cluster)
    assert not exists(cluster.store, names.job_record(job))


def test_keeping_the_values_deletes_the_scans(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(4)
    submit(folder, name="a", chunk_size=2, connection=cluster.connection)
    cluster.work(limit=1)
    delete("a", keep_values=True, connection=cluster.connection)
    left = {
        entry.key.split("/")[2] for entry in cluster.store.list(names.job_root(cluster.id("a")))
    }
    assert left == {"job.json", "results", "summary.json", "cancelled.json", "purged.json"}
    assert len(list(results("a", connection=cluster.connection))) == 4


def test_a_finished_job_without_its_scans_is_still_the_same(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(4)
    submit(folder, name="a", connection=cluster.connection)
    cluster.work()
    delete("a", keep_values=True, connection=cluster.connection)
    notes: list[str] = []
    submit(
        folder,
        name="a",
        connection=cluster.connection,
        progress=lambda now: notes.append(now.note),
    )
    assert notes[-1].endswith("nothing to do")
    assert Job.decode(cluster.store.get(names.job_record(cluster.id("a"))).data).sealed
