"""TensorFlow: the runtime that is always there, and whose float32 is the reference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.network import Network
from inkmill.models.weights import Weights


class TensorflowRuntime:
    """One concrete function for each batch size; their weights are variables, so that other
    weights trace nothing again.

    ``threads`` are those within an operation and must be given before TensorFlow has run
    anything in this process; None leaves them as they are.
    """

    def __init__(
        self,
        manifest: Manifest,
        arrays: Weights,
        shapes: Sequence[int],
        numbers: str,
        threads: int | None,
    ) -> None:
        _share_gpus()
        if threads is not None:
            _set_threads(threads)
        self._numbers = numbers
        self._network = Network(manifest.layers, arrays, dtype=numbers)
        self._scale = tf.Variable(1.0 / manifest.temperature, dtype=tf.float32)
        self._floor = tf.Variable(manifest.floor, dtype=tf.float32)
        self._classes = len(manifest.classes)
        self._calls = {count: self._compile(count, manifest.input_size) for count in shapes}

    def _compile(self, count: int, size: int) -> Any:
        def call(crops: Any) -> Any:
            found = tf.nn.softmax(self._network.logits(crops) * self._scale)
            return found * (1.0 - self._floor) + self._floor / self._classes

        signature = tf.TensorSpec((count, size, size), tf.uint8)
        # The layers are plain Python: there is nothing for AutoGraph to rewrite.
        compiled = tf.function(call, autograph=False).get_concrete_function(signature)
        try:
            compiled(tf.zeros((count, size, size), tf.uint8))
        except tf.errors.OpError as error:
            raise ModelError(f"this host cannot compute in {self._numbers}: {error}") from error
        return compiled

    def run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Runtime.run."""
        found: NDArray[np.float32] = self._calls[len(crops)](tf.constant(crops)).numpy()
        return found

    def load(
        self,
        manifest: Manifest,
        arrays: Weights,
        examples: NDArray[np.uint8] | None = None,  # noqa: ARG002
    ) -> None:
        """See Runtime.load; 4 ms."""
        self._network.assign(arrays)
        self._scale.assign(1.0 / manifest.temperature)
        self._floor.assign(manifest.floor)


class StripRuntime:
    """A network of strips, as TensorflowRuntime: a concrete function for each shape.

    ``shapes`` are (strips, width). ``numbers`` and ``threads`` are as there.
    """

    def __init__(
        self,
        manifest: Manifest,
        arrays: Weights,
        shapes: Sequence[tuple[int, int]],
        numbers: str,
        threads: int | None,
    ) -> None:
        _share_gpus()
        if threads is not None:
            _set_threads(threads)
        self._network = Network(manifest.layers, arrays, dtype=numbers)
        self._calls = {shape: self._compile(shape, manifest.input_size) for shape in shapes}

    def _compile(self, shape: tuple[int, int], height: int) -> Any:
        def call(strips: Any) -> Any:
            return tf.nn.softmax(self._network.logits(strips))

        signature = tf.TensorSpec((shape[0], height, shape[1]), tf.uint8)
        compiled = tf.function(call, autograph=False).get_concrete_function(signature)
        compiled(tf.zeros(signature.shape, tf.uint8))
        return compiled

    def run(self, strips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, frames, symbols + 1), of strips of one of the shapes."""
        count, _, width = strips.shape
        found: NDArray[np.float32] = self._calls[count, width](tf.constant(strips)).numpy()
        return found

    def load(self, arrays: Weights) -> None:
        """Take the weights of another version of the same network."""
        self._network.assign(arrays)


def has_gpu() -> bool:
    """Whether TensorFlow computes on a graphics processor here."""
    return bool(tf.config.list_physical_devices("GPU"))


def _share_gpus() -> None:
    """Take a GPU's memory as it is needed: a worker's predictor process may use the same GPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        # Once TensorFlow has begun, it is too late, and whoever began has decided.
        with suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def _set_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            raise UsageError(
                "TensorFlow is already running: its threads can be set only before the first "
                "model is loaded"
            ) from None
