"""A network in whole numbers: which weights and activations it gets. NumPy only.

A layer multiplies activations of 8 bits, 0 to 255 steps, with weights of 7 bits, -63 to 63 steps.
Weights have a step for each output channel. Activations have one for each layer: the largest that
example crops cause is 255 steps; what is larger counts as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models.architectures import Conv, Dense, Layer, Pool, named_layers
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

#: Processors without VNNI add two products in 16 bits: 2 * 255 * 63 fits, with 127 it would not,
#: and readings change silently (decision 26).
LARGEST_WEIGHT = 63
_LARGEST_ACTIVATION = 255
#: The step of crops: they are whole numbers as they come.
CROP_STEP = 1 / 255
#: Nothing is smaller than this: steps stay far from 0, which cannot be divided by. A layer that no
#: example crop activates gets any range.
_LEAST, _ANY_RANGE = 1e-12, 1.0
#: Biases stay below this, so that 32 bits have room for the products.
_LARGEST_BIAS = 1 << 30
#: Fewer examples may miss what other crops activate, and the check of the same crops would not see
#: it. Golden sets of published models have 128, those of snapshots 16, of noise.
ENOUGH = 64
#: Crops that go through the network at once: some ten megabytes.
_TOGETHER = 32

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WholeNumbers:
    """A layer's weights in whole numbers.

    ``kernel`` int8 (out, ...), of at most `LARGEST_WEIGHT` in magnitude; ``steps`` float32 (out,),
    what 1 means in each channel; ``bias`` int32 (out,), in steps of weights times activations.
    """

    kernel: NDArray[np.int8]
    steps: _Floats
    bias: NDArray[np.int32]

    @classmethod
    def of(cls, kernel: _Floats, bias: _Floats, activation_step: float) -> WholeNumbers:
        """Round a kernel, (out, ...), and a bias, (out,).

        ``activation_step`` is what 1 means in the activations that the layer gets.
        """
        channels = len(kernel)
        steps = np.abs(kernel).reshape(channels, -1).max(axis=1) / LARGEST_WEIGHT
        # A channel whose weights are next to nothing beside its bias needs no exact weights.
        steps = np.maximum(steps, np.abs(bias) / (activation_step * _LARGEST_BIAS))
        steps = np.maximum(steps, _LEAST).astype(np.float32)
        whole = np.rint(kernel / steps.reshape(channels, *[1] * (kernel.ndim - 1)))
        bound = np.clip(whole, -LARGEST_WEIGHT, LARGEST_WEIGHT)
        sums = np.rint(bias / (steps.astype(np.float64) * activation_step))
        return cls(bound.astype(np.int8), steps, sums.astype(np.int32))


def activation_steps(
    manifest: Manifest, weights: Weights, examples: NDArray[np.uint8]
) -> dict[str, float]:
    """What 1 means in the activations that each layer gives, by the layer's name.

    ``examples`` are crops, uint8 (n, size, size). The last layer before the logits is left out: the
    logits take floats. Raises ModelError for fewer than `ENOUGH` of them, for a network that has no
    whole numbers here, and for one that overflows.
    """
    if len(examples) < ENOUGH:
        raise ModelError(
            f"model {manifest.version[:12]} does not run in int8: its golden set has "
            f"{len(examples)} crops, and {ENOUGH} or more are needed"
        )
    for layer in manifest.layers:
        _check_layer(layer)
    largest: dict[str, float] = {}
    for start in range(0, len(examples), _TOGETHER):
        crops = examples[start : start + _TOGETHER]
        for name, values in _activations(manifest, weights, crops):
            largest[name] = float(np.maximum(largest.get(name, 0.0), values.max()))
    if not np.isfinite([*largest.values()]).all():
        raise ModelError(f"model {manifest.version[:12]}: NaN or infinity on its example crops")
    return {
        name: (most if most > _LEAST else _ANY_RANGE) / _LARGEST_ACTIVATION
        for name, most in [*largest.items()][:-1]
    }


def _check_layer(layer: Layer) -> None:
    """Raises ModelError for a layer whose activations are not 0 and more, or no steps."""
    if isinstance(layer, Conv | Dense) and layer.activation != "relu":
        raise ModelError(f"int8 needs ReLU: this network has layers with {layer.activation}")
    if isinstance(layer, Pool) and layer.how != "max":
        raise ModelError(f"int8 needs pooling by maximum: this network pools by {layer.how}")


def _activations(
    manifest: Manifest, weights: Weights, crops: NDArray[np.uint8]
) -> Iterator[tuple[str, _Floats]]:
    """What the layers with weights give, by name, in float32; the logits not."""
    value: _Floats = crops[..., np.newaxis].astype(np.float32) * np.float32(CROP_STEP)
    for name, layer in named_layers(manifest.layers):
        if isinstance(layer, Pool):
            value = _pooled(value, layer.size)
            continue
        if not isinstance(layer, Conv | Dense):
            continue
        kernel = weights[f"{name}/kernel"]
        if isinstance(layer, Conv):
            product = _convolved(value, kernel, layer.padding)
        else:
            product = np.asarray(value.reshape(len(value), -1) @ kernel)
        value = np.asarray(np.maximum(product + weights[f"{name}/bias"], 0), np.float32)
        yield name, value


def _convolved(value: _Floats, kernel: _Floats, padding: str) -> _Floats:
    """Pictures, (n, height, width, in), by a kernel, (height, width, in, out)."""
    size = len(kernel)
    around = ((size - 1) // 2, size // 2) if padding == "same" else (0, 0)
    padded = np.pad(value, ((0, 0), around, around, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    # (n, height, width, in, down, across) by (down, across, in, out).
    return np.asarray(np.tensordot(windows, kernel, axes=((4, 5, 3), (0, 1, 2))))


def _pooled(value: _Floats, size: int) -> _Floats:
    """The largest of each square; what is left at the edges counts nowhere."""
    count, height, width, channels = value.shape
    down, across = height // size, width // size
    squares = value[:, : down * size, : across * size].reshape(
        count, down, size, across, size, channels
    )
    return np.asarray(squares.max(axis=(2, 4)))
