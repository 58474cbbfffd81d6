"""A network as an ONNX graph that computes in whole numbers: see `whole_numbers`.

QuantizeLinear and DequantizeLinear around each product say what may be whole; a runtime makes
kernels of int8 of them. Biases are of 32 bits; logits and softmax stay in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.models.architectures import Conv, Dense
from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.onnx_graph import LOGITS, Graph, written
from inkmill.models.runtimes.whole_numbers import CROP_STEP, WholeNumbers, activation_steps
from inkmill.models.weights import Weights


def int8_model(manifest: Manifest, weights: Weights, examples: NDArray[np.uint8]) -> Any:
    """As `onnx_model`, in whole numbers.

    ``examples``, uint8 (n, size, size), show how large activations become. Raises ModelError for a
    network that this cannot be done with.
    """
    return written(_Int8Graph(manifest, weights, activation_steps(manifest, weights, examples)))


class _Int8Graph(Graph):
    """``steps`` is what 1 means in the activations of each layer but the last, by its name."""

    def __init__(self, manifest: Manifest, weights: Weights, steps: dict[str, float]) -> None:
        super().__init__(manifest, weights)
        self._steps = steps
        self._step = CROP_STEP  # of what the next product gets

    def start(self) -> None:
        self.pictures()
        self._dequantise()

    def convolve(self, layer: Conv, name: str) -> None:
        super().convolve(layer, name)
        self._round(name)

    def dense(self, layer: Dense, name: str) -> None:
        super().dense(layer, name)
        self._round(name)

    def _round(self, name: str) -> None:
        """Let the layer of that name give whole numbers, unless the logits take what it gives."""
        if name in self._steps:
            self._step = self._steps[name]
            self.add("QuantizeLinear", *self._scale())
            self._dequantise()

    def product(self, kind: str, name: str, kernel: NDArray[np.float32], **attributes: Any) -> None:
        if name == LOGITS:
            super().product(kind, name, kernel, **attributes)
            return
        if kind == "Gemm":
            kernel, attributes = kernel.T, {**attributes, "transB": 1}
        whole = WholeNumbers.of(kernel, self.weights[f"{name}/bias"], self._step)
        sums = np.asarray(whole.steps * np.float32(self._step), np.float32)
        inputs = [
            self._dequantised(np.ascontiguousarray(whole.kernel), whole.steps),
            self._dequantised(whole.bias, sums),
        ]
        self.last = self.node(kind, [self.last, *inputs], **attributes)

    def _scale(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The step of activations, and which whole number is 0."""
        return np.array(self._step, np.float32), np.array(0, np.uint8)

    def _dequantise(self) -> None:
        self.add("DequantizeLinear", *self._scale())

    def _dequantised(self, values: NDArray[Any], steps: NDArray[np.float32]) -> str:
        """Constants with a step for each channel, (out, ...)."""
        parts = [values, steps, np.zeros(len(steps), values.dtype)]
        return self.node("DequantizeLinear", [self.constant(each) for each in parts], axis=0)
