"""What validation samples tell about a trained network: how sure its readings may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
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
    is that of the writer who needs the highest: see `demanding_temperature`.
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
    writers = [chosen[at].group for at, digit in zip(crops.kept, digits, strict=True) if digit]

    def fitted(read: NDArray[np.float64]) -> tuple[float, float]:
        temperature, floor = fit_calibration(read[digits], labels[digits])
        hardest = demanding_temperature(read[digits], labels[digits], writers)
        return max(temperature, hardest), floor

    logits = _log(predictor.predict(crops.crops))
    found = Calibrated(*fitted(logits))
    if config.network.first_stage:
        first = fitted(_log(predictor.by_first_stage(crops.crops)))
        found = replace(found, first=first, sure=config.reading.sure)
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


def _digits(labels: NDArray[np.int32], config: Config) -> NDArray[np.bool_]:
    """Which samples are digits; all, where none is."""
    digits = np.array([name.isdigit() for name in config.classes])[labels]
    return digits if digits.any() else np.ones(len(labels), np.bool_)


def _log(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities.astype(np.float64), 1e-30, None)))


def left_out(kept: NDArray[np.int64], total: int) -> list[int]:
    """The numbers below ``total`` that were not kept."""
    return sorted(set(range(total)) - set(kept.tolist()))
