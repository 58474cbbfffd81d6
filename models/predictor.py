"""Crops to calibrated probabilities: a few fixed batch shapes, compiled and warmed at load."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.batches import BatchedNetwork
from inkmill.models.cascade import divided
from inkmill.models.manifest import Manifest
from inkmill.models.resized import resized
from inkmill.models.runtimes.protocol import PRECISIONS, needs_examples, numbers_of, stopwatch
from inkmill.models.weights import Golden, decode_weights

#: Small jobs must not pay for a large batch; large ones must not pay per call. Each shape is
#: compiled once, so none is ever traced in the hot path. A job of one image is a batch of one, and
#: of two where it is read again at two other sizes.
BATCH_SHAPES = (2, 16, 64, 256, 1024)
#: What a call costs besides its crops, in crops: on a processor, 0.95 ms at 158 microseconds a crop
#: (LeNet-deep in bfloat16, one core).
CALL_COST = 6

#: How far a probability may differ from the golden set's. The order of float32 sums differs
#: between batch shapes and processors by some 1e-5; bfloat16 has 8 bits of mantissa, float16 11;
#: int8 differs by up to 0.04, and by 0.5 where sums overflow (decision 26).
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.08, "float16": 0.02, "int8": 0.1}
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
    among the ``shapes``. ``golden`` is the model's golden set: a precision of whole numbers takes
    from its crops how large activations become, and raises ModelError without it.
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
        golden: bytes | None = None,
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
        network, first_stage = divided(decode_weights(weights, manifest))
        self.precision = precision
        self.manifest = manifest
        self._watch = stopwatch()
        self._images, self._seconds = 0, 0.0
        open_network = functools.partial(
            BatchedNetwork,
            precision=precision,
            threads=threads,
            shapes=shapes,
            call_cost=call_cost,
            examples=self._examples(manifest, golden),
        )
        self._network = open_network(manifest, network)
        first = manifest.of_first_stage()
        self._first_stage = open_network(first, first_stage) if first is not None else None

    @property
    def version(self) -> str:
        """The version of the model that is loaded."""
        return self.manifest.version

    @property
    def shapes(self) -> tuple[int, ...]:
        """The sizes of batches that are compiled, in order."""
        return self._network.shapes

    def _examples(self, manifest: Manifest, golden: bytes | None) -> NDArray[np.uint8] | None:
        """The golden set's crops, where the precision needs them and they are there."""
        if golden is None or not needs_examples(self.precision):
            return None
        return Golden.decode(golden, manifest).crops

    def load(self, manifest: Manifest, weights: bytes, golden: bytes | None = None) -> None:
        """Swap in another version of the same architecture; TensorFlow retraces nothing.

        ``golden`` is that version's golden set, needed where it was needed to open this one.
        Raises ModelError, and keeps the old one, where the files or the architecture do not
        fit; where the runtime fails, it is not to be used any more. Not to be called while
        ``predict`` runs.
        """
        if not self.manifest.same_network(manifest):
            raise ModelError(
                f"model {manifest.version[:12]} has a different network from {self.version[:12]}: "
                "load it with a new Predictor"
            )
        network, first_stage = divided(decode_weights(weights, manifest))
        examples = self._examples(manifest, golden)
        self._network.load(manifest, network, examples)
        first = manifest.of_first_stage()
        if self._first_stage is not None and first is not None:
            self._first_stage.load(first, first_stage, examples)
        self.manifest = manifest

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, classes), of crops, uint8 (n, size, size).

        What the first stage is sure of, if the model has one, is left at that (decision 25). A
        crop whose best class then leads by less than the manifest's margin is read again at its
        other sizes, and the logits are averaged (decision 19). Raises UsageError for crops of
        another shape or type.
        """
        first = self.manifest.first_stage
        if first is None:
            return self._thoroughly(crops, [])
        found = self.by_first_stage(crops)
        stands = found.max(axis=1) >= first.sure
        # Of float32 softmax, 1 is no certainty.
        rest = np.flatnonzero(~stands) if first.sure < 1 else np.arange(len(crops))
        if len(rest):
            logits = _logits(found[rest], first.temperature, first.floor)
            found[rest] = self._thoroughly(crops[rest], [logits])
        return found

    def _thoroughly(
        self, crops: NDArray[np.uint8], known: list[NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Probabilities by the network, at several sizes where it is in doubt.

        There, ``known`` are logits of other readings of the crops, which count as much as a size.
        """
        found = self.once(crops)
        if self.manifest.sizes:
            logits = _logits(found, self.manifest.temperature, self.manifest.floor)
            doubtful = np.flatnonzero(_leads(logits) < self.manifest.margin)
            if len(doubtful):
                readings = [logits, *known]
                found[doubtful] = self._repeated(
                    crops[doubtful], [each[doubtful] for each in readings]
                )
        return found

    def _repeated(
        self, crops: NDArray[np.uint8], known: list[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Probabilities of crops by the mean logits of ``known`` readings and all other sizes."""
        manifest = self.manifest
        others = self.once(np.concatenate([resized(crops, size) for size in manifest.sizes]))
        more = np.split(_logits(others, manifest.temperature, manifest.floor), len(manifest.sizes))
        # Each up to a constant, which says nothing.
        readings = [each - each.max(axis=1, keepdims=True) for each in (*known, *more)]
        scaled = np.mean(readings, axis=0) / manifest.temperature
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return np.asarray(shares * (1.0 - manifest.floor) + manifest.floor / shares.shape[1])

    def by_first_stage(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the first stage says of crops, with ``predict``'s shapes, types and errors.

        Raises ModelError if the model has none.
        """
        if self._first_stage is None:
            raise ModelError(f"model {self.version[:12]} has no first stage")
        self._check_crops(crops)
        return self._first_stage.read(crops)

    def once(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network alone says of crops, with ``predict``'s shapes, types and errors."""
        self._check_crops(crops)
        began = self._watch()
        result = self._network.read(crops)
        if len(crops) >= _LARGE:
            self._images += len(crops)
            self._seconds += self._watch() - began
        return result

    def _check_crops(self, crops: NDArray[np.uint8]) -> None:
        size = self.manifest.input_size
        if crops.ndim != 3 or crops.shape[1:] != (size, size) or crops.dtype != np.uint8:
            raise UsageError(
                f"predict needs crops uint8 (n, {size}, {size}): got {crops.dtype} {crops.shape}"
            )

    def take_pace(self) -> float:
        """Images per second by `stopwatch` in the large batches since the last call; 0 where they
        took too little time to tell."""
        images, seconds = self._images, self._seconds
        self._images, self._seconds = 0, 0.0
        return images / seconds if seconds > _KNOWN_SECONDS else 0.0

    def check(self, golden: bytes) -> float:
        """Compare the network, and its first stage, with the golden set stored beside the model.

        Returns the largest difference of a probability. Raises ModelError where a confident
        reading changes its class or a probability differs too much.
        """
        expected = Golden.decode(golden, self.manifest)
        difference = self._compare(self.once(expected.crops), expected.probabilities)
        if expected.first_stage is not None:
            found = self.by_first_stage(expected.crops)
            difference = max(difference, self._compare(found, expected.first_stage))
        return difference

    def _compare(self, found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
        if not np.isfinite(found).all():
            raise ModelError(f"model {self.version[:12]}: NaN or infinity on its golden set")
        decided = expected.max(axis=1) >= _DECIDED
        changed = decided & (found.argmax(axis=1) != expected.argmax(axis=1))
        difference = float(np.abs(found - expected).max())
        allowed = _TOLERANCE[numbers_of(self.precision)]
        if changed.any() or difference > allowed:
            raise ModelError(
                f"model {self.version[:12]} in {self.precision}: {int(changed.sum())} of "
                f"{len(found)} golden readings changed, largest difference {difference:.4f} "
                f"(allowed {allowed}): it must not serve here"
            )
        return difference


def _leads(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the best logit is above the second: float64 (n,)."""
    best = np.partition(logits, -2, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0])


def _logits(found: NDArray[np.float32], temperature: float, floor: float) -> NDArray[np.float64]:
    """Logits that gave these probabilities, float64 (n, classes), up to a constant each."""
    shares = (found.astype(np.float64) - floor / found.shape[1]) / (1.0 - floor)
    return np.asarray(temperature * np.log(np.clip(shares, _LEAST, None)))
