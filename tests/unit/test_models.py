"""Manifests, weights and the registry, without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.errors import ModelError, UsageError
from inkmill.models.architectures import ARCHITECTURES, Conv, Dense, Pool, weight_shapes
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.weights import Golden, ModelFiles, decode_weights, encode_weights

LAYERS = (Conv(2, size=3), Pool(), Dense(4))


def model(seed: int = 0, **changes: Any) -> ModelFiles:
    """A tiny model of two classes for crops of 8 px."""
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in weight_shapes(LAYERS, 8, 2).items()
    }
    weights = encode_weights(arrays)
    golden = Golden(np.zeros((1, 8, 8), np.uint8), np.full((1, 2), 0.5, np.float32)).encode()
    manifest = Manifest("tiny", LAYERS, ("0", "1"), 8, Blob.of(weights), Blob.of(golden), **changes)
    return ModelFiles(manifest, weights, golden)


def test_lenet_has_the_tutorials_size() -> None:
    shapes = weight_shapes(ARCHITECTURES["lenet"].layers, 28, 10)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 3_274_634


def test_lenet5_has_the_papers_size() -> None:
    shapes = weight_shapes(ARCHITECTURES["lenet5"].layers, 32, 10)
    assert shapes["dense1/kernel"] == (400, 120)
    assert shapes["dense2/kernel"] == (120, 84)


def test_a_manifest_survives_its_encoding_and_keeps_its_version() -> None:
    manifest = model(metrics={"accuracy": 0.5}, parents=("a" * 64,), temperature=1.5).manifest
    again = Manifest.decode(manifest.encode())
    assert again.encode() == manifest.encode()
    assert again.version == manifest.version
    assert again.temperature == 1.5
    assert again.layers == LAYERS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inkmill_model": 2}, "newer Inkmill"),
        ({"inkmill_model": 0}, "inkmill_model"),
        ({"classes": ["0", "0"]}, "two of the classes are the same"),
        ({"classes": ["0", "zero"]}, r"classes\.1: .*not 'zero'"),
        ({"input_size": True}, "input_size: .*valid integer"),
        ({"input_size": 9000}, "input_size: .*less than or equal to 128"),
        ({"weights": {"sha256": "../../etc", "size": 3}}, r"weights\.sha256"),
        ({"calibration": {"temperature": 0}}, "temperature is 0"),
        ({"calibration": {}}, "temperature must be a number"),
        ({"surprise": 1}, "surprise: unknown field"),
        ({"architecture": {"name": "x", "layers": []}}, r"architecture\.layers: .*at least 1"),
        (
            {"architecture": {"name": "x", "layers": [{"kind": "lambda"}]}},
            r"architecture\.layers\.0: .*expected tags",
        ),
        (
            {"architecture": {"name": "x", "layers": [{"kind": "dense", "units": 10**9}]}},
            r"layers\.0\.dense\.units: .*less than or equal to 8192",
        ),
        ({"metrics": {"accuracy": float("nan")}}, "canonical"),
        (
            {"architecture": {"name": "x", "layers": [{"kind": "pool", "size": 99, "how": "max"}]}},
            "reduce to nothing",
        ),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(change: dict[str, Any], words: str) -> None:
    record = json.loads(model().manifest.encode()) | change
    data = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ModelError, match=words):
        Manifest.decode(data)


def test_a_manifest_in_another_spelling_is_refused() -> None:
    record = json.loads(model().manifest.encode())
    with pytest.raises(ModelError, match="canonical"):
        Manifest.decode(json.dumps(record, indent=1).encode())
    with pytest.raises(ModelError, match="JSON"):
        Manifest.decode(b"\x80\x04pickle")


def test_weights_are_checked_before_they_are_used() -> None:
    files = model()
    arrays = decode_weights(files.weights, files.manifest)
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float32)}
    flipped = bytearray(files.weights)
    flipped[-1] ^= 1
    with pytest.raises(ModelError, match="do not match the manifest"):
        decode_weights(bytes(flipped), files.manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1/bias": None}, "names do not match"),
        ({"conv9/bias": np.zeros(2, np.float16)}, "names do not match"),
        ({"conv1/bias": np.zeros(3, np.float16)}, r"conv1/bias is float16 \(3,\)"),
        ({"conv1/bias": np.zeros(2, np.int64)}, "conv1/bias is int64"),
        ({"conv1/bias": np.full(2, np.nan, np.float16)}, "NaN"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Any], words: str) -> None:
    files = model()
    tensors = {**decode_weights(files.weights, files.manifest), **change}
    data = save({name: value for name, value in tensors.items() if value is not None})
    with pytest.raises(ModelError, match=words):
        decode_weights(data, replace(files.manifest, weights=Blob.of(data)))


def test_weights_that_are_no_safetensors_are_refused() -> None:
    data = b"\x80\x04not safetensors"
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        decode_weights(data, replace(model().manifest, weights=Blob.of(data)))


def test_golden_sets_must_fit_the_model() -> None:
    files = model()
    golden = Golden.decode(files.golden, files.manifest)
    assert golden.crops.shape == (1, 8, 8)
    odd = dataclasses.replace(golden, probabilities=np.zeros((1, 3), np.float32)).encode()
    with pytest.raises(ModelError, match="probabilities must be"):
        Golden.decode(odd, replace(files.manifest, golden=Blob.of(odd)))


def test_the_shipped_model_is_whole_and_small() -> None:
    from inkmill.models import pretrained

    files = pretrained.load()
    decode_weights(files.weights, files.manifest)
    assert len(files.weights) <= 7_000_000
    assert set("0123456789") <= set(files.manifest.classes)


@pytest.fixture
def cli_store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore()
    monkeypatch.setattr("inkmill.backends.store.open_store", lambda settings: store)
    return store


def run(*arguments: str) -> str:
    from inkmill.cli.commands.models import models

    result = CliRunner().invoke(models, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_models_on_the_command_line(cli_store: MemoryStore, tmp_path: Any) -> None:
    shipped = run("publish").strip()
    assert run("publish").strip() == shipped
    files = model()
    for name, data in (
        ("manifest.json", files.manifest.encode()),
        ("weights.safetensors", files.weights),
        ("golden.safetensors", files.golden),
    ):
        (tmp_path / name).write_bytes(data)
    other = run("publish", str(tmp_path), "--force").strip()
    assert other == files.manifest.version
    assert f"* {other[:16]}" in run("list")
    assert f"  {shipped[:16]}" in run("list")
    assert json.loads(run("show", shipped[:6]))["input_size"] == 28
    assert run("rollback").strip() == shipped
    assert run("promote", other[:8]).strip() == other
    assert run("list", "--name", "other") == ""


def test_publish_names_the_file_that_is_missing(cli_store: MemoryStore, tmp_path: Any) -> None:
    from inkmill.cli.commands.models import models

    with pytest.raises(UsageError, match=r"manifest\.json cannot be read"):
        CliRunner().invoke(models, ["publish", str(tmp_path)], catch_exceptions=False)


def test_rollback_lists_the_jobs_that_used_the_version(
    cli_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.producer.model_choice import jobs_read_with
    from inkmill.records import rows
    from inkmill.records.jobs import FOLLOW, Job, Options

    for job in (
        Job("pinned", 0.0, version="a" * 64),
        Job("elsewhere", 0.0, version="b" * 64),
        Job("following", 0.0, options=Options(policy=FOLLOW)),
        Job("unread", 0.0, options=Options(policy=FOLLOW)),
    ):
        cli_store.put(names.job_record(job.job), job.encode())
    read = rows.encode([rows.Row(0, "x.png", model="a" * 64)])
    cli_store.put(names.result("following", 0), read)
    found = jobs_read_with(cli_store, "digits", "a" * 64)
    assert [job.job for job in found] == ["following", "pinned"]
