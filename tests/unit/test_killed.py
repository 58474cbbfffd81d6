"""A producer that is killed at any write, and the same call again: nothing lost, nothing twice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.store import exists
from inkmill.codes import Code
from inkmill.errors import JobMismatch, NotFound
from inkmill.lifecycle import reconcile
from inkmill.producer import cancel, delete, results, resume, status, submit
from tests.fakes import DyingStore, FakeCluster, Killed, png

Scans = Callable[..., Path]
#: More writes than any of these calls makes.
MANY = 40
#: Below these nothing may be left of a job that was deleted.
JOB_OBJECTS = (names.JOBS, names.OPEN, names.NAMES)


@pytest.fixture
def store() -> DyingStore:
    return DyingStore()


@pytest.fixture
def cluster(store: DyingStore) -> FakeCluster:
    return FakeCluster(store)


def killed_at(store: DyingStore, step: int, call: Callable[[], object]) -> bool:
    """Make the call and kill it at its step-th write; whether it got that far."""
    store.arm(step)
    try:
        call()
    except Killed:
        return True
    finally:
        store.arm(None)
    return False


def every_step(call: Callable[[int], bool]) -> None:
    """Do something for the 0th, 1st, 2nd ... write until there is none left."""
    killed = [call(step) for step in range(MANY)]
    assert killed[0]
    assert not killed[-1]


def read_once(cluster: FakeCluster, job: str, sources: list[str]) -> None:
    """Every item has exactly one row, and every chunk was read by one worker only."""
    while cluster.work() or reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True):
        pass
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    rows = list(results(job, connection=cluster.connection))
    assert [row.source for row in rows] == sources
    assert [row.item for row in rows] == list(range(len(rows)))
    mine = [chunk for each, chunk in cluster.worked if each == cluster.id(job)]
    assert len(mine) == len(set(mine))
    assert not exists(cluster.store, names.open_marker(cluster.id(job)))


@pytest.mark.parametrize("worked_between", [False, True])
def test_submit(
    store: DyingStore, cluster: FakeCluster, scans: Scans, worked_between: bool
) -> None:
    folder = scans(10)
    listed = [f"{number:03d}.png" for number in range(10)]

    def once(step: int) -> bool:
        job = f"job-{step}"

        def call() -> str:
            return submit(folder, name=job, chunk_size=2, connection=cluster.connection)

        killed = killed_at(store, step, call)
        if worked_between:
            cluster.work()
        call()
        read_once(cluster, job, listed)
        return killed

    every_step(once)


def test_remains_of_a_submit_that_never_got_its_name_are_swept(
    store: DyingStore, cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)

    def call() -> str:
        return submit(folder, name="a", connection=cluster.connection)

    assert killed_at(store, 2, call)
    (left,) = store.folders(names.JOBS)
    assert not exists(store, names.name_pointer("a"))
    call()
    reconcile.sweep(store, cluster.queue, 0.0, force=True)
    assert left in store.folders(names.JOBS), "its submit may still be at work"
    monkeypatch.setattr("inkmill.lifecycle.retention.TAKE_OVER_SECONDS", 0.0)
    read_once(cluster, "a", ["000.png", "001.png"])
    assert [*store.folders(names.JOBS)] == [names.job_root(cluster.id("a"))]
    assert not list(store.list(names.OPEN))


def test_submit_without_a_name_can_be_gone_on_with_by_its_id(
    store: DyingStore, cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(6)

    def once(step: int) -> bool:
        job = f"20261129-120000-{step:016x}"
        monkeypatch.setattr(
            sys.modules["inkmill.producer.submission.submission"], "new_id", lambda: job
        )
        killed = killed_at(
            store, step, lambda: submit(folder, chunk_size=2, connection=cluster.connection)
        )
        if not exists(store, names.job_record(job)):
            with pytest.raises(NotFound, match=job):
                submit(folder, name=job, chunk_size=2, connection=cluster.connection)
            return killed
        submit(folder, name=job, chunk_size=2, connection=cluster.connection)
        read_once(cluster, job, [f"{number:03d}.png" for number in range(6)])
        return killed

    every_step(once)


def test_a_stored_job_whose_messages_were_lost(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(10), name="a", chunk_size=1, connection=cluster.connection)
    cluster.work(limit=4)
    cluster.queue.client.flushall()
    assert resume("a", connection=cluster.connection) == 6
    cluster.work()
    assert sorted(chunk for _, chunk in cluster.worked) == list(range(10))
    assert resume("a", connection=cluster.connection) == 0


def test_cancel(store: DyingStore, cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(10)

    def once(step: int) -> bool:
        job = f"job-{step}"
        submit(folder, name=job, chunk_size=2, connection=cluster.connection)
        cluster.work(limit=2)
        killed = killed_at(store, step, lambda: cancel(job, connection=cluster.connection))
        cancel(job, connection=cluster.connection)
        rows = list(results(job, connection=cluster.connection))
        assert len(rows) == 10
        assert sum(row.code is Code.CANCELLED for row in rows) == 6
        assert status(job, connection=cluster.connection).state == "cancelled"
        cluster.queue.client.flushall()
        return killed

    every_step(once)


def test_cancel_of_a_job_whose_submit_was_killed(
    store: DyingStore, cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(10)

    def once(step: int) -> bool:
        job = f"job-{step}"
        killed = killed_at(
            store,
            step,
            lambda: submit(folder, name=job, chunk_size=2, connection=cluster.connection),
        )
        if not exists(store, names.name_pointer(job)):
            with pytest.raises(NotFound):
                cancel(job, connection=cluster.connection)
            return killed
        cluster.work(limit=1)
        before = [row.source for row in results(job, partial=True, connection=cluster.connection)]
        cancel(job, connection=cluster.connection)
        rows = list(results(job, connection=cluster.connection))
        assert [row.source for row in rows if row.code is not Code.CANCELLED] == before
        assert len({row.item for row in rows}) == len(rows)
        cluster.queue.client.flushall()
        return killed

    every_step(once)


@pytest.mark.parametrize("running", [False, True])
def test_delete(store: DyingStore, cluster: FakeCluster, scans: Scans, running: bool) -> None:
    folder = scans(10)

    def once(step: int) -> bool:
        job = f"job-{step}"
        submit(folder, name=job, chunk_size=2, connection=cluster.connection)
        identity = cluster.id(job)
        cluster.work(limit=2 if running else None)
        killed = killed_at(store, step, lambda: delete(job, connection=cluster.connection))
        try:
            delete(job, connection=cluster.connection)
        except NotFound:  # its name was given up already, and it can be named by its id
            assert not killed or exists(store, names.open_marker(identity))
        if killed:
            with suppress(NotFound):
                delete(identity, connection=cluster.connection)
        assert [entry.key for entry in store.list("") if entry.key.startswith(JOB_OBJECTS)] == []
        cluster.queue.client.flushall()
        return killed

    every_step(once)


def test_a_delete_that_nobody_repeats_is_carried_on_by_a_sweep(
    store: DyingStore, cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(scans(4), name="a", chunk_size=2, connection=cluster.connection)
    root = names.job_root(cluster.id("a"))
    assert killed_at(store, 2, lambda: delete("a", connection=cluster.connection))
    assert list(store.list(root))
    reconcile.sweep(store, cluster.queue, 0.0, force=True)
    assert list(store.list(root)), "somebody may still be at work"
    monkeypatch.setattr("inkmill.lifecycle.retention.TAKE_OVER_SECONDS", 0.0)
    reconcile.sweep(store, cluster.queue, 0.0, force=True)
    assert [entry.key for entry in store.list("") if entry.key.startswith(JOB_OBJECTS)] == []


def test_other_images_under_the_name_of_a_half_stored_job_leave_nothing_in_it(
    store: DyingStore, cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(60)

    def call() -> str:
        return submit(folder, name="a", chunk_size=1, connection=cluster.connection)

    assert killed_at(store, 30, call)
    stored = sorted(entry.key for entry in store.list(names.chunks(cluster.id("a"))))
    before = (folder / "003.png").read_bytes()
    (folder / "003.png").write_bytes(png(999))
    with pytest.raises(JobMismatch, match=r"inputs differ: 003\.png changed"):
        call()
    assert sorted(entry.key for entry in store.list(names.chunks(cluster.id("a")))) == stored
    (folder / "003.png").write_bytes(before)
    call()
    read_once(cluster, "a", [f"{number:03d}.png" for number in range(60)])
