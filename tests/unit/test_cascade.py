"""Models of two networks: a first stage decides what it is sure of, the network reads the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import ModelError, UsageError
from inkmill.models.cascade import PREFIX, divided
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.weights import Golden, ModelFiles, decode_weights, encode_weights
from tests.unit.digit_images import cell, write_folder
from tests.unit.small_trainings import config, options

pytestmark = pytest.mark.tensorflow

FIRST = [
    {"kind": "conv", "filters": 6},
    {"kind": "pool", "size": 4},
    {"kind": "dense", "units": 24},
    {"kind": "dropout"},
]
SIZES = (0.85, 1.12)


def settings(**changes: Any) -> Any:
    return config(
        sources=[{"kind": "folder", "path": "old"}],
        first_stage=FIRST,
        training={"steps": 80, "initialiser": "he", "learning_rate": 0.004},
        **changes,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cascade")
    write_folder(root / "old")
    return root


@pytest.fixture(scope="module")
def trained(folder: Path) -> ModelFiles:
    from inkmill.trainer.train import train

    asked = settings(reading={"sizes": SIZES, "margin": 4.0, "sure": 0.95})
    files: ModelFiles = train(asked, MemoryStore(), "two", options(folder, folder)).files
    return files


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Digits, and the same with so much noise that many are doubtful."""
    from inkmill.forms.cut.normalise import normalise

    images = [cell(str(label), 900 + label + 10 * turn) for turn in range(8) for label in range(10)]
    made = [normalise(each, 32) for each in images]
    whole = np.stack([each for each in made if each is not None])
    noise = np.random.default_rng(3).normal(0, 70, whole.shape)
    return np.concatenate([whole, np.clip(whole + noise, 0, 255).astype(np.uint8)])


def predictor(files: ModelFiles, **changes: Any) -> Any:
    from inkmill.models.predictor import Predictor

    return Predictor(replace(files.manifest, **changes), files.weights, shapes=(16, 64))


def first_of(files: ModelFiles, **changes: Any) -> Any:
    assert files.manifest.first_stage is not None
    return replace(files.manifest.first_stage, **changes)


def log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, None))


def test_both_networks_are_trained_at_once(trained: ModelFiles, crops: np.ndarray) -> None:
    model = predictor(trained)
    clear = crops[: len(crops) // 2]
    labels = np.tile(np.arange(10), 8)
    assert len(labels) == len(clear)
    for found in (model.once(clear), model.by_first_stage(clear)):
        assert (found.argmax(axis=1) == labels).mean() > 0.8
    assert trained.manifest.first_stage is not None
    assert trained.manifest.first_stage.sure == 0.95
    (test,) = trained.manifest.metrics["sets"]
    decided = trained.manifest.metrics["first_stage"][test["name"]]
    assert 0 < decided["decided"] <= test["samples"]


@pytest.mark.parametrize(
    ("temperature", "floor", "first_temperature", "first_floor"),
    [(1.3, 0.0, 0.7, 0.0), (0.8, 1e-3, 0.4, 2e-2), (1.7, 3e-5, 0.5, 1e-4)],
)
def test_the_first_stage_decides_only_what_it_is_sure_of(
    trained: ModelFiles,
    crops: np.ndarray,
    temperature: float,
    floor: float,
    first_temperature: float,
    first_floor: float,
) -> None:
    first = first_of(trained, temperature=first_temperature, floor=first_floor, sure=0.9)
    model = predictor(trained, first_stage=first, temperature=temperature, floor=floor)
    found = model.predict(crops)
    quick = model.by_first_stage(crops)
    decided = quick.max(axis=1) >= 0.9
    assert 10 < decided.sum() < len(crops) - 10
    np.testing.assert_array_equal(found[decided], quick[decided])

    # The rest: by the network; doubtful ones by the mean of its logits at three sizes and of the
    # first stage's. Raw logits, without a temperature or a floor.
    from inkmill.models.resized import resized

    flat = {"temperature": 1.0, "floor": 0.0}
    raw = predictor(trained, first_stage=first_of(trained, sure=1.0, **flat), **flat)
    readings = [log(raw.once(crops)), log(raw.by_first_stage(crops))]
    lead = np.diff(np.sort(readings[0], axis=1)[:, -2:], axis=1)[:, 0]
    doubtful = lead < trained.manifest.margin
    assert (doubtful & ~decided).sum() > 5
    readings += [log(raw.once(resized(crops, size))) for size in SIZES]
    mean = np.mean(readings, axis=0)
    logits = np.where(doubtful[:, None], mean, readings[0]) / temperature
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    expected = expected * (1 - floor) + floor / expected.shape[1]
    np.testing.assert_allclose(found[~decided], expected[~decided], atol=2e-3)


def test_sure_1_leaves_everything_to_the_network(trained: ModelFiles, crops: np.ndarray) -> None:
    # So cold that float32 knows certainties.
    cold = first_of(trained, temperature=0.02, floor=0.0, sure=1.0)
    model = predictor(trained, first_stage=cold, sizes=(), margin=0.0)
    assert (model.by_first_stage(crops).max(axis=1) == 1.0).sum() > 10
    np.testing.assert_allclose(model.predict(crops), model.once(crops), atol=1e-4)


def test_each_network_is_calibrated_by_itself(folder: Path) -> None:
    """Networks of known logits: what is fitted makes the shares right again."""
    from inkmill.trainer.crops.material import to_crops
    from inkmill.trainer.data.readers import load
    from inkmill.trainer.publish.calibrate import calibrate

    asked = settings(reading={"sure": 0.97})
    samples = load(asked, folder).samples
    labels = to_crops(samples, asked).labels
    rng = np.random.default_rng(4)

    def softmax(spread: float) -> np.ndarray:
        """Right in four of five, and as sure of each as ``spread`` makes it look."""
        shown = np.where(rng.random(len(labels)) < 0.8, labels, (labels + 1) % 10)
        logits = np.zeros((len(labels), len(asked.classes)))
        logits[np.arange(len(labels)), shown] = spread
        odds = np.exp(logits)
        shares: np.ndarray = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares

    class Known:
        def predict(self, crops: np.ndarray) -> np.ndarray:
            return softmax(8.0)

        def by_first_stage(self, crops: np.ndarray) -> np.ndarray:
            return softmax(2.0)

    known: Any = Known()
    fitted, facts, _ = calibrate(known, samples, asked)
    first_temperature, _ = fitted.first
    assert fitted.temperature > 1.5, "the network was too sure"
    assert first_temperature < 0.8, "the first stage not sure enough"
    assert (fitted.sure, facts["samples"]) == (0.97, len(labels))
    nothing, facts, crops = calibrate(known, [], asked)
    assert (nothing.sure, facts["samples"], crops) == (1.0, 0, None)


def test_a_first_stage_that_diverges_ends_the_training(folder: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from inkmill.trainer.learner import Learner, initial_weights

    asked = settings()
    weights = initial_weights(asked)
    weights[f"{PREFIX}logits/bias"][0] = np.nan
    learner = Learner(asked, tf.distribute.get_strategy(), "float32", weights=weights)
    side = asked.input_size
    loss, _ = learner.step(np.zeros((4, side, side), np.uint8), np.arange(4, dtype=np.int32), 0)
    assert np.isnan(loss)


def test_a_reading_does_not_depend_on_its_neighbours(
    trained: ModelFiles, crops: np.ndarray
) -> None:
    model = predictor(trained)
    alone = np.concatenate([model.predict(crops[at : at + 1]) for at in range(0, len(crops), 9)])
    np.testing.assert_allclose(model.predict(crops)[::9], alone, atol=1e-3)
    assert model.predict(crops[:0]).shape == (0, len(trained.manifest.classes))


def test_the_golden_set_checks_both_networks(trained: ModelFiles) -> None:
    assert predictor(trained).check(trained.golden) < 1e-3
    arrays = decode_weights(trained.weights, trained.manifest)
    arrays[f"{PREFIX}logits/bias"] = arrays[f"{PREFIX}logits/bias"][::-1] + 3 * np.arange(12)
    weights = encode_weights(arrays)
    broken = replace(trained, weights=weights)
    model = predictor(broken, weights=Blob.of(weights))
    with pytest.raises(ModelError, match="golden readings changed"):
        model.check(trained.golden)
    without = Golden.decode(trained.golden, trained.manifest)
    golden = replace(without, first_stage=None).encode()
    with pytest.raises(ModelError, match="must hold exactly crops, first_stage, probabilities"):
        Golden.decode(golden, replace(trained.manifest, golden=Blob.of(golden)))


def test_another_version_is_loaded_in_place(trained: ModelFiles, crops: np.ndarray) -> None:
    model = predictor(trained)
    arrays = decode_weights(trained.weights, trained.manifest)
    weights = encode_weights({name: 0.9 * value for name, value in arrays.items()})
    other = replace(trained.manifest, weights=Blob.of(weights))
    before = model.by_first_stage(crops)
    model.load(other, weights)
    expected = predictor(replace(trained, manifest=other, weights=weights))
    np.testing.assert_allclose(model.predict(crops), expected.predict(crops), atol=1e-5)
    assert np.abs(model.by_first_stage(crops) - before).max() > 0.01
    network, _ = divided(arrays)
    data = encode_weights(network)
    alone = replace(trained.manifest, first_stage=None, weights=Blob.of(data))
    with pytest.raises(ModelError, match="different network"):
        model.load(alone, data)
    with pytest.raises(ModelError, match="has no first stage"):
        predictor(replace(trained, manifest=alone, weights=data)).by_first_stage(crops)


def test_a_manifest_tells_of_its_first_stage(trained: ModelFiles) -> None:
    manifest = trained.manifest
    assert Manifest.decode(manifest.encode()) == manifest
    alone = replace(manifest, first_stage=None)
    assert "first_stage" not in json.loads(alone.encode())
    for change, message in (
        ({"sure": 0.3}, r"first_stage\.sure: .*greater than or equal to 0.5"),
        ({"temperature": 0.0}, r"first_stage\.temperature"),
        ({"layers": []}, r"first_stage\.layers: .*at least 1"),
        ({"layers": [{"kind": "pool", "size": 99, "how": "max"}]}, "reduce to nothing"),
        ({"layers": [{"kind": "columns"}]}, "only networks of single characters"),
    ):
        record = json.loads(manifest.encode())
        record["first_stage"] |= change
        data = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(ModelError, match=message):
            Manifest.decode(data)
    network, _ = divided(decode_weights(trained.weights, manifest))
    data = encode_weights(network)
    with pytest.raises(ModelError, match=r"do not match the architecture: .*first_stage/conv1"):
        decode_weights(data, replace(manifest, weights=Blob.of(data)))


def test_fine_tuning_goes_on_with_both(folder: Path, trained: ModelFiles) -> None:
    from inkmill.trainer.fine_tuning import Parent
    from inkmill.trainer.train import train

    asked = settings(reading={"sizes": SIZES, "margin": 4.0})
    more = asked.model_copy(update={"parent": trained.manifest.version})
    short = more.model_copy(update={"training": more.training.model_copy(update={"steps": 4})})
    store = MemoryStore()
    tuned = train(short, store, "more", options(folder, folder / "more"), Parent(trained)).files
    before, after = (decode_weights(each.weights, each.manifest) for each in (trained, tuned))
    moved = {name: np.abs(after[name] - before[name]).max() for name in before}
    assert 0 < moved["logits/bias"] < 0.05
    assert 0 < moved[f"{PREFIX}logits/bias"] < 0.05
    with pytest.raises(
        UsageError, match="with a first stage, the config lenet5 with no first stage"
    ):
        Parent(trained).weights(config(sources=[{"kind": "folder", "path": "old"}]))


def test_an_exported_model_is_the_network_alone(trained: ModelFiles, tmp_path: Path) -> None:
    from inkmill.trainer.publish.exporters import export_savedmodel

    assert export_savedmodel(trained, tmp_path / "saved") < 1e-3


def test_strips_have_no_first_stage() -> None:
    with pytest.raises(UsageError, match="first_stage: only networks of single characters"):
        config(
            architecture="strips",
            classes=[*"0123456789", "reject"],
            first_stage=FIRST,
            negatives={"blank": 0.0, "reject": 0.0},
        )
    with pytest.raises(UsageError, match="first_stage: the layers reduce to nothing"):
        config(first_stage=[{"kind": "pool"}] * 6)
