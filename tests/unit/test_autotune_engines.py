"""What engines make of a verdict on precisions: they follow it, doubt it, and obey jobs."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.errors import ModelError
from inkmill.models import autotune, pretrained
from inkmill.models.autotune import Trial, Tuning, cache, contest
from inkmill.models.runtimes import protocol
from tests.unit.test_autotune import with_extras


@pytest.fixture
def predictor() -> Any:
    from inkmill.models import predictor

    return predictor


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shelf(measured: Path) -> Any:
    from inkmill.worker.engine.model_cache import ModelCache

    return ModelCache(2, 1, measured)


@with_extras
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("faster", "rate"),
    [("openvino-float32", 3.0), ("openvino-float32", 1.05), ("openvino-int8", 3.0)],
)
def test_a_faster_runtime_serves_and_is_named_in_rows(
    faster: str, rate: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through the shelf, as an engine does it: chosen, remembered, reloaded; pins go elsewhere."""
    from inkmill.worker.engine.model_cache import ModelCache

    rates = {faster: rate}
    monkeypatch.setattr(contest, "_rate", lambda predictor: rates.get(predictor.precision, 1.0))
    files = pretrained.load()
    shelf = ModelCache(1, 1, tmp_path)
    first = shelf.load(files.manifest.encode(), files.weights, files.golden)
    assert first.precision == (faster if rate == 3.0 else "float32")
    newer = dataclasses.replace(files.manifest, created="2026-02-02")
    assert shelf.load(newer.encode(), files.weights, files.golden) is first
    assert shelf.get(newer.version) is first
    assert shelf.get(newer.version, "float32").precision == "float32"


@with_extras
@pytest.mark.tensorflow
@pytest.mark.parametrize(("rate", "instead"), [(2.0, "bfloat16"), (1.0, "float32")])
def test_a_version_that_its_runtime_cannot_take_runs_in_the_next_best(
    rate: float, instead: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import openvino

    from inkmill.worker.engine.model_cache import ModelCache

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    rates = {"openvino-float32": 3.0, "bfloat16": rate}
    monkeypatch.setattr(contest, "_rate", lambda predictor: rates.get(predictor.precision, 1.0))
    files = pretrained.load()
    shelf = ModelCache(2, 1, tmp_path)
    first = shelf.load(files.manifest.encode(), files.weights, files.golden)
    monkeypatch.setattr(openvino.Core, "compile_model", broken)
    newer = dataclasses.replace(files.manifest, created="2026-02-02")
    assert shelf.load(newer.encode(), files.weights, files.golden).precision == instead
    assert shelf.get(files.manifest.version) is first


@pytest.mark.tensorflow
def test_engines_that_start_after_another_follow_it(measured: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    files = pretrained.load()
    about = (files.manifest, files.weights, files.golden, measured, 1)
    first = autotune.precision_for(*about)
    said = [record for record in caplog.records if "runs in" in record.getMessage()]
    assert len(said) == 1
    assert autotune.precision_for(*about) == first
    assert len([record for record in caplog.records if "runs in" in record.getMessage()]) == 1
    (found,) = autotune.tunings(measured)
    assert found.precision == first
    assert set(found.trials) >= {"float32", "bfloat16"}
    assert found.trials["float32"].difference < 1e-3


class Doubted:
    """A verdict on the shipped model, with what an idle engine then decides."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
        self.files = pretrained.load()
        self.folder = folder
        self.held = 0
        manifest = self.files.manifest
        (folder / "precision").mkdir()
        self.path = folder / "precision" / f"{cache._key(manifest, 1)}.json"
        self.first = Tuning(
            "bfloat16",
            *("lenet", autotune.host(), 1, 12),
            trials={"float32": Trial((1000.0,), 0), "bfloat16": Trial((2000.0,), 0)},
            runtimes=protocol.runtimes(),
        )

        def measure(*_: Any, give_way: Any, **__: Any) -> Tuning:
            self.held += 1
            if give_way():
                raise autotune.GaveWay
            return dataclasses.replace(self.first, precision=now, measured=time.time())

        monkeypatch.setattr(cache, "measure", measure)

    def decides(self, *, load: float = 0.0, age: float = 3600.0, **about: Any) -> str:
        verdict = dataclasses.replace(self.first, load=load, measured=time.time() - age)
        self.path.write_bytes(verdict.encode())
        files = self.files
        return autotune.reconsider(
            *(files.manifest, files.weights, files.golden), cache=self.folder, threads=1, **about
        )


def test_a_doubtful_verdict_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubted = Doubted(tmp_path, monkeypatch, now="float32")
    two_days = 2 * 86_400.0
    for sure in (
        {"quiet": True},  # it was quiet then
        {"load": 0.5},  # it is still busy
        {"load": 0.5, "quiet": True, "age": 60.0},  # it was just measured
        {"achieved": 1500.0, "age": two_days},
        {"achieved": 700.0},  # less than a day ago
    ):
        assert doubted.decides(**sure) == "bfloat16"
    assert doubted.held == 0
    assert doubted.decides(load=0.5, quiet=True) == "float32"
    assert Tuning.decode(doubted.path.read_bytes(), "now").precision == "float32"
    assert doubted.decides(achieved=700.0, age=two_days) == "float32"
    assert doubted.held == 2
    # Work arrives: the verdict stands, until the engine is idle again.
    assert doubted.decides(load=0.5, quiet=True, give_way=lambda: True) == "bfloat16"
    assert not Tuning.decode(doubted.path.read_bytes(), "now").was_quiet
    with cache._alone(doubted.path):  # another engine is at it
        assert doubted.decides(load=0.5, quiet=True) == "bfloat16"
    assert doubted.held == 3
    doubted.path.unlink()
    files = doubted.files
    about = (files.manifest, files.weights, files.golden)
    assert autotune.reconsider(*about, cache=tmp_path, threads=1, quiet=True) == ""


@pytest.mark.tensorflow
def test_an_idle_engine_follows_the_verdict(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pretrained.load()
    version = files.manifest.version
    shelf.load(files.manifest.encode(), files.weights, files.golden)
    before = shelf.get(version).precision
    other = "float32" if before != "float32" else "bfloat16"
    monkeypatch.setattr(autotune, "reconsider", lambda *_, **__: other)
    shelf.reconsider(lambda: True)
    assert shelf.get(version).precision == before
    shelf.reconsider(lambda: False)
    assert shelf.get(version).precision == other
    # One that its golden set refuses does not replace one that serves.
    monkeypatch.setattr(autotune, "reconsider", lambda *_, **__: before)
    monkeypatch.setattr(shelf, "_predictor", refuse)
    shelf.reconsider(lambda: False)
    assert shelf.get(version).precision == other


def refuse(*_: Any) -> None:
    raise ModelError("it must not serve here")


@pytest.mark.tensorflow
def test_the_pace_of_large_batches_is_known(
    predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pretrained.load()
    crops = np.zeros((256, 28, 28), np.uint8)
    reading = predictor.Predictor(files.manifest, files.weights, threads=1, shapes=(256,))
    reading.once(crops)
    assert reading.take_pace() == 0.0
    ticks = iter(range(0, 100, 3))
    monkeypatch.setattr(reading, "_watch", lambda: next(ticks))
    reading.once(crops[:255])  # small: it does not count
    reading.once(crops)
    assert reading.take_pace() == pytest.approx(256 / 3)
    assert reading.take_pace() == 0.0


@pytest.mark.tensorflow
def test_a_job_may_ask_for_a_precision(shelf: Any) -> None:
    files = pretrained.load()
    usual = shelf.load(files.manifest.encode(), files.weights, files.golden)
    version = files.manifest.version
    assert shelf.get(version) is usual
    assert shelf.get(version, "float32").precision == "float32"
    assert shelf.get(version, "bfloat16").precision == "bfloat16"
    assert shelf.get(version, "float32") is shelf.get(version, "float32")


@pytest.mark.tensorflow
def test_a_precision_that_changes_too_much_gives_way_to_float32(
    shelf: Any, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pretrained.load()
    shelf.load(files.manifest.encode(), files.weights, files.golden)
    monkeypatch.setitem(predictor._TOLERANCE, "float16", 1e-9)
    assert shelf.get(files.manifest.version, "float16").precision == "float32"


@pytest.mark.tensorflow
def test_an_oldest_version_hands_its_network_on(shelf: Any) -> None:
    files = pretrained.load()
    loaded = []
    for number in range(3):
        manifest = dataclasses.replace(files.manifest, created=f"2026-01-0{number + 1}")
        loaded.append(shelf.load(manifest.encode(), files.weights, files.golden))
    assert loaded[2] is loaded[0]
    assert loaded[1] is not loaded[0]
    assert len(shelf.versions) == 2
