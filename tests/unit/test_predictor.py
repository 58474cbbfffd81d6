"""The predictor: batches, precision, golden check, swap in place."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.errors import ModelError, UsageError
from inkmill.models import pretrained
from inkmill.models.architectures import ARCHITECTURES, weight_shapes
from inkmill.models.batches import plan
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.predictor import BATCH_SHAPES, CALL_COST
from inkmill.models.runtimes import protocol
from inkmill.models.weights import Golden, ModelFiles, decode_weights, encode_weights
from tests.unit.single_networks import network_alone

#: These want the extras, which are not among the developers' tools (decision 8 says why).
with_extras = pytest.mark.skipif(
    len(protocol.runtimes()) < 3, reason="openvino, onnx and onnxruntime are not installed"
)

pytestmark = pytest.mark.tensorflow

SHAPES = (4, 16)
#: OpenVINO computes in float32 where a processor has no bfloat16.
OTHERS = ("openvino-float32", "openvino-bfloat16", "onnxruntime-float32")


@pytest.fixture(scope="module")
def shipped() -> Any:
    return network_alone(pretrained.load())


@pytest.fixture
def predictor(shipped: Any) -> Any:
    from inkmill.models.predictor import Predictor

    return Predictor(shipped.manifest, shipped.weights, shapes=SHAPES)


def crops(count: int, size: int = 28) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, size, size)).astype(np.uint8)


def test_the_shipped_model_reads_its_golden_set(shipped: Any, predictor: Any) -> None:
    assert predictor.check(shipped.golden) < 1e-3


def test_batch_in_equals_batch_out_whatever_the_shape(predictor: Any) -> None:
    batch = crops(37)
    whole = predictor.predict(batch)
    assert whole.shape == (37, len(predictor.manifest.classes))
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
    single = np.concatenate([predictor.predict(batch[n : n + 1]) for n in range(37)])
    np.testing.assert_allclose(whole, single, atol=1e-3)
    assert predictor.predict(batch[:0]).shape == (0, len(predictor.manifest.classes))


@pytest.mark.parametrize("total", [0, 1, 4, 5, 7, 8, 9, 16, 17, 33, 100])
def test_the_plan_covers_everything_once(total: int) -> None:
    found = plan(total, SHAPES, CALL_COST)
    assert [start for start, _, _ in found] == list(
        np.cumsum([0, *(count for _, count, _ in found)])[: len(found)]
    )
    assert sum(count for _, count, _ in found) == total
    assert all(count <= shape and shape in SHAPES for _, count, shape in found)


def test_a_page_chunk_is_not_padded_to_the_largest_batch() -> None:
    for total in range(64, 1400, 7):
        shapes = [shape for _, _, shape in plan(total, BATCH_SHAPES, CALL_COST)]
        # Neither room nor calls, each as dear as six crops, are wasted.
        assert sum(shapes) - total + 6 * len(shapes) <= 28 + 0.12 * total
    # Where a call is dear, as on a GPU, one padded batch is better than several.
    assert plan(720, BATCH_SHAPES, 500) == [(0, 720, 1024)]


def test_bfloat16_reads_the_same_digits(shipped: Any) -> None:
    from inkmill.models.predictor import Predictor

    predictor = Predictor(shipped.manifest, shipped.weights, precision="bfloat16", shapes=SHAPES)
    assert predictor.precision == "bfloat16"
    assert 0 < predictor.check(shipped.golden) < 0.08


def floored(shipped: Any) -> tuple[Manifest, Any]:
    """The shipped model with another floor, and what it is to read."""
    from inkmill.models.predictor import Predictor

    bare = Predictor(replace(shipped.manifest, floor=0.0), shipped.weights, shapes=SHAPES)
    classes = len(shipped.manifest.classes)
    return replace(shipped.manifest, floor=0.28), 0.72 * bare.once(crops(20)) + 0.28 / classes


def test_the_floor_is_spread_over_all_classes(shipped: Any, predictor: Any) -> None:
    from inkmill.models.predictor import Predictor

    manifest, expected = floored(shipped)
    found = Predictor(manifest, shipped.weights, shapes=SHAPES).once(crops(20))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    predictor.load(manifest, shipped.weights)
    np.testing.assert_allclose(predictor.once(crops(20)), expected, atol=1e-5)


def test_an_exported_model_has_the_floor(shipped: Any, tmp_path: Path) -> None:
    from inkmill.trainer.publish.exporters import export_savedmodel

    manifest, expected = floored(shipped)
    golden = Golden(crops(20), expected).encode()
    manifest = replace(manifest, golden=Blob.of(golden))
    files = ModelFiles(manifest, shipped.weights, golden)
    assert export_savedmodel(files, tmp_path / "saved") < 1e-4


@with_extras
def test_the_onnx_graph_has_the_floor(shipped: Any) -> None:
    from inkmill.models.predictor import Predictor

    manifest, expected = floored(shipped)
    found = Predictor(
        manifest, shipped.weights, precision="onnxruntime-float32", threads=1, shapes=SHAPES
    )
    np.testing.assert_allclose(found.once(crops(20)), expected, atol=1e-4)


@with_extras
@pytest.mark.parametrize("precision", OTHERS)
def test_each_runtime_reads_the_golden_set_as_float32_does(shipped: Any, precision: str) -> None:
    from inkmill.models.predictor import Predictor

    predictor = Predictor(
        shipped.manifest, shipped.weights, precision=precision, threads=1, shapes=SHAPES
    )
    assert predictor.precision == precision
    assert predictor.check(shipped.golden) < (1e-3 if precision.endswith("float32") else 0.08)
    batch = crops(37)
    whole = predictor.predict(batch)
    # What is returned stays as it is when the next batch is read.
    kept = whole.copy()
    predictor.predict(crops(16)[::-1])
    np.testing.assert_array_equal(whole, kept)
    # Slices that do not lie in one piece read as well.
    np.testing.assert_allclose(predictor.predict(batch[::-1])[::-1], whole, atol=0.02)


@with_extras
@pytest.mark.parametrize("precision", OTHERS)
def test_each_runtime_takes_other_weights_or_keeps_its_own(
    shipped: Any, predictor: Any, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.models.predictor import Predictor
    from inkmill.models.runtimes import onnx_graph

    arrays = decode_weights(shipped.weights, shipped.manifest)
    arrays["logits/bias"] = np.roll(arrays["logits/bias"], 1)
    arrays["logits/kernel"] = np.roll(arrays["logits/kernel"], 1, axis=1)
    weights = encode_weights(arrays)
    other = dataclasses.replace(shipped.manifest, weights=Blob.of(weights), temperature=2.0)
    tested = Predictor(
        shipped.manifest, shipped.weights, precision=precision, threads=1, shapes=SHAPES
    )
    golden = Golden.decode(shipped.golden, shipped.manifest).crops[:20]
    before = tested.predict(golden)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_graph, "_as_model", broken)
        with pytest.raises(ModelError, match="cannot compute here: full"):
            tested.load(other, weights)
    assert tested.version == shipped.manifest.version
    np.testing.assert_array_equal(tested.predict(golden), before)
    tested.load(other, weights)
    predictor.load(other, weights)
    assert tested.version == other.version
    np.testing.assert_allclose(tested.predict(golden), predictor.predict(golden), atol=0.02)
    assert (tested.predict(golden).argmax(axis=1) != before.argmax(axis=1)).all()


def broken(*_: Any) -> Any:
    raise MemoryError("full")


def test_a_model_that_reads_otherwise_fails_its_check(shipped: Any, predictor: Any) -> None:
    golden = Golden.decode(shipped.golden, shipped.manifest)
    odd = Golden(golden.crops, np.roll(golden.probabilities, 1, axis=1)).encode()
    predictor.load(dataclasses.replace(shipped.manifest, golden=Blob.of(odd)), shipped.weights)
    with pytest.raises(ModelError, match="golden readings changed"):
        predictor.check(odd)


def test_a_new_version_is_swapped_in_without_a_trace(shipped: Any, predictor: Any) -> None:
    arrays = decode_weights(shipped.weights, shipped.manifest)
    arrays["logits/bias"] = np.roll(arrays["logits/bias"], 1) + 1
    arrays["logits/kernel"] = np.roll(arrays["logits/kernel"], 1, axis=1)
    weights = encode_weights(arrays)
    other = dataclasses.replace(shipped.manifest, weights=Blob.of(weights), temperature=2.0)
    batch = crops(3)
    before, compiled = predictor.predict(batch), dict(predictor._network._runtime._calls)
    predictor.load(other, weights)
    after = predictor.predict(batch)
    assert predictor._network._runtime._calls == compiled
    assert predictor.version == other.version
    # Softmax at another temperature: a power of the probabilities, rolled by one class.
    expected = np.roll(before, 1, axis=1) ** (shipped.manifest.temperature / 2.0)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after, expected, atol=2e-3)


def lenet5() -> tuple[Manifest, bytes]:
    layers = ARCHITECTURES["lenet5"].layers
    rng = np.random.default_rng(1)
    weights = encode_weights(
        {
            name: rng.normal(0, 0.1, shape).astype(np.float32)
            for name, shape in weight_shapes(layers, 32, 10).items()
        }
    )
    manifest = Manifest(
        "lenet5", layers, tuple("0123456789"), 32, Blob.of(weights), Blob("0" * 64, 1)
    )
    return manifest, weights


def test_classic_lenet5_runs_and_does_not_go_into_another_network(predictor: Any) -> None:
    from inkmill.models.predictor import Predictor

    manifest, weights = lenet5()
    with pytest.raises(ModelError, match="a different network"):
        predictor.load(manifest, weights)
    classic = Predictor(manifest, weights, shapes=(2,))
    expected = classic.predict(crops(3, 32))
    assert expected.shape == (3, 10)
    for precision in {"openvino-float32", "onnxruntime-float32"} & {*protocol.available()}:
        other = Predictor(manifest, weights, precision=precision, shapes=(2,))
        np.testing.assert_allclose(other.predict(crops(3, 32)), expected, atol=1e-3)


def test_wrong_crops_and_precisions_are_named(shipped: Any, predictor: Any) -> None:
    from inkmill.models.predictor import Predictor

    with pytest.raises(UsageError, match=r"uint8 \(n, 28, 28\)"):
        predictor.predict(crops(2, 32))
    with pytest.raises(UsageError, match="precision is 'int4'"):
        Predictor(shipped.manifest, shipped.weights, precision="int4")
