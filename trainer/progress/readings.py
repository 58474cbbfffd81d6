"""Validation samples read with weights in training: crops, and strips of numbers without cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.models.cascade import divided
from inkmill.models.network import Network
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import to_crops
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.losses import losses
from inkmill.trainer.measure.metrics import share_by
from inkmill.trainer.strings.blocks import StringBlockMaker, packed
from inkmill.trainer.strings.material import NOTHING, is_whole, prepare_strings, strip

Grey = NDArray[np.uint8]
Weights = Mapping[str, NDArray[np.float32]]

_BATCH, _STRIPS = 256, 32
#: Strips that are composed of characters for validation: reading them takes seconds.
_COMPOSED = 500
#: Misread images that are kept for TensorBoard.
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Validated:
    """Figures of the validation part: mean loss, accuracy, and accuracy ``by`` class or length.

    ``misread`` uint8 (n, height, width) are those read wrongly, the worst first.
    """

    loss: float
    accuracy: float
    by: str
    shares: dict[str, float]
    misread: Grey


class Reading(Protocol):
    """Validation samples that are ready to be read."""

    count: int

    def read(self, weights: Weights) -> Validated:
        """Read them all with these weights."""
        ...


def reading_of(config: Config, samples: Sequence[Sample], weights: Weights) -> Reading:
    """The validation samples of a training, at most ``validation.most``, drawn by seed."""
    order = np.random.default_rng([config.split.seed, 7]).permutation(len(samples)).tolist()
    if config.reads_strips:
        return StripReading(config, [samples[at] for at in order], weights)
    return CropReading(config, [samples[at] for at in order[: config.validation.most]], weights)


class CropReading:
    """Single characters, each read once by the network; its first stage is left out."""

    def __init__(self, config: Config, samples: Sequence[Sample], weights: Weights) -> None:
        made = to_crops(samples, config)
        self._crops, self._labels = made.crops, made.labels
        self._names = [config.classes[label] for label in self._labels]
        self.count = len(self._labels)
        # Weights in training may be averaged: they are read through a network of their own.
        self._network = Network(config.network.layers, divided(weights)[0], dtype="float32")
        self._logits = tf.function(self._network.logits, autograph=False)

    def read(self, weights: Weights) -> Validated:
        self._network.assign(weights)
        log = np.concatenate([self._batch(at) for at in range(0, self.count, _BATCH)])
        given = log[np.arange(len(log)), self._labels]
        right = log.argmax(axis=1) == self._labels
        wrong = np.flatnonzero(~right)
        worst = wrong[np.argsort(-log[wrong].max(axis=1))][:_SHOWN]
        shares = {name: share.accuracy for name, share in share_by(self._names, right).items()}
        return Validated(
            float(-given.mean()), float(right.mean()), "class", shares, self._crops[worst]
        )

    def _batch(self, at: int) -> NDArray[np.float32]:
        batch = self._crops[at : at + _BATCH]
        # One shape, so that nothing is traced twice.
        padded = np.concatenate(
            [batch, np.zeros((_BATCH - len(batch), *batch.shape[1:]), np.uint8)]
        )
        values = tf.nn.log_softmax(self._logits(tf.constant(padded))).numpy()
        return np.asarray(values[: len(batch)], np.float32)


class StripReading:
    """Strips: those that are whole, and others composed of the characters of validation hands.

    They are right if the best path says all their symbols.
    """

    def __init__(self, config: Config, samples: Sequence[Sample], weights: Weights) -> None:
        self._config = config
        material, _ = prepare_strings(samples, config) if samples else (None, [])
        made: list[tuple[Grey, Sequence[int]]] = []
        if material is not None and any(is_whole(each, config.classes) for each in samples):
            texts = [[int(one) for one in text if one != NOTHING] for text in material.texts]
            made += [(strip(material, at), text) for at, text in enumerate(texts)]
        made = made[: config.validation.most]
        if material is not None and material.hand_weights.any():
            maker = StringBlockMaker(config, material)
            rng = np.random.default_rng([config.split.seed, 7, 1])
            most = min(_COMPOSED, config.validation.most - len(made))
            made += [maker.strip("composed", rng) for _ in range(most)]
        self.count = len(made)
        # Strips of one width are read together.
        made.sort(key=lambda each: each[0].shape[1])
        self._block = packed(made) if made else None
        self._names = [f"{len(symbols):2d} symbols" for _, symbols in made]
        self._network = Network(config.network.layers, weights, dtype="float32")
        self._run = tf.function(self._losses, autograph=False, reduce_retracing=True)

    def _losses(self, crops: Any, labels: Any) -> Any:
        return losses(self._config, self._network.logits(crops), labels)

    def read(self, weights: Weights) -> Validated:
        assert self._block is not None
        self._network.assign(weights)
        found = [self._batch(at) for at in range(0, self.count, _STRIPS)]
        each, right = (np.concatenate(parts) for parts in zip(*found, strict=True))
        # A strip that is too narrow for its text has no loss that is a number.
        known = np.isfinite(each)
        worst = np.flatnonzero(~right & known)
        worst = worst[np.argsort(-each[worst])][:_SHOWN]
        shares = share_by(self._names, right)
        return Validated(
            float(each[known].mean()) if known.any() else float("inf"),
            float(right.mean()),
            "length",
            {name.strip(): share.accuracy for name, share in shares.items()},
            self._block.crops[worst],
        )

    def _batch(self, at: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        assert self._block is not None
        chosen = np.arange(at, min(at + _STRIPS, self.count))
        crops, labels = self._block.take(chosen)
        each, right = self._run(tf.constant(crops), tf.constant(labels))
        return each.numpy(), right.numpy()
