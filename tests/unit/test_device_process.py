"""A real predictor process on a virtual device: read by it, killed, hanging, started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inkmill.forms.cut.normalise import normalise
from inkmill.models.runtimes import PRECISIONS
from inkmill.records import rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import EVERY_REQUEST, ModelPayload, Task
from inkmill.worker.pool import EnginePool
from inkmill.worker.pool import device as watching
from tests.faults.checker import until
from tests.integration.images import paper, png
from tests.unit.linear_models import LinearModel

pytestmark = pytest.mark.tensorflow

FIRST, SECOND = LinearModel(1), LinearModel(2)
COUNT = 1100


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePool]:
    """One engine, and a process on the second of two logical processors."""
    settings = Settings(cache_dir=tmp_path_factory.mktemp("cache"), models_kept=2)
    made = EnginePool(settings, 1, 1, devices=["CPU:1"])
    try:
        made.wait_ready(120)
        yield made
    finally:
        made.stop()


def payload(model: LinearModel) -> ModelPayload:
    files = model.files
    return ModelPayload(
        files.manifest.version, files.manifest.encode(), files.weights, files.golden
    )


def read(pool: EnginePool, model: LinearModel) -> list[Row]:
    """The rows of a chunk of more than a batch, of which none is wrong or missing."""
    items = tuple(Item(n, f"{n}.png", data=png(n % 10)) for n in range(COUNT))
    task = Task("job", 0, Chunk("job", 0, items).encode(), COUNT, model.files.manifest.version)
    found = rows.decode(pool.read(task, lambda _: payload(model)).data)
    crops = np.stack([np.asarray(normalise(paper(n))) for n in range(10)])
    expected = model.probabilities(crops).max(axis=1)
    assert [row.item for row in found] == list(range(COUNT))
    for row in found:
        assert row.confidence == pytest.approx(expected[row.item % 10], abs=0.02)
        assert row.model == model.files.manifest.version
    return found


def read_by_device(pool: EnginePool, model: LinearModel) -> None:
    """The device reads a chunk."""
    before = metrics.DEVICE_CROPS._value.get()
    read(pool, model)
    until(lambda: metrics.DEVICE_CROPS._value.get() == before + COUNT, 10, "the device read it")


def is_back(pool: EnginePool, model: LinearModel = FIRST) -> None:
    """Wait until the device has the model, and the engine a connection."""
    pool.wait_for_devices(model.files.manifest.version, 90)


def reading(pool: EnginePool) -> bool:
    """Whether the engine is in its forward pass, and so waits for the device."""
    return pool._engines.handles[0]._position.read().request == EVERY_REQUEST


def test_the_device_reads_what_engines_would_and_takes_new_versions(pool: EnginePool) -> None:
    assert pool.load(payload(FIRST)) in PRECISIONS
    is_back(pool)
    read_by_device(pool, FIRST)
    assert pool.load(payload(SECOND)) in PRECISIONS
    is_back(pool, SECOND)
    read_by_device(pool, SECOND)
    read_by_device(pool, FIRST)


def test_a_process_killed_in_the_middle_of_a_batch_costs_no_row(pool: EnginePool) -> None:
    pool.load(payload(FIRST))
    is_back(pool)
    (process,) = pool.device_pids
    before = metrics.DEVICE_RESTARTS._value.get()
    os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as together:
        rest = together.submit(read, pool, FIRST)
        until(lambda: reading(pool), 30, "the engine asks")
        os.kill(process, signal.SIGKILL)
        rest.result(60)
    until(lambda: metrics.DEVICE_RESTARTS._value.get() == before + 1, 10, "it is counted")
    is_back(pool)
    read_by_device(pool, FIRST)
    assert pool.device_pids != [process]


def test_a_process_that_hangs_is_ended(pool: EnginePool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.load(payload(FIRST))
    is_back(pool)
    (process,) = pool.device_pids
    monkeypatch.setattr(watching, "_HUNG_SECONDS", 2.0)
    os.kill(process, signal.SIGSTOP)
    read(pool, FIRST)
    (place,) = pool._devices._places
    assert not place.serves
    assert place.handle is not None
    assert "hung for 2 s" in place.handle.cause
