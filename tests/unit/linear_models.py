"""A model of digits with a single layer, whose probabilities NumPy computes as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.models.architectures import Pool
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.weights import Golden, ModelFiles, encode_weights

_CLASSES = tuple("0123456789")


class LinearModel:
    """Maxima of 2 x 2 pixels, a product with random weights, softmax; another for each seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._kernel = rng.normal(0, 0.2, (14 * 14, len(_CLASSES))).astype(np.float32)
        bias = np.zeros(len(_CLASSES), np.float32)
        arrays = {"logits/kernel": self._kernel, "logits/bias": bias}
        weights = encode_weights(arrays, "float32")
        crops = rng.integers(0, 256, (8, 28, 28)).astype(np.uint8)
        golden = Golden(crops, self.probabilities(crops)).encode()
        manifest = Manifest(
            architecture="linear",
            layers=(Pool(),),
            classes=_CLASSES,
            input_size=28,
            weights=Blob.of(weights),
            golden=Blob.of(golden),
            created=f"seed {seed}",
        )
        self.files = ModelFiles(manifest, weights, golden)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Float32 (n, classes) of crops, uint8 (n, 28, 28)."""
        pooled = crops.reshape(-1, 14, 2, 14, 2).max(axis=(2, 4)).reshape(len(crops), 14 * 14)
        logits = pooled.astype(np.float32) / 255 @ self._kernel
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
