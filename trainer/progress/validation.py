"""Measuring a training on its validation part, and the best weights so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.models.network import Network
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import to_crops
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.metrics import share_by

Grey = NDArray[np.uint8]
Weights = Mapping[str, NDArray[np.float32]]

_BATCH = 256
#: Misread images that are kept for TensorBoard.
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Validated:
    """Figures of the validation part: mean cross entropy, accuracy, by class.

    ``misread`` uint8 (n, size, size) are the crops read wrongly with the highest confidence.
    """

    loss: float
    accuracy: float
    by_class: dict[str, float]
    misread: Grey


class Validator:
    """Reads validation samples with weights in training, and remembers the best ones.

    At most ``validation.most`` samples, drawn by seed. What it remembers is part of a checkpoint.
    """

    def __init__(self, config: Config, samples: Sequence[Sample], weights: Weights) -> None:
        self._config = config
        order = np.random.default_rng([config.split.seed, 7]).permutation(len(samples))
        made = to_crops([samples[at] for at in order[: config.validation.most]], config)
        self._crops, self._labels = made.crops, made.labels
        # Weights in training may be averaged: they are read through a network of their own.
        layers = config.network.layers
        self._network = Network(layers, weights, dtype="float32")
        self._logits = tf.function(self._network.logits, autograph=False)
        self._best: dict[str, NDArray[np.float32]] = {}
        self._least, self._stale, self._at = float("inf"), 0, 0

    @property
    def is_empty(self) -> bool:
        return not len(self._labels)

    def measure(self, step: int, weights: Weights) -> Validated:
        """Read the validation part, and keep the weights if their loss is the lowest so far."""
        self._network.assign(weights)
        log = np.concatenate([self._read(at) for at in range(0, len(self._labels), _BATCH)])
        given = log[np.arange(len(log)), self._labels]
        right = log.argmax(axis=1) == self._labels
        loss = float(-given.mean())
        if self._config.validation.keeps_best:
            self._remember(step, loss, weights)
        names = [self._config.classes[label] for label in self._labels]
        wrong = np.flatnonzero(~right)
        worst = wrong[np.argsort(-log[wrong].max(axis=1))][:_SHOWN]
        by_class = {name: share.accuracy for name, share in share_by(names, right).items()}
        return Validated(loss, float(right.mean()), by_class, self._crops[worst])

    def _read(self, at: int) -> NDArray[np.float32]:
        batch = self._crops[at : at + _BATCH]
        # One shape, so that nothing is traced twice.
        padded = np.concatenate(
            [batch, np.zeros((_BATCH - len(batch), *batch.shape[1:]), np.uint8)]
        )
        values = tf.nn.log_softmax(self._logits(tf.constant(padded))).numpy()
        return np.asarray(values[: len(batch)], np.float32)

    def _remember(self, step: int, loss: float, weights: Weights) -> None:
        if loss < self._least:
            self._least, self._stale, self._at = loss, 0, step
            self._best = {name: np.array(value) for name, value in weights.items()}
        else:
            self._stale += 1

    @property
    def is_done(self) -> bool:
        """Whether the loss has not fallen for as many validations as the config allows."""
        patience = self._config.validation.patience
        return patience > 0 and self._stale >= patience

    def facts(self) -> dict[str, Any]:
        """For the manifest: the figures of the best weights, if they are kept."""
        return {"best": {"step": self._at, "validation_loss": self._least}} if self._best else {}

    def best(self, last: Weights) -> Weights:
        """The weights to use: the best ones if they are kept, else the last ones."""
        return self._best or last

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is remembered, for a checkpoint."""
        if not self._best:
            return {}
        state = np.array([self._least, self._stale, self._at], np.float64)
        return {"validation": state, **{f"best/{n}": value for n, value in self._best.items()}}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Remember what a checkpoint says."""
        if "validation" in arrays:
            least, stale, at = arrays["validation"].tolist()
            self._least, self._stale, self._at = least, int(stale), int(at)
            self._best = {
                name.removeprefix("best/"): np.asarray(value)
                for name, value in arrays.items()
                if name.startswith("best/")
            }
