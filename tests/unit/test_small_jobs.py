"""Jobs of one image: few requests, and the same promise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import names, reconcile
from inkmill.producer import cancel, delete, results, status, submit, wait
from inkmill.promise import judge
from inkmill.store import MemoryStore, exists
from inkmill.summary import load_summary
from inkmill.worker import chunk
from inkmill.worker.mill import Mill
from tests.delivery import StandInEngines, StandInModels
from tests.fakes import DyingStore, FakeMill, Killed, tiff

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
def mill(store: CountingStore) -> FakeMill:
    return FakeMill(store)


@pytest.fixture
def worker(mill: FakeMill) -> Mill:
    """The product's worker, with stand-ins for engines and models."""
    engines, models = cast(Any, StandInEngines(set())), cast(Any, StandInModels())
    return Mill(mill.settings, mill.store, mill.queue, engines, models, cast(Any, None))


def work(mill: FakeMill, worker: Mill) -> int:
    """Read all chunks that are queued; returns how many there were."""
    count = 0
    while (message := mill.queue.take()) is not None:
        chunk.run(worker, message)
        count += 1
    return count


def test_few_requests(store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans) -> None:
    folder = scans(1)
    submit(folder, connection=mill.connection)  # asks for the latest version, for a second
    work(mill, worker)
    store.counted()
    job = submit(folder, connection=mill.connection)
    assert store.counted() == {"put": 3}
    assert work(mill, worker) == 1
    assert store.counted() == {"get": 3, "put": 1}
    worker.markers.flush()
    assert store.counted() == {"delete": 1}
    assert wait(job, timeout=5, connection=mill.connection).state == "finished"
    assert store.counted() == {"head": 1}
    (row,) = results(job, connection=mill.connection)
    assert store.counted() == {"get": 1}
    assert row.digit
    assert judge(store, mill.queue, job).problems == ()


def test_markers_of_many_jobs_go_together(
    store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans
) -> None:
    folder = scans(1)
    for _ in range(20):
        submit(folder, connection=mill.connection)
    work(mill, worker)
    store.counted()
    worker.markers.flush()
    assert store.counted() == {"delete": 1}
    assert list(store.list(names.OPEN)) == []


def test_a_marker_that_stayed_goes_with_a_sweep(
    store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans
) -> None:
    job = submit(scans(1), connection=mill.connection)
    work(mill, worker)  # and the worker dies before it takes the marker away
    assert exists(store, names.open_marker(job))
    reconcile.sweep(store, mill.queue, 0.0, force=True)
    assert judge(store, mill.queue, job).problems == ()


def test_killed_at_each_write_it_is_a_whole_job_or_none(
    store: CountingStore,
    mill: FakeMill,
    worker: Mill,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = scans(1)
    monkeypatch.setattr("inkmill.retention.TAKE_OVER_SECONDS", 0.0)
    for step in range(4):
        job = f"id-{step}"
        monkeypatch.setattr(sys.modules["inkmill.producer.submission"], "new_id", lambda j=job: j)
        store.arm(step)
        try:
            submit(folder, connection=mill.connection)
        except Killed:
            assert step < 3
        store.arm(None)
        mill.queue.client.flushall()
        for _ in range(2):
            reconcile.sweep(store, mill.queue, 0.0, force=True)
            work(mill, worker)
        if exists(store, names.job_record(job)):
            assert step == 3
            assert [row.digit for row in results(job, connection=mill.connection)]
        else:  # a sweep found the marker
            assert list(store.list(names.job_root(job))) == []
            assert not exists(store, names.open_marker(job))


@pytest.mark.parametrize("requests", range(5))
def test_a_worker_killed_at_each_write(
    store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans, requests: int
) -> None:
    job = submit(scans(1), connection=mill.connection)
    message = mill.queue.take()
    assert message is not None
    store.arm(requests)
    try:
        chunk.run(worker, message)
        worker.markers.flush()
    except Killed:
        pass
    store.arm(None)
    chunk.run(worker, message)  # delivered again
    reconcile.sweep(store, mill.queue, 0.0, force=True)
    assert judge(store, mill.queue, job).problems == ()


def test_a_second_delivery_leaves_nothing(
    store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans
) -> None:
    job = submit(scans(1), connection=mill.connection)
    message = mill.queue.take()
    assert message is not None
    chunk.run(worker, message)
    first = store.get(names.result(job, 0)).data
    chunk.run(worker, message)
    worker.markers.flush()
    assert store.get(names.result(job, 0)).data == first
    assert judge(store, mill.queue, job).problems == ()
    delete(job, connection=mill.connection)
    chunk.run(worker, message)  # far too late
    assert list(store.list(names.job_root(job))) == []
    assert mill.queue.hints(job) == []


def test_the_end_is_told_to_all_who_wait(mill: FakeMill, worker: Mill, scans: Scans) -> None:
    job = submit(scans(1), connection=mill.connection)
    assert not mill.queue.wait_end(job, 0.01)
    work(mill, worker)
    assert mill.queue.wait_end(job, 5.0)
    assert mill.queue.wait_end(job, 5.0)
    assert mill.queue.client.ttl(names.ended(job)) > 0


def test_cancelled_before_it_was_read(mill: FakeMill, worker: Mill, scans: Scans) -> None:
    job = submit(scans(1), connection=mill.connection)
    assert cancel(job, connection=mill.connection) == 1
    work(mill, worker)
    assert status(job, connection=mill.connection).state == "cancelled"
    assert wait(job, timeout=5, connection=mill.connection).codes == {"CANCELLED": 1}
    assert judge(mill.store, mill.queue, job).problems == ()


def test_days_of_retention_count_for_small_jobs(
    store: CountingStore, mill: FakeMill, worker: Mill, scans: Scans
) -> None:
    submit(scans(1), retention_days=3, connection=mill.connection)
    work(mill, worker)
    assert len(list(store.list(names.EXPIRY))) == 1


def test_a_job_that_an_older_version_finished_has_its_summary(mill: FakeMill, scans: Scans) -> None:
    """The quick worker of the fakes writes rows without a summary, as workers once did."""
    job = submit(scans(1), connection=mill.connection)
    mill.work()
    assert exists(mill.store, names.job_summary(job))
    summary = load_summary(mill.store, job)
    assert summary is not None
    assert summary.rows == 1


def test_a_sweep_recalls_attempts_that_redis_forgot(
    mill: FakeMill, worker: Mill, scans: Scans
) -> None:
    job = submit(scans(1), connection=mill.connection)
    mill.store.put(names.attempt(job, 0, 3), b"{}")
    mill.store.put(names.suspect(job, 0), b"{}")
    mill.queue.client.flushall()
    reconcile.sweep(mill.store, mill.queue, 0.0, force=True)
    assert mill.queue.begin(job, 0) == 4


def test_markers_stay_until_a_sweep_while_the_store_is_away(
    mill: FakeMill, worker: Mill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.errors import Unreachable

    job = submit(scans(1), connection=mill.connection)
    work(mill, worker)

    def away(*_: object) -> None:
        raise Unreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "delete", away)
        worker.markers.flush()
    reconcile.sweep(mill.store, mill.queue, 0.0, force=True)
    assert not exists(mill.store, names.open_marker(job))


def test_killed_while_it_stores_pages_it_can_be_found(
    store: CountingStore, mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of several pages is stored before its chunk: by then a record leads to it."""
    folder = scans([])
    folder.mkdir()
    (folder / "doc.tif").write_bytes(tiff(3))
    monkeypatch.setattr("inkmill.retention.TAKE_OVER_SECONDS", 0.0)
    for step in range(6):
        job = f"id-{step}"
        monkeypatch.setattr(sys.modules["inkmill.producer.submission"], "new_id", lambda j=job: j)
        store.arm(step)
        try:
            submit(folder, connection=mill.connection)
        except Killed:
            assert step < 5
        store.arm(None)
        reconcile.sweep(store, mill.queue, 0.0, force=True)
        if list(store.list(names.job_root(job))):
            assert exists(store, names.job_record(job))
            submit(folder, name=job, connection=mill.connection)
            mill.work()
            assert len(list(results(job, connection=mill.connection))) == 3


def test_a_slow_upload_is_not_taken_for_remains(
    store: CountingStore,
    mill: FakeMill,
    worker: Mill,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = CountingStore.put

    def slow(self: CountingStore, key: str, data: bytes, **conditions: Any) -> str:
        etag = put(self, key, data, **conditions)
        if "/chunks/" in key:  # it took so long that a sweep comes first
            reconcile.sweep(store, mill.queue, 0.0, force=True)
        return etag

    folder = scans(1)
    monkeypatch.setattr("inkmill.retention.TAKE_OVER_SECONDS", 0.0)
    monkeypatch.setattr(sys.modules["inkmill.producer.submission"], "_SLOW_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(CountingStore, "put", slow)
        job = submit(folder, connection=mill.connection)
    mill.work()
    assert len(list(results(job, connection=mill.connection))) == 1
    assert judge(store, mill.queue, job).problems == ()
