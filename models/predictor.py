"""Crops to calibrated probabilities: a few fixed batch shapes, compiled and warmed at load."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.resized import resized
from inkmill.models.runtimes.protocol import PRECISIONS, numbers_of, open_runtime, stopwatch
from inkmill.models.weights import Golden, decode_weights

#: Small jobs must not pay for a large batch; large ones must not pay per call. Each shape is
#: compiled once, so none is ever traced in the hot path.
BATCH_SHAPES = (16, 64, 256, 1024)
#: What a call costs besides its crops, in crops: on a processor, 0.95 ms at 158 microseconds a crop
#: (LeNet-deep in bfloat16, one core).
CALL_COST = 6

#: How far a probability may differ from the golden set's. The order of float32 sums differs
#: between batch shapes and processors by some 1e-5; bfloat16 has 8 bits of mantissa, float16 11.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.08, "float16": 0.02}
#: A probability of 0 has no logarithm; float32 tells nothing below this from the floor.
_LEAST = 1e-12
#: The pace counts calls with at least so many crops, and is known after so many seconds.
_LARGE, _KNOWN_SECONDS = 256, 2.0
#: Readings below this confidence are not accepted by anyone, so that their class may differ.
_DECIDED = 0.6


class Predictor:
    """A model that is loaded, compiled and ready.

    ``precision`` is one of ``runtimes.PRECISIONS``. ``threads`` are the runtime's; TensorFlow's
    must be given before it has run anything in this process. None leaves them as they are.
    ``call_cost`` is what a call costs besides its crops, in crops: it decides how crops are divided
    among the ``shapes``.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: bytes,
        *,
        precision: str = "float32",
        threads: int | None = None,
        shapes: tuple[int, ...] = BATCH_SHAPES,
        call_cost: int = CALL_COST,
    ) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision is {precision!r}: use one of {', '.join(PRECISIONS)}")
        if not shapes or min(shapes) < 1:
            raise UsageError(f"batch shapes are {shapes}: use whole numbers above 0")
        if manifest.reads_strips:
            raise ModelError(
                f"model {manifest.version[:12]} reads strips, numbers without cells, not single "
                "digits: give a model of digits"
            )
        arrays = decode_weights(weights, manifest)
        self.precision = precision
        self.shapes = tuple(sorted(set(shapes)))
        self._call_cost = call_cost
        self.manifest = manifest
        self._watch = stopwatch()
        self._images, self._seconds = 0, 0.0
        self._runtime = open_runtime(precision, manifest, arrays, self.shapes, threads)

    @property
    def version(self) -> str:
        """The version of the model that is loaded."""
        return self.manifest.version

    def load(self, manifest: Manifest, weights: bytes) -> None:
        """Swap in another version of the same architecture; TensorFlow retraces nothing.

        Raises ModelError, and keeps the old one, where the files or the architecture do not
        fit. Not to be called while ``predict`` runs.
        """
        if not self.manifest.same_network(manifest):
            raise ModelError(
                f"model {manifest.version[:12]} has a different network from {self.version[:12]}: "
                "load it with a new Predictor"
            )
        self._runtime.load(manifest, decode_weights(weights, manifest))
        self.manifest = manifest

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, classes), of crops, uint8 (n, size, size).

        A crop whose best class leads by less than the manifest's margin is read again at its
        other sizes, and the logits are averaged: decision 19. Raises UsageError for crops of
        another shape or type.
        """
        found = self.once(crops)
        if self.manifest.sizes:
            doubtful = np.flatnonzero(self._leads(found) < self.manifest.margin)
            if len(doubtful):
                found[doubtful] = self._repeated(crops[doubtful], found[doubtful])
        return found

    def _leads(self, found: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far the best logit is above the second: float64 (n,), whatever the temperature."""
        best = np.partition(self._logits(found), -2, axis=1)[:, -2:]
        return np.asarray(best[:, 1] - best[:, 0])

    def _logits(self, found: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits that give these probabilities, float64 (n, classes), up to a constant each."""
        floor = self.manifest.floor
        shares = (found.astype(np.float64) - floor / found.shape[1]) / (1.0 - floor)
        return np.asarray(self.manifest.temperature * np.log(np.clip(shares, _LEAST, None)))

    def _repeated(
        self, crops: NDArray[np.uint8], first: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Probabilities of crops that were read once, by the mean logits of all sizes."""
        manifest = self.manifest
        others = self.once(np.concatenate([resized(crops, size) for size in manifest.sizes]))
        readings = [first, *np.split(others, len(manifest.sizes))]
        scaled = np.mean([self._logits(each) for each in readings], axis=0) / manifest.temperature
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return np.asarray(shares * (1.0 - manifest.floor) + manifest.floor / shares.shape[1])

    def once(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network alone says of crops, with ``predict``'s shapes, types and errors."""
        size = self.manifest.input_size
        if crops.ndim != 3 or crops.shape[1:] != (size, size) or crops.dtype != np.uint8:
            raise UsageError(
                f"predict needs crops uint8 (n, {size}, {size}): got {crops.dtype} {crops.shape}"
            )
        result = np.empty((len(crops), len(self.manifest.classes)), np.float32)
        began = self._watch()
        for start, count, shape in self._plan(len(crops)):
            batch = crops[start : start + count]
            if count < shape:
                batch = np.concatenate([batch, np.zeros((shape - count, size, size), np.uint8)])
            result[start : start + count] = self._runtime.run(batch)[:count]
        if len(crops) >= _LARGE:
            self._images += len(crops)
            self._seconds += self._watch() - began
        return result

    def take_pace(self) -> float:
        """Images per second by `stopwatch` in the large batches since the last call; 0 where they
        took too little time to tell."""
        images, seconds = self._images, self._seconds
        self._images, self._seconds = 0, 0.0
        return images / seconds if seconds > _KNOWN_SECONDS else 0.0

    def _plan(self, total: int) -> list[tuple[int, int, int]]:
        """Batches of a total: first, how many, in which shape."""
        plan, start = [], 0
        largest = self.shapes[-1]
        while start < total:
            # Whole batches of the largest shape first; what is left is divided.
            rest = total - start
            for shape in (largest,) if rest >= largest else self._division(rest):
                count = min(shape, total - start)
                plan.append((start, count, shape))
                start += count
        return plan

    def _division(self, rest: int) -> tuple[int, ...]:
        """The batches that take ``rest`` crops, below the largest shape, at the least cost."""
        return _divided(rest, self.shapes, self._call_cost)

    def check(self, golden: bytes) -> float:
        """Compare the network with the golden set stored beside the model.

        Returns the largest difference of a probability. Raises ModelError where a confident
        reading changes its class or a probability differs too much.
        """
        expected = Golden.decode(golden, self.manifest)
        found = self.once(expected.crops)
        if not np.isfinite(found).all():
            raise ModelError(f"model {self.version[:12]}: NaN or infinity on its golden set")
        decided = expected.probabilities.max(axis=1) >= _DECIDED
        changed = decided & (found.argmax(axis=1) != expected.probabilities.argmax(axis=1))
        difference = float(np.abs(found - expected.probabilities).max())
        allowed = _TOLERANCE[numbers_of(self.precision)]
        if changed.any() or difference > allowed:
            raise ModelError(
                f"model {self.version[:12]} in {self.precision}: {int(changed.sum())} of "
                f"{len(found)} golden readings changed, largest difference {difference:.4f} "
                f"(allowed {allowed}): it must not serve here"
            )
        return difference


@functools.lru_cache(maxsize=4096)
def _divided(rest: int, shapes: tuple[int, ...], call_cost: int) -> tuple[int, ...]:
    if rest <= shapes[0]:
        return shapes[:1]
    enough = min(shape for shape in shapes if shape >= rest)
    filled = max(shape for shape in shapes if shape <= rest)
    # As many as are filled: what is enough for a later rest would have been for all.
    left = rest % filled
    several = (filled,) * (rest // filled) + (_divided(left, shapes, call_cost) if left else ())
    return min((enough,), several, key=lambda each: sum(each) + call_cost * len(each))
