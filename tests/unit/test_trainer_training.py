"""Whole trainings on tiny data: finished, resumed, exported, evaluated, published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFinished, UsageError
from tests.unit.digit_images import write_mnist
from tests.unit.small_trainings import CLASSES, config, options, weights
from tests.unit.test_webpage import checked

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder / "mnist", train=200, test=50)
    return folder


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from inkmill.trainer.train import train

    folder = tmp_path_factory.mktemp("run")
    return train(config(), MemoryStore(), "whole", options(data, folder)), folder


def test_a_training_ends_with_a_model_that_passes_its_own_check(unbroken: Any) -> None:
    finished, folder = unbroken
    manifest = finished.files.manifest
    assert manifest.classes == tuple(CLASSES)
    assert manifest.metrics["sets"][0]["samples"] == 50
    assert manifest.data[0]["licence"] == "drawn by a test"
    assert manifest.config["training"]["seed"] == 5
    assert 0.25 <= manifest.temperature <= 5
    assert finished.predictor.check(finished.files.golden) < 1e-3
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert "30 steps in" in str(records)
    assert any(record.get("step") == 30 for record in records)
    assert any("in float32: deterministic" in record.get("says", "") for record in records)
    assert list((folder / "tensorboard").glob("events*"))
    assert [record["step"] for record in records if "accuracy" in record] == [0, 30]
    validated = [record["step"] for record in records if "validation_loss" in record]
    assert validated == [4, 8, 12, 16, 20, 24, 28, 30]
    best = min((r for r in records if "validation_loss" in r), key=lambda r: r["validation_loss"])
    assert manifest.metrics["best"]["step"] == best["step"]
    assert set(best["by_class"]) <= set(CLASSES)
    assert (folder / "learning-curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(
    data: Path, tmp_path: Path, unbroken: Any
) -> None:
    from inkmill.trainer.train import resume, train

    store = MemoryStore()
    with pytest.raises(NotFinished, match=r"step 17 of 30.*\n?.*--resume broken"):
        train(config(), store, "broken", options(data, tmp_path, stop_after=17))
    again = "call the same command again"
    with pytest.raises(NotFinished, match=f"resume with: {again}"):
        resume(store, "broken", options(data, tmp_path, stop_after=18, resume_hint=again))
    finished = resume(store, "broken", options(data, tmp_path))
    for name, value in weights(unbroken[0]).items():
        np.testing.assert_array_equal(weights(finished)[name], value, err_msg=name)


def test_exports_agree_with_the_golden_set(unbroken: Any, tmp_path: Path) -> None:
    from inkmill.trainer.publish.exporters import export_onnx, export_savedmodel

    files = unbroken[0].files
    assert export_savedmodel(files, tmp_path / "saved") < 1e-3
    with pytest.raises(UsageError, match="is not empty"):
        export_savedmodel(files, tmp_path / "saved")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    assert export_onnx(files, tmp_path / "model.onnx") < 1e-3


def test_an_evaluation_writes_its_report(unbroken: Any, data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.samples import Dataset
    from inkmill.trainer.measure.evaluate import evaluate, write_report

    finished = unbroken[0]
    dataset = readers.load(config(), data)
    tested = Dataset([sample for sample in dataset.samples if sample.part == "test"])
    found = evaluate(finished.predictor, tested, robust=20)
    write_report(found, tmp_path)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["samples"] == 50
    assert figures["accuracy"] == pytest.approx(finished.tests["mnist"].share.accuracy)
    assert figures["data"] == finished.files.manifest.metrics["sets"][0]["sha256"]
    assert set(figures["robustness"]) >= {"clean cell", "110 dpi", "faint pencil"}
    for name in ("confusion.png", "reliability.png", "mistakes.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
        assert f"]({name})" in (tmp_path / "report.md").read_text()
    page = checked((tmp_path / "report.html").read_text())
    assert page.count("img") == 3
    assert page.count("table") == 3  # by class, by source, by damage


def test_train_publishes_and_the_gate_compares_with_the_current_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from inkmill.cli.commands.runs import runs
    from inkmill.cli.commands.train import train
    from inkmill.models import pretrained
    from inkmill.models.registry import Registry

    store = MemoryStore()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INKMILL_S3_BUCKET", "inkmill")
    monkeypatch.setattr("inkmill.backends.store.open_store", lambda settings: store)
    shipped = Registry(store, "digits").publish(pretrained.load())
    tiny = ["--data", str(data), "--processes", "0", "--steps", "4", "--batch", "10"]
    tiny += ["--set", "architecture=lenet5", "--precision", "float32"]
    tiny += ["--set", "split.validation=0.1"]
    refused = CliRunner().invoke(train, [*tiny, "--run", "one", "--name", "digits"])
    # The shipped model reads the drawn digits better than four steps of training do. The training
    # has succeeded nevertheless.
    assert refused.exit_code == 0
    assert "not published as digits: the new model reads" in refused.stderr
    assert "use --force to serve it anyway" in refused.stderr
    assert Registry(store, "digits").find("latest") == shipped
    assert (tmp_path / "runs/one/model/model-card.html").exists()
    named = ["--name", "digits", "--force"]
    forced = CliRunner().invoke(train, [*tiny, "--run", "two", *named])
    assert forced.exit_code == 0, forced.output
    pointer = Registry(store, "digits").latest()
    assert pointer is not None
    assert pointer.version == forced.stdout.strip()
    assert Registry(store, "digits").show(pointer.version).parents == (shipped,)
    # Under its own name it stands beside the shipped one.
    other = CliRunner().invoke(train, [*tiny, "--run", "three"])
    assert other.exit_code == 0, other.output
    assert Registry(store, "tutorial").find("latest") == other.stdout.strip()
    assert "TEST" in CliRunner().invoke(runs, ["list"]).stdout
    keys = {entry.key.split("/")[1] for entry in store.list("runs/")}
    assert keys == {"one", "two", "three"}
