"""Engines that die of a model, and not of an item: nothing of it serves, nobody is blamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import InkmillError, ModelError
from inkmill.records import rows
from inkmill.records.jobs import FOLLOW, Job, Options
from inkmill.records.pointer import Pointer
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.link import DIGITS, STRIPS, Frame, ModelPayload, Task
from inkmill.worker.live_models import LiveModels
from inkmill.worker.pool import EnginePool
from inkmill.worker.pool import engines as supervisor
from inkmill.worker.pool.devices import _Place
from inkmill.worker.pool.handle import Died
from tests.fakes import patient
from tests.faults.checker import until

GOOD, KILLER, OTHER = "cd" * 32, "ab" * 32, "ef" * 32

Act = Callable[[int], Exception | None]


class StandInEngine:
    """Dies of what ``loads`` and ``reads`` say, each asked with a running number."""

    loads: Callable[[str, int], Exception | None]
    reads: Act
    count = 0
    warmed: list[str] = []  # noqa: RUF012

    def __init__(self, *_: object, **__: object) -> None:
        self.alive, self.waiting, self.started, self.cause = True, 0, 0.0, "signal 9"
        self.ready = threading.Event()
        self.ready.set()
        self._held: set[str] = set()

    def check(self) -> None: ...

    def close(self) -> None: ...

    def drop(self, version: str) -> None:
        self._held.discard(version)

    def load(self, model: ModelPayload) -> Future[Frame]:
        version = model.version
        self._held.add(version)
        self.warmed.append(version)
        StandInEngine.count += 1
        return self._answer(
            StandInEngine.loads(version, StandInEngine.count),
            Frame({"op": "loaded", "precision": "float32"}, []),
        )

    def lacks(self, versions: Sequence[str]) -> list[str]:
        return [each for each in versions if each not in self._held]

    def read(
        self, version: str, head: Mapping[str, Any], parts: Sequence[bytes]
    ) -> Future[Frame] | None:
        if self.lacks([version, *filter(None, [head["strips_version"]])]):
            return None
        StandInEngine.count += 1
        made = [
            Row(n, "").failed(Code(verdict[0]), verdict[1]) if verdict else Row(n, "", digit="7")
            for n in head["only"] or range(2)
            for verdict in [head["verdicts"].get(str(n))]
        ]
        counts = rows.count(made)
        told = {
            **{"op": "rows", "rows": counts.rows, "statuses": counts.statuses},
            **{"codes": counts.codes, "pictures": [], "crops": 0, "seconds": 0.0, "given_up": {}},
        }
        return self._answer(
            StandInEngine.reads(StandInEngine.count), Frame(told, [rows.encode(made)])
        )

    def _answer(self, death: Exception | None, frame: Frame) -> Future[Frame]:
        future: Future[Frame] = Future()
        if death is None:
            future.set_result(frame)
        else:
            self.alive = False
            future.set_exception(death)
        return future


def death(bystander: bool = False) -> Died:
    return Died(None, Code.CRASHED, "the engine was killed by signal 9", bystander=bystander)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[EnginePool]:
    monkeypatch.setattr(supervisor, "EngineHandle", StandInEngine)
    StandInEngine.loads = staticmethod(lambda version, n: death() if version == KILLER else None)
    StandInEngine.reads = staticmethod(lambda n: None)
    StandInEngine.count, StandInEngine.warmed = 0, []
    made = EnginePool(Settings(), 2, 1)
    yield made
    made.stop()


def payload_of(version: str, kind: str = DIGITS) -> ModelPayload:
    return ModelPayload(version, b"", b"", b"", kind)


def promote(store: MemoryStore, model: str, version: str) -> None:
    """Point to a version, whether its files are there or not."""
    store.put(names.model_pointer(model), Pointer(version, (), "now", "").encode())


def test_nobody_waits_for_a_device(engines: EnginePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for one that answers no load, nor for the files that it needs."""
    sent = list[str]()
    device = SimpleNamespace(
        device="GPU:0", alive=True, ready=threading.Event(), check=lambda: None, close=lambda: None
    )
    device.needs = lambda version: version not in sent

    def load(model: ModelPayload) -> Future[str]:
        sent.append(model.version)
        return Future()

    device.load = load
    place = _Place("GPU:0")
    place.handle = cast(Any, device)
    engines._devices._places = [place]
    with ThreadPoolExecutor(1) as together:
        assert together.submit(engines.load, payload_of(GOOD)).result(10) == "float32"
        assert sent == [GOOD]
        with pytest.raises(InkmillError, match="a device did not have the model within 0 s"):
            engines.wait_for_devices(GOOD, 0.0)
        sent.clear()
        away = threading.Event()

        def files(version: str) -> ModelPayload:
            assert away.wait(20)  # the store
            return payload_of(version)

        task = Task("job", 0, b"", 2, GOOD)
        assert together.submit(engines.read, task, files).result(10).rows == 2
        away.set()
        until(lambda: sent == [GOOD], 10, "the device gets it all the same")


def test_a_model_that_every_engine_dies_of_never_serves(
    engines: EnginePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    live = LiveModels(Settings(), patient(store), engines)
    monkeypatch.setattr(live, "_payload", lambda name, version, store: payload_of(version))

    promote(store, "digits", GOOD)
    live.poll()
    assert live.latest == GOOD
    promote(store, "digits", KILLER)
    live.poll()
    assert live.latest == GOOD
    with pytest.raises(ModelError, match="every engine died while loading the model"):
        live.ensure("digits", KILLER)
    engines._engines.choose()  # the dead ones are replaced
    assert list(engines._models) == [GOOD]  # what the new ones are warmed with


def test_one_engine_that_dies_of_something_else_stops_no_model(engines: EnginePool) -> None:
    StandInEngine.loads = staticmethod(lambda version, n: death() if n == 1 else None)
    assert engines.load(payload_of(GOOD)) == "float32"


@pytest.mark.parametrize("alone", [False, True])
def test_no_item_is_blamed_for_a_model(engines: EnginePool, alone: bool) -> None:
    read = engines.read_one_by_one if alone else engines.read
    with pytest.raises(ModelError, match="while loading the model"):
        read(Task("job", 0, b"", 2, KILLER), payload_of)


def test_a_chunk_outlives_engines_that_are_killed_while_they_load(engines: EnginePool) -> None:
    """By whoever kills them: it is not put off, which would cost it a sweep."""
    deaths = iter([death(), death()])
    StandInEngine.loads = staticmethod(lambda version, n: next(deaths, None))
    reading = engines.read(Task("job", 0, b"", 2, GOOD), payload_of)
    assert reading.rows == 2


def test_an_engine_that_dies_without_looking_at_the_item_blames_nobody(engines: EnginePool) -> None:
    StandInEngine.reads = staticmethod(lambda n: death())
    with pytest.raises(ModelError, match="without an item"):
        engines.read(Task("job", 0, b"", 2, GOOD), payload_of)


def test_a_bystander_is_read_again_before_it_is_blamed(engines: EnginePool) -> None:
    engines.load(payload_of(GOOD))
    deaths = iter([death(bystander=True), death(), None, None])
    StandInEngine.reads = staticmethod(lambda n: next(deaths))
    reading = engines.read_one_by_one(Task("job", 0, b"", 2, GOOD), payload_of)
    assert [row.code for row in rows.decode(reading.data)] == [Code.CRASHED, None]


def test_a_model_that_a_job_follows_is_looked_after_too(
    engines: EnginePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the one that the worker is set to."""
    store = MemoryStore()
    live = LiveModels(Settings(), patient(store), engines)
    monkeypatch.setattr(live, "_payload", lambda name, version, store: payload_of(version))
    following = Job("j", 1.0, options=Options(model="forms", policy=FOLLOW))
    for version in (GOOD, OTHER):
        promote(store, "forms", version)
        live.poll()
        assert live.version_for(following) == version


def test_a_job_with_strips_loads_a_second_model_and_others_do_not(
    engines: EnginePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    live = LiveModels(Settings(models_kept=1), patient(store), engines)
    kinds = {GOOD: DIGITS, OTHER: STRIPS}
    monkeypatch.setattr(
        live, "_payload", lambda name, version, store: payload_of(version, kinds[version])
    )
    promote(store, "digits", GOOD)
    promote(store, "strips", OTHER)
    live.poll()
    plain = Job("j", 1.0, options=Options(policy=FOLLOW))
    assert (live.version_for(plain), live.strips_version_for(plain)) == (GOOD, "")
    assert set(StandInEngine.warmed) == {GOOD}
    both = replace(plain, strips_model="strips")
    assert live.strips_version_for(both) == OTHER
    # One of each kind stays, however few are kept.
    assert list(engines._models) == [GOOD, OTHER]
    task = Task("j", 0, b"", 2, GOOD, strips_version=OTHER)
    assert engines.read(task, payload_of).rows == 2
    promote(store, "strips", KILLER)
    kinds[KILLER] = STRIPS
    live.poll()  # the strips model is looked after from now on, and a bad one does not serve
    assert live.strips_version_for(both) == OTHER
    assert live.strips_version_for(replace(both, strips_version=GOOD)) == GOOD


def test_an_engine_that_lacks_a_model_gets_it(engines: EnginePool) -> None:
    StandInEngine.warmed = []
    engines.read(Task("j", 0, b"", 2, GOOD, strips_version=OTHER), payload_of)
    assert StandInEngine.warmed == [GOOD, OTHER]


def test_a_model_damaged_in_the_store_is_tried_again_later(engines: EnginePool) -> None:
    store = MemoryStore()
    live = LiveModels(Settings(), patient(store), engines)
    store.put(names.model_manifest("digits", GOOD), b"{}")
    stored, modified = store._objects[names.model_manifest("digits", GOOD)]
    store._objects[names.model_manifest("digits", GOOD)] = replace(stored, data=b"[]"), modified
    with pytest.raises(ModelError, match="must not serve"):
        live.ensure("digits", GOOD)
    store.delete([names.model_manifest("digits", GOOD)])
    with pytest.raises(ModelError, match=r"must not serve: .* damaged"):  # within its pause
        live.ensure("digits", GOOD)
