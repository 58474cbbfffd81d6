"""Jobs of one image: few requests, and the same promise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore, exists
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.summary import load_summary
from inkmill.producer import cancel, delete, results, status, submit, wait
from inkmill.worker.chunk import run
from inkmill.worker.chunk.context import Context
from tests.delivery import worker_of
from tests.fakes import DyingStore, FakeCluster, Killed, tiff

Scans = Callable[..., Path]


class CountingStore(DyingStore):
    """Counts requests by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()

    def get(self, key: str) -> Any:
        self.requests["get"] += 1
        return super().get(key)

    def head(self, key: str) -> Any:
        self.requests["head"] += 1
        return super().head(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Any]:
        self.requests["list"] += 1
        return super().list(prefix, after=after)

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        self.requests["put"] += 1
        return super().put(key, data, **conditions)

    def delete(self, keys: Any) -> None:
        self.requests["delete"] += 1
        super().delete(keys)

    def counted(self) -> dict[str, int]:
        """The requests since the last call."""
        found, self.requests = dict(self.requests), Counter()
        return found


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def cluster(store: CountingStore) -> FakeCluster:
    return FakeCluster(store)


@pytest.fixture
def worker(cluster: FakeCluster) -> Context:
    """The product's worker, with stand-ins for engines and models."""
    return worker_of(cluster.settings, cluster.store, cluster.queue)


def work(cluster: FakeCluster, worker: Context) -> int:
    """Read all chunks that are queued; returns how many there were."""
    count = 0
    while (message := cluster.queue.take()) is not None:
        run.run(worker, message)
        count += 1
    return count


def test_few_requests(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    folder = scans(1)
    submit(folder, connection=cluster.connection)  # asks for the latest version, for a second
    work(cluster, worker)
    store.counted()
    job = submit(folder, connection=cluster.connection)
    assert store.counted() == {"put": 3}
    assert work(cluster, worker) == 1
    assert store.counted() == {"get": 2, "put": 1, "head": 1}
    worker.markers.flush()
    assert store.counted() == {"delete": 1}
    assert wait(job, timeout=5, connection=cluster.connection).state == "finished"
    assert store.counted() == {"head": 1}
    (row,) = results(job, connection=cluster.connection)
    assert store.counted() == {"get": 1}
    assert row.digit
    assert judge(store, cluster.queue, job).problems == ()


def test_markers_of_many_jobs_go_together(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    folder = scans(1)
    for _ in range(20):
        submit(folder, connection=cluster.connection)
    work(cluster, worker)
    store.counted()
    worker.markers.flush()
    assert store.counted() == {"delete": 1}
    assert list(store.list(names.OPEN)) == []


def test_a_marker_that_stayed_goes_with_a_sweep(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    work(cluster, worker)  # and the worker dies before it takes the marker away
    assert exists(store, names.open_marker(job))
    reconcile.sweep(store, cluster.queue, 0.0, force=True)
    assert judge(store, cluster.queue, job).problems == ()


def test_killed_at_each_write_it_is_a_whole_job_or_none(
    store: CountingStore,
    cluster: FakeCluster,
    worker: Context,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = scans(1)
    monkeypatch.setattr("inkmill.lifecycle.retention.TAKE_OVER_SECONDS", 0.0)
    for step in range(4):
        job = f"20261129-120000-{step:016x}"
        monkeypatch.setattr(
            sys.modules["inkmill.producer.submission.submission"], "new_id", lambda j=job: j
        )
        store.arm(step)
        try:
            submit(folder, connection=cluster.connection)
        except Killed:
            assert step < 3
        store.arm(None)
        cluster.queue.client.flushall()
        for _ in range(2):
            reconcile.sweep(store, cluster.queue, 0.0, force=True)
            work(cluster, worker)
        if exists(store, names.job_record(job)):
            assert step == 3
            assert [row.digit for row in results(job, connection=cluster.connection)]
        else:  # a sweep found the marker
            assert list(store.list(names.job_root(job))) == []
            assert not exists(store, names.open_marker(job))


@pytest.mark.parametrize("requests", range(5))
def test_a_worker_killed_at_each_write(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans, requests: int
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    message = cluster.queue.take()
    assert message is not None
    store.arm(requests)
    try:
        run.run(worker, message)
        worker.markers.flush()
    except Killed:
        pass
    store.arm(None)
    run.run(worker, message)  # delivered again
    reconcile.sweep(store, cluster.queue, 0.0, force=True)
    assert judge(store, cluster.queue, job).problems == ()


def test_a_second_delivery_leaves_nothing(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    message = cluster.queue.take()
    assert message is not None
    run.run(worker, message)
    first = store.get(names.result(job, 0)).data
    run.run(worker, message)
    worker.markers.flush()
    assert store.get(names.result(job, 0)).data == first
    assert judge(store, cluster.queue, job).problems == ()
    delete(job, connection=cluster.connection)
    run.run(worker, message)  # far too late
    assert list(store.list(names.job_root(job))) == []
    assert cluster.queue.hints(job) == []


def test_the_end_is_told_to_all_who_wait(
    cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    assert not cluster.queue.wait_end(job, 0.01)
    work(cluster, worker)
    assert cluster.queue.wait_end(job, 5.0)
    assert cluster.queue.wait_end(job, 5.0)
    assert cluster.queue.client.ttl(names.ended(job)) > 0


def test_cancelled_before_it_was_read(cluster: FakeCluster, worker: Context, scans: Scans) -> None:
    job = submit(scans(1), connection=cluster.connection)
    assert cancel(job, connection=cluster.connection) == 1
    work(cluster, worker)
    assert status(job, connection=cluster.connection).state == "cancelled"
    assert wait(job, timeout=5, connection=cluster.connection).codes == {"CANCELLED": 1}
    assert judge(cluster.store, cluster.queue, job).problems == ()


def test_days_of_retention_count_for_small_jobs(
    store: CountingStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    submit(scans(1), retention_days=3, connection=cluster.connection)
    work(cluster, worker)
    assert len(list(store.list(names.EXPIRY))) == 1


def test_a_job_that_an_older_version_finished_has_its_summary(
    cluster: FakeCluster, scans: Scans
) -> None:
    """The quick worker of the fakes writes rows without a summary, as workers once did."""
    job = submit(scans(1), connection=cluster.connection)
    cluster.work()
    assert exists(cluster.store, names.job_summary(job))
    summary = load_summary(cluster.store, load_job(cluster.store, job))
    assert summary is not None
    assert summary.rows == 1


def test_a_sweep_recalls_attempts_that_redis_forgot(
    cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    cluster.store.put(names.attempt(job, 0, 3), b"{}")
    cluster.store.put(names.suspect(job, 0), b"{}")
    cluster.queue.client.flushall()
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    assert cluster.queue.begin(job, 0, "attempt1").number == 4


def test_markers_stay_until_a_sweep_while_the_store_is_away(
    cluster: FakeCluster, worker: Context, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.errors import Unreachable

    job = submit(scans(1), connection=cluster.connection)
    work(cluster, worker)

    def away(*_: object) -> None:
        raise Unreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "delete", away)
        worker.markers.flush()
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    assert not exists(cluster.store, names.open_marker(job))


def test_killed_while_it_stores_pages_it_can_be_found(
    store: CountingStore, cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of several pages is stored before its chunk: by then a record leads to it."""
    folder = scans([])
    folder.mkdir()
    (folder / "doc.tif").write_bytes(tiff(3))
    monkeypatch.setattr("inkmill.lifecycle.retention.TAKE_OVER_SECONDS", 0.0)
    for step in range(6):
        job = f"20261129-120000-{step:016x}"
        monkeypatch.setattr(
            sys.modules["inkmill.producer.submission.submission"], "new_id", lambda j=job: j
        )
        store.arm(step)
        try:
            submit(folder, connection=cluster.connection)
        except Killed:
            assert step < 5
        store.arm(None)
        reconcile.sweep(store, cluster.queue, 0.0, force=True)
        if list(store.list(names.job_root(job))):
            assert exists(store, names.job_record(job))
            submit(folder, name=job, connection=cluster.connection)
            cluster.work()
            assert len(list(results(job, connection=cluster.connection))) == 3


def test_a_slow_upload_is_not_taken_for_remains(
    store: CountingStore,
    cluster: FakeCluster,
    worker: Context,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = CountingStore.put

    def slow(self: CountingStore, key: str, data: bytes, **conditions: Any) -> str:
        etag = put(self, key, data, **conditions)
        if "/chunks/" in key:  # it took so long that a sweep comes first
            reconcile.sweep(store, cluster.queue, 0.0, force=True)
        return etag

    folder = scans(1)
    monkeypatch.setattr("inkmill.lifecycle.retention.TAKE_OVER_SECONDS", 0.0)
    monkeypatch.setattr(sys.modules["inkmill.producer.submission.submission"], "_SLOW_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(CountingStore, "put", slow)
        job = submit(folder, connection=cluster.connection)
    cluster.work()
    assert len(list(results(job, connection=cluster.connection))) == 1
    assert judge(store, cluster.queue, job).problems == ()
