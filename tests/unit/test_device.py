"""A predictor process and its engines: batches, versions, precisions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.records import rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.jobs import ANY_PRECISION
from inkmill.settings import Settings
from inkmill.worker.device import models as held
from inkmill.worker.device import server as serving
from inkmill.worker.device.gathering import Gatherer
from inkmill.worker.engine.main import Engine
from inkmill.worker.link import (
    ChunkResult,
    Door,
    Frame,
    Link,
    SharedPosition,
    Task,
    receive,
    send,
)
from inkmill.worker.pool.handle import engine_config
from tests.faults.checker import until
from tests.integration.images import png
from tests.unit.predictor_processes import (
    FIRST,
    MODELS,
    SECOND,
    Process,
    StandIn,
    crops,
    read,
    waiting,
)


def test_a_request_waits_for_others_until_all_have_asked_or_time_is_up() -> None:
    gatherer, first, second = Gatherer(4096, 1000.0, lambda: 2), waiting(FIRST), waiting(FIRST)
    with ThreadPoolExecutor(1) as together:
        gatherer.put(first)
        batch = together.submit(gatherer.take, 10.0)
        with pytest.raises(TimeoutError):
            batch.result(0.1)
        gatherer.put(second)
        assert batch.result(10) == [first, second]
    hasty = Gatherer(4096, 0.01, lambda: 2)
    hasty.put(first)
    assert hasty.take(10.0) == [first]
    assert hasty.take(0.0) == []


def test_a_batch_has_one_model_and_leaves_the_others_in_their_order() -> None:
    gatherer = Gatherer(25, 0.0, lambda: 4)
    requests = [waiting(each) for each in (FIRST, SECOND, FIRST, FIRST)]
    for each in requests:
        gatherer.put(each)
    first, second, third, fourth = requests
    assert gatherer.take(1.0) == [first, third]
    assert gatherer.take(1.0) == [second]
    assert gatherer.take(1.0) == [fourth]


def test_requests_of_several_engines_become_one_batch_and_each_gets_its_share() -> None:
    process = Process(seconds=0.02, delay=0.2)
    process.load(FIRST)
    engines = [process.engine() for _ in range(4)]

    def work(number: int) -> None:
        for turn in range(6):
            found = read(engines[number], FIRST, crops(10 + number, seed=10 * number + turn))
            assert found.precision == "float16"

    with ThreadPoolExecutor(4) as together:
        list(together.map(work, range(4)))
    (predictor,) = process.opened
    counted = process.pulse.read()
    assert (counted.requests, counted.crops) == (24, 6 * (10 + 11 + 12 + 13))
    assert counted.batches == len(predictor.batches) <= 12
    assert sum(predictor.batches) == counted.crops


def test_a_single_engine_waits_for_nobody() -> None:
    process = Process(delay=1000.0)
    process.load(FIRST)
    device = process.engine()
    for count in (8, 3):
        assert read(device, FIRST, crops(count)).batches == [count]


def test_a_batch_has_a_size() -> None:
    process = Process(seconds=0.01, delay=0.1, most=25)
    process.load(FIRST)
    engines = [process.engine() for _ in range(3)]
    with ThreadPoolExecutor(3) as together:
        list(together.map(lambda each: read(each, FIRST, crops(12)), engines))
    assert read(engines[0], FIRST, crops(40)).batches == [40], "one of its own"
    (predictor,) = process.opened
    assert max(predictor.batches[:-1]) <= 24
    assert sum(predictor.batches) == 3 * 12 + 40


def test_versions_and_precisions_are_read_side_by_side() -> None:
    process = Process(delay=0.05)
    assert process.load(FIRST).head["precision"] == "float16"
    engines = [process.engine() for _ in range(3)]
    assert read(engines[0], SECOND, crops(5)).precision == "bfloat16", "not there: read here"
    assert process.load(SECOND).head["versions"] == [FIRST, SECOND]  # while the first one serves
    with ThreadPoolExecutor(3) as together:
        found = together.map(read, engines, [FIRST, SECOND, FIRST], [crops(5)] * 3)
        assert [each.precision for each in found] == ["float16"] * 3
    # A precision that a job is pinned to is opened meanwhile.
    until(lambda: read(engines[0], FIRST, crops(3), "float32").precision == "float32", 10, "opened")
    for absent in ("bfloat16", "float64" * 1000):
        assert read(engines[0], FIRST, crops(3), absent).precision == "bfloat16", "read here"
    assert read(engines[0], FIRST, crops(0)).precision == "bfloat16"


def test_a_precision_that_was_refused_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, clock = list[str](), SimpleNamespace(now=1000.0)
    monkeypatch.setattr(held, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def open_model(manifest: Manifest, _: bytes, __: bytes, precision: str) -> StandIn:
        opened.append(precision)
        if opened.count("float32") == 1 and precision == "float32":
            raise ModelError("no memory")
        return StandIn(manifest, "float16" if precision == ANY_PRECISION else precision)

    files = MODELS[FIRST].files
    with ThreadPoolExecutor(1) as opener:
        models = held.DeviceModels(2, open_model, opener)
        for _ in range(2):
            assert models.load(files.manifest.encode(), files.weights, files.golden) == "float16"
        for passed, expected in ((0, 1), (599, 1), (2, 2), (0, 2)):
            clock.now += passed
            found = models.find(FIRST, "float32")
            opener.submit(int).result()  # it has been opened, or refused
            assert opened == [ANY_PRECISION, *["float32"] * expected], "and the version once"
    assert found is not None


def test_the_pulse_beats_while_a_model_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is newer than TensorFlow compiles its kernels then, for minutes."""
    monkeypatch.setattr(serving, "_BEAT", 0.05)
    process, compiled = Process(), threading.Event()
    open_model = process.server._models._open_model

    def compile_first(*files: Any) -> Any:
        assert compiled.wait(20)
        return open_model(*files)

    monkeypatch.setattr(process.server._models, "_open_model", compile_first)
    with ThreadPoolExecutor(1) as together:
        loading = together.submit(process.load, FIRST)
        before = process.pulse.read().beat
        until(lambda: process.pulse.read().beat > before + 2, 10, "it beats")
        assert not loading.done()
        compiled.set()
        assert loading.result(10).head["op"] == "loaded"


def test_rows_name_the_precision_that_read_them(tmp_path: Path) -> None:
    process = Process()
    ours, theirs = Door.pair()
    worker, engine_end = map(Link, socket.socketpair())
    config = engine_config(Settings(cache_dir=tmp_path), 1)
    engine = Engine(engine_end, SharedPosition(), config, theirs)
    own = StandIn(MODELS[FIRST].files.manifest, "bfloat16")
    # As a model cache that was loaded.
    engine._models = cast(Any, SimpleNamespace(get=lambda *_: own, use=lambda _: None))
    threading.Thread(target=ending_with_its_worker, args=(engine.run,), daemon=True).start()
    assert receive(worker).head["op"] == "ready"
    items = tuple(Item(n, f"{n}.png", data=png(n)) for n in range(10))
    task = Task("job", 0, Chunk("job", 0, items).encode(), 10, FIRST)

    def precisions(*asked: str) -> list[set[str]]:
        for number, each in enumerate(asked):
            head = replace(task, precision=each).head({}, None)
            request = {**head, "op": "chunk", "version": FIRST, "request": number}
            send(worker, Frame(request, task.parts))
        assert worker.poll(30), "the engine answers"
        answers = [ChunkResult.of(receive(worker)) for _ in asked]
        return [{row.precision for row in rows.decode(each.data)} for each in answers]

    assert precisions(ANY_PRECISION) == [{"bfloat16"}], "there is no device yet"
    process.load(FIRST)
    process.connect(ours)
    assert precisions(ANY_PRECISION, ANY_PRECISION) == [{"float16"}] * 2
    until(lambda: precisions("float32") == [{"float32"}], 10, "opened")
    assert {"float16"} in precisions(ANY_PRECISION, "float32", ANY_PRECISION)
    worker.close()


def ending_with_its_worker(run: Callable[[], None]) -> None:
    with suppress(EOFError, OSError):
        run()
