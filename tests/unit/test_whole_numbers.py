"""Networks in whole numbers: what is rounded how, with NumPy alone; OpenVINO where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inkmill.errors import ModelError
from inkmill.models import pretrained
from inkmill.models.architectures import (
    ARCHITECTURES,
    Conv,
    Dense,
    Dropout,
    Layer,
    Pool,
    named_layers,
    weight_shapes,
)
from inkmill.models.cascade import divided
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.runtimes import protocol, whole_numbers
from inkmill.models.runtimes.whole_numbers import (
    CROP_STEP,
    ENOUGH,
    LARGEST_WEIGHT,
    WholeNumbers,
    activation_steps,
)
from inkmill.models.weights import Golden, ModelFiles, Weights, decode_weights, encode_weights

#: OpenVINO is not among the developers' tools (decision 8 says why).
with_openvino = pytest.mark.skipif(
    "openvino" not in protocol.runtimes(), reason="openvino and onnx are not installed"
)

SHAPES = (4, 16)
STAGES = ("network", "first stage")


@pytest.fixture(scope="module")
def shipped() -> ModelFiles:
    return pretrained.load()


def stage(files: ModelFiles, name: str) -> tuple[Manifest, Weights, Any, Any]:
    """One of the model's two networks: manifest, weights, golden crops and probabilities."""
    network, first = divided(decode_weights(files.weights, files.manifest))
    golden = Golden.decode(files.golden, files.manifest)
    if name == "network":
        return files.manifest, network, golden.crops, golden.probabilities
    manifest = files.manifest.of_first_stage()
    assert manifest is not None
    return manifest, first, golden.crops, golden.first_stage


def untrained(layers: tuple[Layer, ...], side: int = 28) -> tuple[Manifest, Weights]:
    rng = np.random.default_rng(1)
    arrays = {
        name: rng.normal(0, np.sqrt(2 / np.prod((1, *shape[:-1]))), shape).astype(np.float32)
        for name, shape in weight_shapes(layers, side, 10).items()
    }
    blob = Blob("0" * 64, 1)
    return Manifest("small", layers, (*"0123456789",), side, blob, blob), arrays


def crops(count: int, side: int = 28) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, side, side)).astype(np.uint8)


# ---------------------------------------------------------------- weights


def test_weights_are_rounded_to_the_nearest_step_of_their_channel() -> None:
    kernel = np.array([[0.63, -0.63, 0.104], [6.3, 0.04, -0.06]], np.float32)
    found = WholeNumbers.of(kernel, np.array([0.5, -0.25], np.float32), 0.1)
    np.testing.assert_allclose(found.steps, [0.01, 0.1], rtol=1e-6)
    assert found.kernel.tolist() == [[63, -63, 10], [63, 0, -1]]
    assert found.bias.tolist() == [500, -25]
    assert (found.kernel.dtype.name, found.bias.dtype.name) == ("int8", "int32")


@pytest.mark.parametrize("name", STAGES)
def test_two_products_of_the_shipped_model_fit_16_bits(shipped: ModelFiles, name: str) -> None:
    """Else a processor without VNNI would read something else, and not say so."""
    assert 2 * 255 * LARGEST_WEIGHT < 1 << 15
    manifest, arrays, _, _ = stage(shipped, name)
    for layer, _ in named_layers(manifest.layers):
        if f"{layer}/kernel" in arrays:
            kernel = np.moveaxis(arrays[f"{layer}/kernel"], -1, 0)
            found = WholeNumbers.of(kernel, arrays[f"{layer}/bias"], CROP_STEP)
            largest = np.abs(found.kernel.astype(int)).reshape(len(kernel), -1).max(axis=1)
            assert (largest == LARGEST_WEIGHT).all()
            steps = found.steps.reshape(-1, *[1] * (kernel.ndim - 1))
            assert (np.abs(found.kernel * steps - kernel) <= steps * 0.501).all()


def test_channels_of_zeros_and_of_next_to_nothing_keep_their_bias() -> None:
    kernel = np.zeros((4, 3), np.float32)
    kernel[1], kernel[2] = 1e-9, 1e-30
    bias = np.array([0.5, -0.5, 40.0, 0.0], np.float32)
    for step in (CROP_STEP, 1e-6, 10.0):
        found = WholeNumbers.of(kernel, bias, step)
        assert np.isfinite(found.steps).all()
        assert (found.steps > 0).all()
        np.testing.assert_allclose(found.bias * found.steps * step, bias, rtol=1e-6)
        assert (np.abs(found.bias.astype(np.int64)) <= 1.001 * (1 << 30)).all()
        products = found.kernel * found.steps[:, np.newaxis] - kernel
        # What the weights lost is nothing beside the bias.
        assert (np.abs(products).sum(axis=1) * 255 * step <= 1e-6 * np.abs(bias) + 1e-12).all()


# ---------------------------------------------------------------- activations


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [*STAGES, "odd"])
def test_ranges_are_the_largest_activations_of_the_network(shipped: ModelFiles, name: str) -> None:
    from inkmill.models.network import Network

    if name == "odd":
        layers = (Conv(3, size=4), Pool(3), Conv(4, size=2, padding="valid"), Dense(5), Dense(6))
        manifest, arrays = untrained(layers)
        examples = crops(70)
    else:
        manifest, arrays, examples, _ = stage(shipped, name)
    found = activation_steps(manifest, arrays, examples)
    names = [
        each for each, layer in named_layers(manifest.layers) if isinstance(layer, Conv | Dense)
    ]
    assert list(found) == names[:-1]
    for number, (each, _) in enumerate(named_layers(manifest.layers), 1):
        if each in found:
            part = manifest.layers[:number]
            largest = Network(part, arrays).features(examples).numpy().max()
            assert found[each] == pytest.approx(largest / 255, rel=1e-4)


def test_a_layer_that_no_example_activates_gets_a_range_all_the_same() -> None:
    manifest, arrays = untrained((Conv(2), Conv(3), Dense(4)))
    arrays["conv1/kernel"][:] = 0
    arrays["conv1/bias"][:] = -1
    arrays["conv2/bias"][:] = 0
    assert activation_steps(manifest, arrays, crops(ENOUGH)) == {"conv1": 1 / 255, "conv2": 1 / 255}


def test_one_product_alone_has_no_steps() -> None:
    manifest, arrays = untrained((Dense(4), Dropout()))
    assert activation_steps(manifest, arrays, crops(ENOUGH)) == {}


@pytest.mark.parametrize(
    ("layers", "cause"),
    [
        (ARCHITECTURES["lenet5"].layers, "layers with tanh"),
        ((Conv(2), Dense(3, activation="tanh")), "layers with tanh"),
        ((Conv(2), Pool(how="mean"), Dense(3)), "pools by mean"),
    ],
)
def test_networks_without_whole_numbers_are_refused(layers: Any, cause: str) -> None:
    manifest, arrays = untrained(layers, 32)
    with pytest.raises(ModelError, match=cause):
        activation_steps(manifest, arrays, crops(ENOUGH, 32))


def test_a_golden_set_of_a_few_crops_is_no_measure_of_others(shipped: ModelFiles) -> None:
    manifest, arrays, golden, _ = stage(shipped, "first stage")
    with pytest.raises(ModelError, match="has 63 crops, and 64 or more are needed"):
        activation_steps(manifest, arrays, golden[: ENOUGH - 1])
    assert activation_steps(manifest, arrays, golden[:ENOUGH])


def test_a_network_that_overflows_is_refused() -> None:
    manifest, arrays = untrained((Conv(2), Conv(3), Dense(4)))
    arrays["conv1/kernel"][:] = 3e38
    with np.errstate(all="ignore"), pytest.raises(ModelError, match="NaN or infinity"):
        activation_steps(manifest, arrays, crops(ENOUGH))


# ---------------------------------------------------------------- the whole network


def rounded(manifest: Manifest, arrays: Weights, steps: dict[str, float]) -> Weights:
    """The weights as floats again, after they were whole numbers."""
    found, step = dict(arrays), CROP_STEP
    for name, _ in named_layers(manifest.layers):
        if f"{name}/kernel" not in arrays:
            continue
        kernel = np.moveaxis(arrays[f"{name}/kernel"], -1, 0)
        whole = WholeNumbers.of(kernel, arrays[f"{name}/bias"], step)
        scale = whole.steps.reshape(-1, *[1] * (kernel.ndim - 1))
        found[f"{name}/kernel"] = np.moveaxis(whole.kernel * scale, 0, -1).astype(np.float32)
        found[f"{name}/bias"] = (whole.bias * whole.steps * step).astype(np.float32)
        step = steps.get(name, 0.0)
    return found


def emulated(manifest: Manifest, arrays: Weights, examples: np.ndarray, read: np.ndarray) -> Any:
    """What int8 says of crops, computed in floats that hold whole numbers of steps."""
    steps = activation_steps(manifest, arrays, examples)
    rounding = whole_numbers._activations(manifest, rounded(manifest, arrays, steps), read)
    *_, (_, last) = _with_steps(rounding, steps)
    flat = last.reshape(len(read), -1)
    logits = flat @ arrays["logits/kernel"] + arrays["logits/bias"]
    shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / manifest.temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares * (1 - manifest.floor) + manifest.floor / shares.shape[1]


def _with_steps(
    rounding: Iterator[tuple[str, Any]], steps: dict[str, float]
) -> Iterator[tuple[str, Any]]:
    for name, values in rounding:
        if name in steps:
            # In place: the next layer takes what is there.
            values[:] = np.clip(np.rint(values / steps[name]), 0, 255) * steps[name]
        yield name, values


@pytest.mark.parametrize("name", STAGES)
def test_both_networks_read_their_golden_set_in_whole_numbers(
    shipped: ModelFiles, name: str
) -> None:
    from inkmill.models.predictor import _TOLERANCE

    manifest, arrays, golden, expected = stage(shipped, name)
    found = emulated(manifest, arrays, golden, golden)
    assert 1e-4 < np.abs(found - expected).max() < _TOLERANCE["int8"]
    sure = expected.max(axis=1) >= 0.6
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[sure].all()


# ---------------------------------------------------------------- OpenVINO


def opened(files: ModelFiles, golden: bytes | None, precision: str = "openvino-int8") -> Any:
    from inkmill.models.predictor import Predictor

    return Predictor(
        files.manifest,
        files.weights,
        precision=precision,
        threads=1,
        shapes=SHAPES,
        golden=golden,
    )


@with_openvino
@pytest.mark.parametrize("name", STAGES)
def test_openvino_computes_what_the_numbers_say(shipped: ModelFiles, name: str) -> None:
    manifest, arrays, golden, _ = stage(shipped, name)
    runtime = protocol.open_runtime("openvino-int8", manifest, arrays, [len(golden)], 1, golden)
    # A sum at the edge between two steps may be rounded either way.
    found = emulated(manifest, arrays, golden, golden)
    np.testing.assert_allclose(runtime.run(golden), found, atol=0.02)


@with_openvino
def test_the_cascade_passes_the_check_of_its_golden_set(shipped: ModelFiles) -> None:
    predictor = opened(shipped, shipped.golden)
    assert predictor.precision == "openvino-int8"
    assert 1e-4 < predictor.check(shipped.golden) < 0.08
    whole = predictor.predict(crops(37))
    kept = whole.copy()
    predictor.predict(crops(16)[::-1])
    np.testing.assert_array_equal(whole, kept)
    np.testing.assert_array_equal(predictor.predict(crops(37)[::-1])[::-1], whole)


def scaled(files: ModelFiles) -> ModelFiles:
    """Another version: activations of the first convolutions ten times as large, the next kernels
    a tenth; it reads the same."""
    arrays = decode_weights(files.weights, files.manifest)
    for prefix in ("", "first_stage/"):
        arrays[f"{prefix}conv1/kernel"] *= 10
        arrays[f"{prefix}conv1/bias"] *= 10
        arrays[f"{prefix}conv2/kernel"] /= 10
    weights = encode_weights(arrays, "float32")
    manifest = replace(files.manifest, weights=Blob.of(weights))
    return replace(files, manifest=manifest, weights=weights)


@with_openvino
def test_other_weights_have_ranges_of_their_own(shipped: ModelFiles) -> None:
    other, predictor = scaled(shipped), opened(shipped, shipped.golden)
    before = predictor.predict(crops(20))
    for golden in (None, b"no golden set"):
        with pytest.raises(ModelError):
            predictor.load(other.manifest, other.weights, golden)
        np.testing.assert_array_equal(predictor.predict(crops(20)), before)
    predictor.load(other.manifest, other.weights, other.golden)
    assert predictor.version == other.manifest.version
    assert predictor.check(other.golden) < 0.08
    np.testing.assert_allclose(predictor.predict(crops(20)), before, atol=0.02)


@with_openvino
def test_a_golden_set_that_is_missing_is_named(shipped: ModelFiles) -> None:
    with pytest.raises(ModelError, match="runs in int8 only with its golden set"):
        opened(shipped, None)
    # Other precisions do not look at it.
    assert opened(shipped, b"", "openvino-float32").predict(crops(2)).any()


@with_openvino
def test_other_networks_are_refused_in_words(shipped: ModelFiles) -> None:
    manifest, arrays = untrained(ARCHITECTURES["lenet5"].layers, 32)
    with pytest.raises(ModelError, match=r"^int8 needs ReLU"):
        protocol.open_runtime("openvino-int8", manifest, arrays, [4], 1, crops(ENOUGH, 32))


@with_openvino
@pytest.mark.parametrize(
    "layers", [(Conv(3), Pool(), Dropout()), (Dense(6), Dropout()), (Conv(3), Dense(4), Dense(5))]
)
def test_networks_of_any_depth_run(layers: Any) -> None:
    manifest, arrays = untrained(layers)
    arrays[f"{next(named_layers(layers))[0]}/kernel"][..., 0] = 0
    read = crops(ENOUGH)
    found, expected = (
        protocol.open_runtime(precision, manifest, arrays, [ENOUGH], 1, read).run(read)
        for precision in ("openvino-int8", "openvino-float32")
    )
    assert np.ptp(expected, axis=1).min() > 0.1
    np.testing.assert_allclose(found, expected, atol=0.05)
