"""The network that a manifest describes, built by our own code from plain TensorFlow ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.models.architectures import (
    Along,
    Columns,
    Conv,
    Dense,
    Dropout,
    Layer,
    Pool,
    PoolRows,
    named_layers,
)

Tensor = Any

_ACTIVATIONS = {"relu": tf.nn.relu, "tanh": tf.nn.tanh}


class Network:
    """Layers with their weights as variables, named as ``architectures.weight_shapes`` names them.

    ``dtype`` is what the layers compute in. Variables have the dtype ``stored`` (training
    keeps float32 whatever it computes in).
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        weights: Mapping[str, NDArray[np.float32]],
        *,
        dtype: str = "float32",
        stored: str | None = None,
    ) -> None:
        self.layers = tuple(layers)
        self.dtype = tf.as_dtype(dtype)
        self.variables: dict[str, Any] = {
            name: tf.Variable(tf.cast(value, stored or dtype), name=name, trainable=True)
            for name, value in weights.items()
        }

    def assign(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Put other weights of the same shapes in; compiled functions stay valid."""
        for name, variable in self.variables.items():
            variable.assign(tf.cast(weights[name], variable.dtype))

    def logits(self, crops: Tensor, *, keep: float = 1.0, seed: Tensor = None) -> Tensor:
        """Logits, float32 (n, classes), of crops, uint8 (n, size, size).

        Of strips, uint8 (n, size, width), they are (n, frames, classes + 1): see
        ``architectures.stride``. ``keep`` below 1 switches dropout on, drawn from ``seed``,
        int32 (2,).
        """
        value = self.features(crops, keep=keep, seed=seed)
        return tf.cast(self._multiply(value, "logits"), tf.float32)

    def features(self, crops: Tensor, *, keep: float = 1.0, seed: Tensor = None) -> Tensor:
        """What the last layer gets of each crop: (n, features); of strips, for each frame."""
        value = tf.cast(crops, self.dtype)[..., tf.newaxis] * (1.0 / 255.0)
        for number, (name, layer) in enumerate(named_layers(self.layers)):
            match layer:
                case Conv():
                    value = self._convolve(layer, value, name)
                case Pool():
                    value = _pool(layer, value)
                case PoolRows(size):
                    value = tf.nn.max_pool2d(value, (size, 1), (size, 1), "VALID")
                case Columns():
                    value = _columns(value)
                case Along():
                    value = self._along(layer, value, name)
                case Dense():
                    value = _ACTIVATIONS[layer.activation](self._multiply(_flat(value), name))
                case Dropout():
                    if keep < 1.0:
                        value = _drop(value, keep, seed + number)
        return _flat(value)

    def _along(self, layer: Along, value: Tensor, name: str) -> Tensor:
        kernel = tf.cast(self.variables[f"{name}/kernel"], self.dtype)
        value = tf.nn.conv1d(value, kernel, stride=1, padding="SAME")
        value = tf.nn.bias_add(value, tf.cast(self.variables[f"{name}/bias"], self.dtype))
        return _ACTIVATIONS[layer.activation](value)

    def _convolve(self, layer: Conv, value: Tensor, name: str) -> Tensor:
        kernel = tf.cast(self.variables[f"{name}/kernel"], self.dtype)
        value = tf.nn.conv2d(value, kernel, strides=1, padding=layer.padding.upper())
        value = tf.nn.bias_add(value, tf.cast(self.variables[f"{name}/bias"], self.dtype))
        return _ACTIVATIONS[layer.activation](value)

    def _multiply(self, value: Tensor, name: str) -> Tensor:
        product = tf.matmul(value, tf.cast(self.variables[f"{name}/kernel"], self.dtype))
        return tf.nn.bias_add(product, tf.cast(self.variables[f"{name}/bias"], self.dtype))


def _pool(layer: Pool, value: Tensor) -> Tensor:
    pool = tf.nn.max_pool2d if layer.how == "max" else tf.nn.avg_pool2d
    return pool(value, ksize=layer.size, strides=layer.size, padding="VALID")


def _flat(value: Tensor) -> Tensor:
    """Pictures as vectors; vectors, and sequences of frames, as they are."""
    if value.shape.rank < 4:
        return value
    return tf.reshape(value, [-1, int(np.prod(value.shape[1:]))])


def _columns(value: Tensor) -> Tensor:
    """(n, height, width, channels) as (n, width, height * channels)."""
    _, height, _, channels = value.shape
    across = tf.transpose(value, (0, 2, 1, 3))
    return tf.reshape(across, (tf.shape(value)[0], -1, height * channels))


def _drop(value: Tensor, keep: float, seed: Tensor) -> Tensor:
    noise = tf.random.stateless_uniform(tf.shape(value), seed=seed)
    return tf.where(noise < keep, value / tf.cast(keep, value.dtype), tf.zeros_like(value))
