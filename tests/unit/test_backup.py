"""Copies of a bucket in which jobs go on meanwhile, and what comes back of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore, ObjectInfo, Stored
from inkmill.errors import UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.lifecycle.lookup import job_ids, load_job
from inkmill.producer import backup, delete, submit
from tests.fakes import DyingStore, FakeCluster, Killed


class Busy(DyingStore):
    """A store in which something else happens before each read of the copy."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[str], object] | None = None

    def get(self, key: str) -> Stored:
        if (happens := self.meanwhile) is not None:
            self.meanwhile = None  # what happens reads, too
            happens(key)
            self.meanwhile = happens
        return super().get(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Key by key, as S3 does page by page: what came meanwhile, further on, is listed."""
        while entry := next(iter(super().list(prefix, after=after)), None):
            yield entry
            after = entry.key


@pytest.fixture(autouse=True)
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object after another, so that a run can be told from another."""
    monkeypatch.setattr(backup, "overlapped", lambda work, things, **_: map(work, things))


def restored(target: MemoryStore) -> FakeCluster:
    """The bucket with an empty Redis, and workers until nothing is open any more."""
    cluster = FakeCluster(target)
    backup.reopen(target)
    for _ in range(20):
        reconcile.sweep(target, cluster.queue, 0.0, force=True)
        cluster.work()
    return cluster


def finished(cluster: FakeCluster, job: str) -> None:
    found = judge(cluster.store, cluster.queue, job)
    assert found.problems == ()
    assert len(found.rows) == found.items > 0


@pytest.mark.parametrize("between", [1, 2, 5])
def test_a_copy_made_while_jobs_run_gives_each_input_one_row(
    scans: Callable[..., Path], between: int
) -> None:
    """Chunks are read from the last on; one submit ends meanwhile, another one begins."""
    store, target = Busy(), MemoryStore()
    cluster = FakeCluster(store)
    options = {"chunk_size": 2, "connection": cluster.connection}
    submit(scans(1, "single"), **options)  # type: ignore[arg-type]
    for name in ("running", "other"):
        submit(scans(9, name), name=name, **options)  # type: ignore[arg-type]
    store.arm(6)
    with pytest.raises(Killed):
        submit(scans(9, "half"), name="half", **options)  # type: ignore[arg-type]
    store.arm(None)
    half = names.job_record(cluster.id("half"))
    waiting = list(iter(cluster.queue.take, None))
    seen = list[str]()

    def meanwhile(key: str) -> None:
        seen.append(key)
        if key == half:
            submit(scans(9, "half"), name="half", **options)  # type: ignore[arg-type]
        if len(seen) == 12:
            submit(scans(3, "late"), name="late", **options)  # type: ignore[arg-type]
        if len(seen) % between == 0 and waiting:
            cluster.read(waiting.pop())
            reconcile.sweep(store, cluster.queue, 0.0, force=True)

    store.meanwhile = meanwhile
    backup.copy(store, target)
    store.meanwhile = None
    assert half in seen
    assert cluster.worked, "nothing happened meanwhile"
    again = restored(target)
    # What began after the copy had passed is submitted again, as its producer would.
    submit(scans(3, "late"), name="late", chunk_size=2, connection=again.connection)
    again.work()
    jobs = list(job_ids(target))
    assert len(jobs) == 5
    for job in jobs:
        finished(again, job)


def test_a_job_whose_submit_was_running_is_completed_by_the_same_submit(
    scans: Callable[..., Path],
) -> None:
    store, target, folder = DyingStore(), MemoryStore(), scans(8)
    options = {"name": "survey", "chunk_size": 2}
    store.arm(6)
    with pytest.raises(Killed):
        submit(folder, connection=FakeCluster(store).connection, **options)  # type: ignore[arg-type]
    backup.copy(store, target)
    cluster = restored(target)
    assert not load_job(target, "survey").sealed
    submit(folder, connection=cluster.connection, **options)  # type: ignore[arg-type]
    cluster.work()
    finished(cluster, "survey")


def test_the_next_copy_takes_what_changed_and_removes_what_was_deleted(
    scans: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, target = FakeCluster(), MemoryStore()
    for name in ("kept", "gone"):
        submit(scans(4, name), name=name, connection=cluster.connection)
    cluster.work()
    first = backup.copy(cluster.store, target)
    assert (first.kept, first.removed) == (0, 0)
    monkeypatch.setattr(backup, "_CLOCKS", -1.0)  # as if an hour had passed
    delete("gone", connection=cluster.connection)
    again = backup.copy(cluster.store, target)
    assert (again.copied, again.kept) == (0, first.copied - again.removed)
    assert [entry.key for entry in target.list("")] == [
        entry.key for entry in cluster.store.list("")
    ]
    with pytest.raises(UsageError, match="already holds jobs: restore into an empty bucket"):
        backup.check_empty(target)


def test_damage_is_named_and_an_older_good_copy_is_kept(scans: Callable[..., Path]) -> None:
    store, target = MemoryStore(), MemoryStore()
    cluster = FakeCluster(store)
    job = submit(scans(2), connection=cluster.connection)
    backup.copy(store, target)
    key = names.chunk(job, 0)
    stored, modified = store._objects[key]
    store._objects[key] = (Stored(b"x" * len(stored.data), stored.etag, stored.metadata), modified)
    with pytest.raises(UsageError, match=f"1 objects are damaged .* object {key}"):
        backup.copy(store, target)
    assert target.get(key).data == stored.data
