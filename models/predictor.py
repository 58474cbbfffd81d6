"""Crops to calibrated probabilities: a few fixed batch shapes, compiled and warmed at load."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.network import Network
from inkmill.models.weights import Golden, decode_weights

#: Small jobs must not pay for a large batch; large ones must not pay per call. Each shape is
#: compiled once, so none is ever traced in the hot path.
BATCH_SHAPES = (16, 256, 1024)
PRECISIONS = ("float32", "bfloat16", "float16")

#: How far a probability may lie from the golden set's. The order of float32 sums differs
#: between batch shapes and processors by some 1e-5; bfloat16 has 8 bits of mantissa, float16 11.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.08, "float16": 0.02}
#: Readings below this confidence are not accepted by anyone, so that their class may differ.
_DECIDED = 0.6


class Predictor:
    """A model that is loaded, compiled and ready.

    ``threads`` sets TensorFlow's threads within an operation and must be given before
    TensorFlow has run anything in this process; None leaves them as they are.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: bytes,
        *,
        precision: str = "float32",
        threads: int | None = None,
        shapes: tuple[int, ...] = BATCH_SHAPES,
    ) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision is {precision!r}: use one of {', '.join(PRECISIONS)}")
        if not shapes or min(shapes) < 1:
            raise UsageError(f"batch shapes are {shapes}: use whole numbers above 0")
        arrays = decode_weights(weights, manifest)
        if threads is not None:
            _set_threads(threads)
        self.threads: int = tf.config.threading.get_intra_op_parallelism_threads()
        self.precision = precision
        self.shapes = tuple(sorted(set(shapes)))
        self.manifest = manifest
        self._network = Network(manifest.layers, arrays, dtype=precision)
        self._scale = tf.Variable(1.0 / manifest.temperature, dtype=tf.float32)
        self._calls = {count: self._compile(count) for count in self.shapes}

    def _compile(self, count: int) -> Any:
        size = self.manifest.input_size

        def call(crops: Any) -> Any:
            return tf.nn.softmax(self._network.logits(crops) * self._scale)

        signature = tf.TensorSpec((count, size, size), tf.uint8)
        # The layers are plain Python: there is nothing for AutoGraph to rewrite.
        compiled = tf.function(call, autograph=False).get_concrete_function(signature)
        try:
            compiled(tf.zeros((count, size, size), tf.uint8))
        except tf.errors.OpError as error:
            raise ModelError(f"this host cannot compute in {self.precision}: {error}") from error
        return compiled

    @property
    def version(self) -> str:
        """The version of the model that is loaded."""
        return self.manifest.version

    def load(self, manifest: Manifest, weights: bytes) -> None:
        """Swap in another version of the same architecture; retraces nothing.

        Raises ModelError, and keeps the old one, where the files or the architecture do not
        fit. Not to be called while ``predict`` runs.
        """
        if not self.manifest.same_network(manifest):
            raise ModelError(
                f"model {manifest.version[:12]} has another network than {self.version[:12]}: "
                "load it with a new Predictor"
            )
        arrays = decode_weights(weights, manifest)
        self._network.assign(arrays)
        self._scale.assign(1.0 / manifest.temperature)
        self.manifest = manifest

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, classes), of crops, uint8 (n, size, size).

        Raises UsageError for crops of another shape or type.
        """
        size = self.manifest.input_size
        if crops.ndim != 3 or crops.shape[1:] != (size, size) or crops.dtype != np.uint8:
            raise UsageError(
                f"predict wants crops uint8 (n, {size}, {size}): got {crops.dtype} {crops.shape}"
            )
        result = np.empty((len(crops), len(self.manifest.classes)), np.float32)
        for start, count, shape in self._plan(len(crops)):
            batch = crops[start : start + count]
            if count < shape:
                batch = np.concatenate([batch, np.zeros((shape - count, size, size), np.uint8)])
            probabilities = self._calls[shape](tf.constant(batch)).numpy()
            result[start : start + count] = probabilities[:count]
        return result

    def _plan(self, total: int) -> list[tuple[int, int, int]]:
        """Batches of a total: first, how many, in which shape."""
        plan, start = [], 0
        while start < total:
            rest = total - start
            # The largest shape that is filled, unless the next larger one takes all the rest
            # with less than half of it empty.
            filled = max((shape for shape in self.shapes if shape <= rest), default=0)
            enough = min((shape for shape in self.shapes if shape >= rest), default=0)
            shape = enough if enough and (enough < 2 * rest or not filled) else filled
            count = min(shape, rest)
            plan.append((start, count, shape))
            start += count
        return plan

    def check(self, golden: bytes) -> float:
        """Compare with the golden set stored beside the model.

        Returns the largest difference of a probability. Raises ModelError where a confident
        reading changes its class or a probability lies too far off.
        """
        expected = Golden.decode(golden, self.manifest)
        found = self.predict(expected.crops)
        if not np.isfinite(found).all():
            raise ModelError(f"model {self.version[:12]}: NaN or infinity on its golden set")
        decided = expected.probabilities.max(axis=1) >= _DECIDED
        changed = decided & (found.argmax(axis=1) != expected.probabilities.argmax(axis=1))
        difference = float(np.abs(found - expected.probabilities).max())
        if changed.any() or difference > _TOLERANCE[self.precision]:
            raise ModelError(
                f"model {self.version[:12]} in {self.precision}: {int(changed.sum())} of "
                f"{len(found)} golden readings changed, largest difference {difference:.4f} "
                f"(allowed {_TOLERANCE[self.precision]}): it must not serve here"
            )
        return difference


def _set_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            raise UsageError(
                "TensorFlow runs already: its threads are set once, before the first model"
            ) from None
