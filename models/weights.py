"""Weights and golden sets as safetensors: names, shapes, dtypes and digests checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models import training_images
from inkmill.models.architectures import outputs, stride
from inkmill.models.manifest import Manifest

Weights = dict[str, NDArray[np.float32]]

#: float16 halves the file; LeNet's readings change by less than 0.001 in confidence.
_STORED = (np.dtype(np.float16), np.dtype(np.float32))


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model as its files; ``trained_on`` lists its training images, if that was read too."""

    manifest: Manifest
    weights: bytes
    golden: bytes
    trained_on: bytes = b""

    def check(self) -> None:
        """Raise ModelError unless the files are those that the manifest names."""
        self.manifest.weights.check("weights.safetensors", self.weights)
        self.manifest.golden.check("golden.safetensors", self.golden)
        if self.manifest.trained_on is not None and self.trained_on:
            self.manifest.trained_on.check(training_images.FILE, self.trained_on)


@dataclass(frozen=True, slots=True)
class Golden:
    """Crops with the probabilities that the published model gave them.

    ``crops`` uint8 (n, size, size); ``probabilities`` float32 (n, classes). Of strips, uint8
    (n, size, width), float32 (n, frames, classes + 1). ``first_stage`` are the probabilities that
    a model's first stage gave them, in the shape of the others.
    """

    crops: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    first_stage: NDArray[np.float32] | None = None

    def encode(self) -> bytes:
        from safetensors.numpy import save

        arrays = {"crops": self.crops, "probabilities": self.probabilities}
        if self.first_stage is not None:
            arrays["first_stage"] = self.first_stage
        data: bytes = save({name: np.ascontiguousarray(each) for name, each in arrays.items()})
        return data

    @classmethod
    def decode(cls, data: bytes, manifest: Manifest) -> Golden:
        """Read a golden set; raises ModelError unless it is the manifest's and fits it."""
        manifest.golden.check("golden.safetensors", data)
        tensors = _tensors("golden.safetensors", data)
        names = {"crops", "probabilities"} | ({"first_stage"} if manifest.first_stage else set())
        if set(tensors) != names:
            raise ModelError(f"golden.safetensors: must hold exactly {', '.join(sorted(names))}")
        crops, probabilities = tensors["crops"], tensors["probabilities"]
        size, width = manifest.input_size, manifest.input_size
        expected: tuple[int, ...] = (len(crops), len(manifest.classes))
        if manifest.reads_strips:
            width = crops.shape[2] if crops.ndim == 3 else 0
            step, symbols = stride(manifest.layers), outputs(manifest.layers, expected[1])
            expected = (len(crops), width // step, symbols)
        if crops.dtype != np.uint8 or crops.shape[1:] != (size, width) or not len(crops):
            raise ModelError(f"golden.safetensors: crops must be uint8 (n, {size}, {width})")
        for name in sorted(names - {"crops"}):
            if tensors[name].dtype != np.float32 or tensors[name].shape != expected:
                raise ModelError(f"golden.safetensors: {name} must be float32 {expected}")
        return cls(crops, probabilities, tensors.get("first_stage"))


def encode_weights(weights: Mapping[str, NDArray[np.float32]], dtype: str = "float16") -> bytes:
    """Weights as safetensors, rounded to float16 or kept in float32."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(value, dtype) for name, value in weights.items()}
    data: bytes = save(arrays)
    return data


def decode_weights(data: bytes, manifest: Manifest) -> Weights:
    """Read weights; raises ModelError unless they are the manifest's, whole and finite.

    The result has float32 arrays in the order of ``manifest.shapes``.
    """
    manifest.weights.check("weights.safetensors", data)
    tensors = _tensors("weights.safetensors", data)
    shapes = manifest.shapes
    if set(tensors) != set(shapes):
        odd = sorted(set(tensors) ^ set(shapes))
        raise ModelError(f"weights.safetensors: names do not match the architecture: {odd}")
    return {name: _checked(name, tensors[name], shape) for name, shape in shapes.items()}


def _checked(name: str, value: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if value.shape != shape or value.dtype not in _STORED:
        raise ModelError(
            f"weights.safetensors: {name} is {value.dtype} {value.shape}, "
            f"the architecture needs float16 or float32 {shape}"
        )
    result = value.astype(np.float32)
    if not np.isfinite(result).all():
        raise ModelError(f"weights.safetensors: {name} holds NaN or infinity")
    return result


def _tensors(what: str, data: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{what}: not a readable safetensors file ({error})") from None
    return tensors
