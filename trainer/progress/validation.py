"""Measuring a training on its validation part, the best weights so far, and plateaus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.progress.readings import Validated, Weights, reading_of


class Validator:
    """Reads validation samples with weights in training, and remembers the best ones.

    What it remembers is part of a checkpoint.
    """

    def __init__(self, config: Config, samples: Sequence[Sample], weights: Weights) -> None:
        self._config = config
        self._reading = reading_of(config, samples, weights)
        self._best: dict[str, NDArray[np.float32]] = {}
        self._least, self._at = float("inf"), 0
        # Validations since the lowest loss; since it or the last decay; and decays so far.
        self._stale, self._waiting, self._decays = 0, 0, 0

    @property
    def is_empty(self) -> bool:
        return not self._reading.count

    def measure(self, step: int, weights: Weights) -> Validated:
        """Read the validation part, and keep the weights if their loss is the lowest so far."""
        found = self._reading.read(weights)
        if found.loss < self._least:
            self._least, self._at, self._stale, self._waiting = found.loss, step, 0, 0
            if self._config.validation.keeps_best:
                self._best = {name: np.array(value) for name, value in weights.items()}
        else:
            self._stale += 1
            self._waiting += 1
            if self._waiting == self._config.training.decay_patience:
                self._waiting, self._decays = 0, self._decays + 1
        return found

    @property
    def factor(self) -> float:
        """That of the learning rate, after the plateaus so far."""
        training = self._config.training
        return training.decay**self._decays if training.schedule == "plateau" else 1.0

    @property
    def is_done(self) -> bool:
        """Whether the loss has not fallen for as many validations as the config allows."""
        patience = self._config.validation.patience
        return patience > 0 and self._stale >= patience

    def facts(self) -> dict[str, Any]:
        """For the manifest: the lowest loss, and the best weights' figures if they are kept."""
        if not self._at:
            return {}
        facts: dict[str, Any] = {"validation": {"lowest_loss": self._least, "step": self._at}}
        if self._best:
            facts["best"] = {"step": self._at, "validation_loss": self._least}
        return facts

    def best(self, last: Weights) -> Weights:
        """The weights to use: the best ones if they are kept, else the last ones."""
        return self._best or last

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is remembered, for a checkpoint."""
        state = [self._least, self._at, self._stale, self._waiting, self._decays]
        best = {f"best/{name}": value for name, value in self._best.items()}
        return {"validation": np.array(state, np.float64), **best}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Remember what a checkpoint says."""
        if "validation" in arrays:
            self._least, *counts = arrays["validation"].tolist()
            self._at, self._stale, self._waiting, self._decays = map(int, counts)
            self._best = {
                name.removeprefix("best/"): np.asarray(value)
                for name, value in arrays.items()
                if name.startswith("best/")
            }
