"""What Redis forgot comes back, what is done is finished once, what is old goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names, reconcile, retention, rows
from inkmill.errors import NotFinished, NotFound, Unreachable
from inkmill.jobs import Job
from inkmill.producer import delete, results, status, submit, wait
from inkmill.store import exists
from tests.fakes import FakeMill

Scans = Callable[..., Path]
DAY = 86400.0


def sweep(mill: FakeMill) -> int:
    return reconcile.sweep(mill.store, mill.queue, 0.0, force=True)


def test_a_flushed_redis_costs_time_and_nothing_else(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(20), chunk_size=1, connection=mill.connection)
    mill.work(limit=5)
    mill.queue.client.flushall()
    assert mill.work() == 0
    sweep(mill)
    assert mill.work() == 15
    assert [row.item for row in results(job, connection=mill.connection)] == list(range(20))


def test_a_message_that_got_lost_is_sent_again(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(3), chunk_size=1, connection=mill.connection)
    assert mill.queue.take() is not None  # a worker took it and died before any trace of that
    assert sweep(mill) == 1
    mill.work()
    assert status(job, connection=mill.connection).state == "finished"


def test_what_is_under_way_is_not_sent_twice(mill: FakeMill, scans: Scans) -> None:
    submit(scans(3), chunk_size=1, connection=mill.connection)
    before = mill.queue.lengths()
    assert sweep(mill) == 0
    assert mill.queue.lengths() == before


def test_a_young_send_is_given_time(mill: FakeMill, scans: Scans) -> None:
    submit(scans(1), connection=mill.connection)
    mill.queue.take()
    assert reconcile.sweep(mill.store, mill.queue, 60.0, force=True) == 0
    assert mill.queue.lengths()["normal"] == 0


def test_a_job_whose_last_worker_died_before_finishing_it(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(2), chunk_size=1, connection=mill.connection)
    mill.work()
    mill.store.delete([names.job_summary(job)])
    mill.store.put(names.open_marker(job), b"")
    mill.queue.client.flushall()
    sweep(mill)
    summary = reconcile.load_summary(mill.store, job)
    assert summary is not None
    assert (summary.rows, summary.statuses["ok"]) == (2, 2)  # counted from the rows themselves
    assert not exists(mill.store, names.open_marker(job))


def test_a_count_that_does_not_fit_is_said_loudly(
    mill: FakeMill, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(scans(3), chunk_size=1, connection=mill.connection)
    mill.store.put(names.result(job, 1), rows.encode([]))  # by a stranger's hand
    mill.work()
    sweep(mill)
    assert status(job, connection=mill.connection).rows == 2
    assert f"job {job} has 2 rows for 3 items" in caplog.text


def test_finishing_twice_keeps_the_first_summary(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(1), connection=mill.connection)
    mill.work()
    record = reconcile.load_job(mill.store, job)
    first = reconcile.load_summary(mill.store, job)
    assert reconcile.finish(mill.store, mill.queue, record) == first


def test_damage_to_one_job_does_not_stop_the_others(mill: FakeMill, scans: Scans) -> None:
    mill.store.put(names.open_marker("a-damaged"), b"")
    mill.store.put(names.job_record("a-damaged"), b"no record")
    mill.store.put("open/NO JOB", b"")
    submit(scans(1), name="b", connection=mill.connection)
    mill.queue.client.flushall()
    sweep(mill)
    assert mill.work() == 1


def test_the_lock_lets_one_of_many_sweep(mill: FakeMill, scans: Scans) -> None:
    submit(scans(1), connection=mill.connection)
    mill.queue.client.flushall()
    for _ in range(3):
        reconcile.sweep(mill.store, mill.queue, 60.0)
    assert mill.queue.lengths()["normal"] == 1


def test_wait_mends_what_redis_lost(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(4), chunk_size=1, connection=mill.connection)
    mill.queue.client.flushall()

    def work(_: object) -> None:
        mill.work()

    ended = wait(job, timeout=10, connection=mill.connection, progress=work)
    assert (ended.state, ended.rows) == ("finished", 4)


def test_wait_finishes_a_job_that_was_read_before_it_was_sealed(
    mill: FakeMill, scans: Scans
) -> None:
    job = submit(scans(4), chunk_size=1, connection=mill.connection)
    key = names.job_record(job)
    sealed = mill.store.get(key).data
    mill.store.put(key, json.dumps({**json.loads(sealed), "sealed": False}).encode())
    mill.work()
    mill.store.put(key, sealed)
    assert not exists(mill.store, names.job_summary(job))
    assert wait(job, timeout=5, connection=mill.connection).state == "finished"


def test_wait_rides_out_servers_that_are_away(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(scans(2), connection=mill.connection)
    busy, failures = mill.queue.busy, iter(range(3))

    def away_at_first(name: str) -> bool:
        if next(failures, None) is not None:
            raise Unreachable("Redis does not answer")
        return busy(name)

    monkeypatch.setattr(mill.queue, "busy", away_at_first)

    def work(_: object) -> None:
        if next(failures, None) is None:
            mill.work()

    ended = wait(job, timeout=10, connection=mill.connection, progress=work)
    assert ended.state == "finished"
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "waiting for: Redis does not answer"
    ]


def test_wait_gives_up_only_when_told(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(2), connection=mill.connection)
    with pytest.raises(NotFinished, match=r"not finished after 0.2 seconds: 0 of 1 chunks"):
        wait(job, timeout=0.2, connection=mill.connection)
    with pytest.raises(NotFound):
        wait("never", connection=mill.connection)


# --- retention ---------------------------------------------------------------------------------


def test_a_job_goes_when_its_days_are_over(mill: FakeMill, scans: Scans) -> None:
    kept = submit(scans(1), connection=mill.connection)
    job = submit(scans(1), retention_days=3, connection=mill.connection)
    mill.work()
    finished = status(job, connection=mill.connection).finished
    assert retention.expire(mill.store, mill.queue, finished + 2.9 * DAY) == 0
    assert retention.expire(mill.store, mill.queue, finished + 4.1 * DAY) == 1
    with pytest.raises(NotFound):
        status(job, connection=mill.connection)
    assert list(mill.store.list(names.job_root(job))) == []
    assert list(mill.store.list(names.EXPIRY)) == []
    assert status(kept, connection=mill.connection).state == "finished"


def test_a_name_used_again_does_not_inherit_the_end_of_the_first(
    mill: FakeMill, scans: Scans
) -> None:
    submit(scans(1), name="a", retention_days=1, connection=mill.connection)
    mill.work()
    first = status("a", connection=mill.connection).finished
    delete("a", connection=mill.connection)
    submit(scans(1), name="a", retention_days=30, connection=mill.connection)
    mill.work()
    assert retention.expire(mill.store, mill.queue, first + 5 * DAY) == 0
    assert status("a", connection=mill.connection).state == "finished"
    assert retention.expire(mill.store, mill.queue, first + 32 * DAY) == 1


def test_a_sweep_looks_for_what_is_due(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(scans(1), retention_days=1, connection=mill.connection)
    mill.work()
    later = status(job, connection=mill.connection).finished + 3 * DAY
    monkeypatch.setattr("inkmill.retention.time.time", lambda: later)
    sweep(mill)
    assert not exists(mill.store, names.job_record(job))


def test_keeping_the_values_deletes_the_scans(mill: FakeMill, scans: Scans) -> None:
    folder = scans(4)
    submit(folder, name="a", chunk_size=2, connection=mill.connection)
    mill.work(limit=1)
    delete("a", keep_values=True, connection=mill.connection)
    left = {entry.key.split("/")[2] for entry in mill.store.list(names.job_root("a"))}
    assert left == {"job.json", "results", "summary.json", "cancelled.json"}
    assert len(list(results("a", connection=mill.connection))) == 4


def test_a_finished_job_without_its_scans_is_still_the_same(mill: FakeMill, scans: Scans) -> None:
    folder = scans(4)
    submit(folder, name="a", connection=mill.connection)
    mill.work()
    delete("a", keep_values=True, connection=mill.connection)
    notes: list[str] = []
    submit(
        folder,
        name="a",
        connection=mill.connection,
        progress=lambda now: notes.append(now.note),
    )
    assert notes[-1].endswith("nothing to do")
    assert Job.decode(mill.store.get(names.job_record("a")).data).sealed
