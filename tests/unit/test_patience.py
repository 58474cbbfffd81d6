"""Servers that are away while a worker reads: it waits, and what counts counts once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import names
from inkmill.backends.queue import Begun, Queue
from inkmill.backends.store import MemoryStore
from inkmill.errors import PreconditionFailed, ShuttingDown, StoreDenied, Unreachable
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.producer import results, submit
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.worker import patience
from inkmill.worker.chunk import run
from inkmill.worker.chunk.context import Context
from inkmill.worker.chunk.isolation import IsolationState
from inkmill.worker.link import ChunkResult, Task
from inkmill.worker.live_models import LiveModels
from inkmill.worker.patience import Patience, PatientQueue, PatientStore
from tests.delivery import StandInEngines, worker_of
from tests.fakes import FakeCluster, FakeQueue, patient

Scans = Callable[..., Path]


class FlakyStore(MemoryStore):
    """Fails some requests that `away` names: instead of carrying them out, or afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: list[list[Any]] = []
        self.requests: list[tuple[str, str]] = []

    def away(
        self, request: str, key: str = "", times: int = 5, *, answer_lost: bool = False
    ) -> None:
        """So many requests of that name fail whose key contains ``key``."""
        self._faults.append([request, key, times, answer_lost])

    def _perform(self, request: str, key: str, step: Callable[[], Any]) -> Any:
        self.requests.append((request, key))
        for fault in self._faults:
            if fault[0] == request and fault[1] in key and fault[2]:
                fault[2] -= 1
                if fault[3]:
                    step()
                raise Unreachable(f"{request} {key}: the store is away")
        return step()

    def get(self, key: str) -> Any:
        return self._perform("get", key, lambda: super(FlakyStore, self).get(key))

    def put(self, key: str, data: bytes, **options: Any) -> str:
        etag: str = self._perform(
            "put", key, lambda: super(FlakyStore, self).put(key, data, **options)
        )
        return etag

    def delete(self, keys: Iterable[str]) -> None:
        listed = list(keys)
        self._perform("delete", listed[0], lambda: super(FlakyStore, self).delete(listed))

    def delete_if_match(self, key: str, etag: str) -> None:
        self._perform(
            "delete_if_match", key, lambda: super(FlakyStore, self).delete_if_match(key, etag)
        )

    def list(self, prefix: str, *, after: str = "") -> Iterator[Any]:
        found: Iterator[Any] = self._perform(
            "list", prefix, lambda: super(FlakyStore, self).list(prefix, after=after)
        )
        return found


class WatchedEngines(StandInEngines):
    """Says which chunks were read item by item."""

    def __init__(self) -> None:
        super().__init__(set())
        self.isolated = 0

    def read_one_by_one(
        self, task: Task, files: object, before: Callable[[int], None]
    ) -> ChunkResult:
        self.isolated += 1
        return super().read_one_by_one(task, files, before)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSE", 0.001)
    monkeypatch.setattr(patience, "_LONGEST_PAUSE", 0.002)


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore()


@pytest.fixture
def cluster(store: FlakyStore) -> FakeCluster:
    return FakeCluster(store)


@pytest.fixture
def engines() -> WatchedEngines:
    return WatchedEngines()


@pytest.fixture
def worker(cluster: FakeCluster, engines: WatchedEngines) -> Context:
    return worker_of(cluster.settings, cluster.store, cluster.queue, engines)


@pytest.fixture
def message(cluster: FakeCluster, scans: Scans) -> Message:
    """The first message of a job of two chunks."""
    submit(scans(4), name="job", chunk_size=2, connection=cluster.connection)
    taken = cluster.queue.take()
    assert taken is not None
    return taken


def died_before(cluster: FakeCluster, message: Message, attempts: int) -> None:
    """So many workers died of the chunk."""
    for number in range(attempts):
        cluster.queue.begin(message.job, message.chunk, f"dead{number:04d}")


def work(cluster: FakeCluster, worker: Context) -> None:
    """Read what is queued."""
    while (message := cluster.queue.take()) is not None:
        run.run(worker, message)
    worker.markers.flush()


def finish(cluster: FakeCluster, worker: Context, job: str) -> None:
    """Read what is left; the job keeps its promise, and each image has its digit."""
    work(cluster, worker)
    assert judge(cluster.store, cluster.queue, job).problems == ()
    assert all(row.digit for row in results(job, connection=cluster.connection))


@pytest.mark.parametrize(
    "faults",
    [
        [("list", False)],
        [("put", False)],
        [("put", True)],
        [("list", False), ("put", True)],
    ],
)
def test_the_second_attempt_stays_the_second(
    store: FlakyStore,
    cluster: FakeCluster,
    worker: Context,
    engines: WatchedEngines,
    message: Message,
    faults: list[tuple[str, bool]],
) -> None:
    died_before(cluster, message, 1)
    for request, lost in faults:
        store.away(request, names.attempts(message.job), answer_lost=lost)
    run.run(worker, message)
    assert [entry.key for entry in store.list(names.attempts(message.job))] == [
        names.attempt(message.job, message.chunk, 2)
    ]
    assert engines.isolated == 0
    finish(cluster, worker, message.job)


@pytest.mark.parametrize("lost", [True, False])
def test_a_suspected_chunk_is_not_quarantined_by_an_outage(
    store: FlakyStore,
    cluster: FakeCluster,
    worker: Context,
    engines: WatchedEngines,
    message: Message,
    lost: bool,
) -> None:
    died_before(cluster, message, 3)
    key = names.suspect(message.job, message.chunk)
    store.away("put", key, answer_lost=lost)
    run.run(worker, message)
    assert engines.isolated == 1
    state = IsolationState.decode(store.get(key).data, key)
    assert (state.attempts, state.verdicts, state.strikes) == (1, {}, {})
    finish(cluster, worker, message.job)


class LosesAnswers(FakeQueue):
    """Redis counts an attempt, and the answer is lost five times."""

    lost = 5

    def begin(self, job: str, number: int, attempt: str) -> Begun:
        begun = super().begin(job, number, attempt)
        if self.lost:
            self.lost -= 1
            raise Unreachable("the answer was lost")
        return begun


def test_an_attempt_whose_answer_is_lost_counts_once(
    store: FlakyStore, cluster: FakeCluster, engines: WatchedEngines, message: Message
) -> None:
    queue = LosesAnswers(cluster.settings, cluster.queue.client)
    worker = worker_of(cluster.settings, store, queue, engines)
    run.run(worker, message)
    assert queue.lost == 0
    assert engines.isolated == 0
    assert list(store.list(names.attempts(message.job))) == []
    finish(cluster, worker, message.job)


def test_a_chunk_with_rows_is_not_read_again(
    store: FlakyStore,
    cluster: FakeCluster,
    worker: Context,
    engines: WatchedEngines,
    message: Message,
) -> None:
    reads: list[str] = []
    key = names.result(message.job, message.chunk)
    run.run(worker, message)
    first = store.get(key)
    engines.meanwhile = lambda: reads.append("again")
    run.run(worker, message)  # delivered twice
    assert not reads
    cluster.queue.client.flushall()  # nobody knows any more: it is read, and its rows are refused
    run.run(worker, message)
    assert reads
    assert store.get(key).etag == first.etag
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    finish(cluster, worker, message.job)


def test_rows_whose_answer_is_lost_are_not_taken_for_anothers(
    store: FlakyStore,
    cluster: FakeCluster,
    worker: Context,
    message: Message,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store.away("put", names.results(message.job), answer_lost=True)
    run.run(worker, message)
    assert "another worker wrote the rows first" not in caplog.text
    assert cluster.queue.progress(message.job).rows == 2
    finish(cluster, worker, message.job)


def test_a_small_job_whose_answer_is_lost_is_finished(
    store: FlakyStore, cluster: FakeCluster, worker: Context, scans: Scans
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    store.away("put", names.results(job), answer_lost=True)
    message = cluster.queue.take()
    assert message is not None
    run.run(worker, message)
    assert cluster.queue.wait_end(job, 0.05)
    finish(cluster, worker, job)


def test_a_condition_that_another_broke_is_still_broken(store: FlakyStore) -> None:
    careful = patient(store)
    store.away("put", times=1)
    MemoryStore.put(store, "key", b"theirs")
    with pytest.raises(PreconditionFailed):
        careful.put("key", b"ours", if_none_match=True)
    etag = store.get("key").etag
    store.away("put", times=1, answer_lost=True)
    ours = careful.put("key", b"ours", if_match=etag)
    assert store.get("key").etag == ours
    with pytest.raises(PreconditionFailed):  # at the first try: nothing of ours was written
        careful.put("key", b"ours", if_match=etag)


def test_a_delete_whose_answer_is_lost_is_done(store: FlakyStore) -> None:
    careful = patient(store)
    etag = store.put("key", b"data")
    store.away("delete_if_match", times=2, answer_lost=True)
    careful.delete_if_match("key", etag)
    assert store.head("key") is None
    with pytest.raises(PreconditionFailed):
        careful.delete_if_match("key", etag)


class BreakingList(MemoryStore):
    """Each listing ends in an error after two entries."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[Any]:
        for number, entry in enumerate(super().list(prefix, after=after)):
            if number == 2:
                raise StoreDenied("the credentials have expired")
            yield entry


def test_an_interrupted_listing_goes_on_where_it_was() -> None:
    store = BreakingList()
    for number in range(7):
        store.put(f"a/{number}", b"")
    listed = [entry.key for entry in patient(store).list("a/", after="a/0")]
    assert listed == [f"a/{number}" for number in range(1, 7)]


def test_a_worker_that_stops_while_it_waits_hands_its_attempt_back(
    store: FlakyStore, cluster: FakeCluster, worker: Context, message: Message
) -> None:
    died_before(cluster, message, 1)
    store.away("put", names.results(message.job), times=10**9)
    stops = threading.Timer(0.05, worker.stopping.set)
    stops.start()
    with pytest.raises(ShuttingDown):
        run.run(worker, message)
    stops.join()
    assert list(store.list(names.attempts(message.job))) == []
    assert cluster.queue.begin(message.job, message.chunk, "attempt2").number == 2


def test_housekeeping_does_not_wait_for_a_store_that_is_away(store: FlakyStore) -> None:
    pool = cast(Any, StandInEngines(set()))
    live = LiveModels(Settings(), patient(store), pool)
    store.away("get", times=10**9)
    store.away("get_if_changed", times=10**9)
    began = time.monotonic()
    live.poll()
    assert time.monotonic() - began < 5.0
    assert len(store.requests) == 1


def own_requests(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if callable(value) and name[0] != "_"}


#: Of all parts that a queue is made of.
REQUESTS = set[str]().union(*map(own_requests, Queue.__mro__))


class MoodyQueue(FakeQueue):
    """Each request fails the first time, and every other time after that."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in REQUESTS:
            return found
        counts = super().__getattribute__("__dict__").setdefault("counts", {})

        def request(*args: Any, **options: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            if counts[name] % 2:
                raise Unreachable(f"{name}: Redis is away")
            return found(*args, **options)

        return request


class StrictQueue(PatientQueue):
    """Refuses requests that would not wait."""

    def __getattribute__(self, name: str) -> Any:
        waits = own_requests(PatientQueue) | {"feed"}  # a feed is made of requests that wait
        assert name not in REQUESTS - waits, f"{name} does not wait"
        return super().__getattribute__(name)


@pytest.mark.parametrize("images", [1, 9])
def test_every_request_of_a_chunk_waits_for_redis(
    cluster: FakeCluster, worker: Context, scans: Scans, images: int
) -> None:
    job = submit(scans(images), chunk_size=1, connection=cluster.connection)
    moody = MoodyQueue(cluster.settings, cluster.queue.client)
    worker = replace(worker, queue=StrictQueue(moody, Patience(worker.stopping)))
    assert isinstance(worker.store, PatientStore)
    finish(cluster, worker, job)
    assert moody.counts["begin"] == 2 * images
