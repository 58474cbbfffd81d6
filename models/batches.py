"""A network that reads any number of crops, in a few batch shapes that are compiled once."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.protocol import open_runtime
from inkmill.models.weights import Weights


class BatchedNetwork:
    """One network in a runtime; arguments are as in ``Predictor`` and ``open_runtime``."""

    def __init__(
        self,
        manifest: Manifest,
        arrays: Weights,
        *,
        precision: str,
        threads: int | None,
        shapes: Sequence[int],
        call_cost: int,
        examples: NDArray[np.uint8] | None = None,
    ) -> None:
        self.shapes = tuple(sorted(set(shapes)))
        self._call_cost = call_cost
        self._outputs = len(manifest.classes)
        self._runtime = open_runtime(precision, manifest, arrays, self.shapes, threads, examples)

    def load(
        self, manifest: Manifest, arrays: Weights, examples: NDArray[np.uint8] | None = None
    ) -> None:
        """See Runtime.load."""
        self._runtime.load(manifest, arrays, examples)

    def read(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, classes), of crops, uint8 (n, size, size)."""
        result = np.empty((len(crops), self._outputs), np.float32)
        for start, count, shape in plan(len(crops), self.shapes, self._call_cost):
            batch = crops[start : start + count]
            if count < shape:
                room = np.zeros((shape - count, *batch.shape[1:]), np.uint8)
                batch = np.concatenate([batch, room])
            result[start : start + count] = self._runtime.run(batch)[:count]
        return result


def plan(total: int, shapes: Sequence[int], call_cost: int) -> list[tuple[int, int, int]]:
    """Batches of a total: first, how many, in which of the shapes, which are in order.

    ``call_cost`` is what a call costs besides its crops, in crops.
    """
    found, start = [], 0
    largest = shapes[-1]
    while start < total:
        # Whole batches of the largest shape first; what is left is divided at the least cost.
        rest = total - start
        division = (largest,) if rest >= largest else _divided(rest, tuple(shapes), call_cost)
        for shape in division:
            count = min(shape, total - start)
            found.append((start, count, shape))
            start += count
    return found


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
