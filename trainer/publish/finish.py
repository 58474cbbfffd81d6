"""Turn trained weights into a model: calibrated, measured, with golden set and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.models.manifest import Blob
from inkmill.models.predictor import Predictor
from inkmill.models.weights import Golden, ModelFiles, encode_weights
from inkmill.trainer.config import Config
from inkmill.trainer.crops.blocks import BlockMaker
from inkmill.trainer.crops.material import Crops, Material, normalised
from inkmill.trainer.data.samples import Dataset, Sample
from inkmill.trainer.measure.metrics import Share, share_by
from inkmill.trainer.publish.calibrate import Measured, calibrate, curve_of, left_out, measure
from inkmill.trainer.publish.drafts import described, draft

#: Crops of a golden set: enough to notice a wrong weight, few enough to be checked quickly.
_GOLDEN = 128
#: Number of drawn blanks and rejects that a finished model is measured on.
_NEGATIVES = 1000
#: Confidences above which a test set's digits are counted: fields of several cells need the last.
_SURE = (0.99, 0.999)


def negatives(config: Config, material: Material, count: int, seed: int) -> tuple[Any, Any]:
    """Crops of the drawn classes in turn, from a seed that no training uses; with labels."""
    maker = BlockMaker(config, material)
    rng = np.random.default_rng([config.training.seed, 9, seed])
    kinds = [*config.drawn] * (count // len(config.drawn))
    crops = np.stack([maker.negative(kind, rng) for kind in kinds])
    return crops, np.array([config.classes.index(kind) for kind in kinds], np.int32)


def _metrics(
    config: Config,
    predictor: Predictor,
    material: Material,
    tests: Mapping[str, Sequence[Sample]],
    measured: Mapping[str, Measured],
) -> dict[str, Any]:
    sets = [_set(name, tests[name], each) for name, each in measured.items()]
    metrics: dict[str, Any] = {"sets": sets}
    if sets:
        metrics["accuracy"] = sets[0]["accuracy"]
    if predictor.manifest.first_stage is not None:
        metrics["first_stage"] = _decided(predictor, measured)
    if config.negatives.reject:
        metrics["negatives"] = _negative_rates(config, predictor, material)
    return metrics


def _decided(predictor: Predictor, measured: Mapping[str, Measured]) -> dict[str, dict[str, int]]:
    """Of each test set: how many images the first stage decided by itself, and how many wrongly."""
    first = predictor.manifest.first_stage
    assert first is not None
    found = {}
    for name, each in measured.items():
        readings = predictor.by_first_stage(each.crops.crops)
        decided = (readings.max(axis=1) >= first.sure) & (first.sure < 1)
        wrong = decided & (readings.argmax(axis=1) != each.crops.labels)
        found[name] = {"decided": int(decided.sum()), "wrong": int(wrong.sum())}
    return found


def _negative_rates(config: Config, predictor: Predictor, material: Material) -> dict[str, Any]:
    """How many blanks, rejects and marks, drawn from another seed than in training, are recognised.

    "kept out" counts those not read as a digit, whichever of the other classes they were given.
    """
    crops, labels = negatives(config, material, _NEGATIVES, seed=8)
    readings = predictor.predict(crops).argmax(axis=1)
    digits = [number for number, name in enumerate(config.classes) if name.isdigit()]
    rates = {}
    for name in config.drawn:
        number = config.classes.index(name)
        mine = readings[labels == number]
        rates[name] = {
            "samples": len(mine),
            "known": round(float((mine == number).mean()), 4),
            "kept out": round(float((~np.isin(mine, digits)).mean()), 4),
        }
    return rates


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished model with its measurements."""

    files: ModelFiles
    predictor: Predictor
    validation: Measured | None
    tests: Mapping[str, Measured]


def finish(
    config: Config,
    arrays: Mapping[str, NDArray[np.float32]],
    validation: Sequence[Sample],
    tests: Mapping[str, Sequence[Sample]],
    material: Material,
    facts: Mapping[str, Any],
) -> Finished:
    """Make a model from trained weights.

    ``tests`` are frozen test sets by name; ``facts`` go into the manifest: data, parents, metrics
    of the training itself, and the list of its images.
    """
    weights = encode_weights(arrays)
    predictor = Predictor(draft(config, weights), weights)
    calibrated, calibration, checked = calibrate(predictor, validation, config)
    manifest = draft(config, weights, calibrated)
    predictor.load(manifest, weights)
    if checked is not None:
        calibration["curve"] = curve_of(predictor, checked, config)
    measured = {name: measure(predictor, samples, config) for name, samples in tests.items()}
    golden = _golden(config, predictor, checked, material)
    metrics = dict(facts.get("metrics", {}))
    metrics |= _metrics(config, predictor, material, tests, measured)
    manifest = described(
        manifest, config, {**facts, "metrics": metrics, "calibration": calibration}
    )
    manifest = replace(manifest, golden=Blob.of(golden))
    predictor.load(manifest, weights)
    files = ModelFiles(manifest, weights, golden, facts.get("trained_on", b""))
    # What is published must pass the check that workers make.
    predictor.check(golden)
    again = measure(predictor, validation, config) if validation else None
    return Finished(files, predictor, again, measured)


def _golden(
    config: Config, predictor: Predictor, checked: Crops | None, material: Material
) -> bytes:
    """Crops of all classes with the probabilities of this model's network."""
    crops = checked.crops if checked is not None else np.asarray(material.crops)
    labels = checked.labels if checked is not None else np.asarray(material.labels)
    with_negatives = config.negatives.reject > 0
    quarter = _GOLDEN // 4 if with_negatives else 0
    # Crops of all classes in turn.
    by_class = [np.flatnonzero(labels == number) for number in range(len(config.classes))]
    turns = max((len(each) for each in by_class), default=0)
    order = [each[turn] for turn in range(turns) for each in by_class if turn < len(each)]
    chosen = crops[order[: _GOLDEN - quarter]]
    if with_negatives:
        chosen = np.concatenate([chosen, negatives(config, material, quarter, seed=7)[0]])
    return golden_of(predictor, chosen).encode()


def golden_of(predictor: Predictor, crops: NDArray[np.uint8]) -> Golden:
    """What each network of a model says of crops, uint8 (n, size, size)."""
    first = predictor.manifest.first_stage is not None
    return Golden(crops, predictor.once(crops), predictor.by_first_stage(crops) if first else None)


def _set(name: str, samples: Sequence[Sample], measured: Measured) -> dict[str, Any]:
    share = measured.share
    labels = [sample.label for sample in measured.samples]
    groups = [sample.group for sample in measured.samples]
    return {
        "name": name,
        "sha256": Dataset(list(samples)).digest(),
        "samples": share.total,
        "accuracy": round(share.accuracy, 6),
        "interval": [round(end, 6) for end in share.interval],
        "by_class": _rounded(share_by(labels, measured.right)),
        "by_group": _rounded(share_by(groups, measured.right)),
        "sure": _sure(measured),
    }


def _sure(measured: Measured) -> dict[str, list[int]]:
    """For each confidence: how many samples were read as a digit with it, and how many wrongly."""
    digits = [number for number, name in enumerate(measured.classes) if name.isdigit()]
    best = measured.probabilities.argmax(axis=1)
    confident = np.where(np.isin(best, digits), measured.probabilities.max(axis=1), 0.0)
    return {
        str(level): [
            int((confident >= level).sum()),
            int(((confident >= level) & ~measured.right).sum()),
        ]
        for level in _SURE
    }


def measure_other(files: ModelFiles, tests: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """Measure another model on a finished model's test sets, as ``metrics["sets"]``.

    It is not measured on a set with a class that it lacks.
    """
    manifest = files.manifest
    predictor = Predictor(manifest, files.weights)
    sets = []
    for name, measured in tests.items():
        samples = [*measured.samples, *measured.inkless]
        if {sample.label for sample in samples} <= set(manifest.classes):
            crops = normalised(samples, manifest.classes, manifest.input_size, manifest.filters)
            kept = [samples[at] for at in crops.kept]
            missed = [samples[at] for at in left_out(crops.kept, len(samples))]
            probabilities = predictor.predict(crops.crops)
            found = Measured(kept, crops, probabilities, missed, manifest.classes)
            sets.append(_set(name, samples, found))
    return sets


def _rounded(shares: Mapping[str, Share]) -> dict[str, float]:
    return {name: round(share.accuracy, 6) for name, share in shares.items()}
