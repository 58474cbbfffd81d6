"""What validation samples tell about a trained network: how sure its readings may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.models.manifest import REJECT
from inkmill.models.predictor import Predictor
from inkmill.rules.accept import curve
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import Crops, to_crops
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.metrics import (
    Share,
    demanding_temperature,
    fit_calibration,
    log_loss,
)
from inkmill.trainer.publish.drafts import UNCALIBRATED, Calibrated


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's readings of a data set, in the order of ``samples``; ``inkless`` have no ink."""

    samples: list[Sample]
    crops: Crops
    probabilities: NDArray[np.float32]
    inkless: list[Sample]
    classes: tuple[str, ...]

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.probabilities.argmax(axis=1) == self.crops.labels)

    @property
    def share(self) -> Share:
        """Accuracy; a sample without ink counts as wrong."""
        return Share(int(self.right.sum()), len(self.samples) + len(self.inkless))


def measure(predictor: Predictor, samples: Sequence[Sample], config: Config) -> Measured:
    """Normalise and read samples."""
    crops = to_crops(samples, config)
    kept = [samples[at] for at in crops.kept]
    inkless = [samples[at] for at in left_out(crops.kept, len(samples))]
    return Measured(kept, crops, predictor.predict(crops.crops), inkless, config.classes)


def calibrate(
    predictor: Predictor, validation: Sequence[Sample], config: Config
) -> tuple[Calibrated, dict[str, Any], Crops | None]:
    """Fit temperatures and floors on validation samples; on those of held-out writers if there are.

    ``predictor`` has the uncalibrated model. Returns also facts for the manifest, and the crops of
    the samples; without samples nothing is calibrated, and a first stage decides nothing. Raises
    UsageError if no sample has any ink.

    Samples are used as found. Drawn as in training, with its grounds and damage, they would demand
    a higher temperature, which makes what is plain on ordinary paper look doubtful. The temperature
    is that of the writer who needs the highest: see `demanding_temperature`. A first stage is only
    believed where it is very sure, and has the temperature of all of them together.
    """
    if not validation:
        return UNCALIBRATED, {"samples": 0}, None
    by_writers = [sample for sample in validation if sample.group]
    chosen = by_writers or list(validation)
    crops = to_crops(chosen, config)
    labels = crops.labels
    if not len(labels):
        raise UsageError("no validation sample has any ink: look at them with inkmill data preview")
    digits = _digits(labels, config)
    logits = _log(predictor.predict(crops.crops))
    temperature, floor = _fitted(logits, labels, digits & _taken(logits, config))
    writers = [chosen[at].group for at in crops.kept]
    found = Calibrated(max(temperature, _hardest(logits, labels, writers, config)), floor)
    if config.network.first_stage:
        first = _log(predictor.by_first_stage(crops.crops))
        fitted = _fitted(first, labels, digits & _taken(first, config))
        found = replace(found, first=fitted, sure=config.reading.sure)
    facts = {
        "samples": int(digits.sum()),
        "groups": sorted({sample.group for sample in by_writers}),
        "log_loss_before": round(log_loss(np.exp(logits), labels), 5),
    }
    return found, facts, crops


def curve_of(predictor: Predictor, crops: Crops, config: Config) -> list[Any]:
    """How often the calibrated model is wrong at each confidence, on the digits it was fitted to.

    It proves a form's target error as long as the form has no labels of its own.
    """
    seen = _digits(crops.labels, config)
    found = predictor.predict(crops.crops)
    right = found.argmax(axis=1) == crops.labels
    return list(curve(found.max(axis=1)[seen].tolist(), right[seen].tolist()))


def _fitted(
    logits: NDArray[np.float64], labels: NDArray[np.int32], chosen: NDArray[np.bool_]
) -> tuple[float, float]:
    return fit_calibration(logits[chosen], labels[chosen]) if chosen.any() else (1.0, 0.0)


def _hardest(
    logits: NDArray[np.float64], labels: NDArray[np.int32], writers: Sequence[str], config: Config
) -> float:
    """The temperature of the writer who needs the highest."""
    chosen = np.flatnonzero(_digits(labels, config) & _taken(logits, config))
    return demanding_temperature(logits[chosen], labels[chosen], [writers[at] for at in chosen])


def _taken(logits: NDArray[np.float64], config: Config) -> NDArray[np.bool_]:
    """Which readings somebody may accept: a reject, right or wrong, goes to a person anyway, and
    says nothing about how sure the others may be."""
    if REJECT not in config.classes:
        return np.ones(len(logits), np.bool_)
    return np.asarray(logits.argmax(axis=1) != config.classes.index(REJECT))


def _digits(labels: NDArray[np.int32], config: Config) -> NDArray[np.bool_]:
    """Which samples are digits; all, where none is."""
    digits = np.array([name.isdigit() for name in config.classes])[labels]
    return digits if digits.any() else np.ones(len(labels), np.bool_)


def _log(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities.astype(np.float64), 1e-30, None)))


def left_out(kept: NDArray[np.int64], total: int) -> list[int]:
    """The numbers below ``total`` that were not kept."""
    return sorted(set(range(total)) - set(kept.tolist()))
