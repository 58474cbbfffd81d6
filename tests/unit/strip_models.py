"""A model of numbers without cells that reads the same in every strip; it has no training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inkmill.models.architectures import Along, Columns, Conv, Pool, PoolRows
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.strips import StripReader
from inkmill.models.weights import Golden, ModelFiles

_LAYERS = (Conv(2, size=3), Pool(), Pool(), PoolRows(), Columns(), Along(4))
_CLASSES = (*"0123456789", ".", "-", "X", "$", "reject")
_HEIGHT = 40


def constant_model(symbol: str, sure: float = 9.0) -> ModelFiles:
    """A model that reads ``symbol``, with ``sure`` more logit than anything else."""
    from safetensors.numpy import save

    blank = Blob.of(b"-")
    manifest = Manifest(
        architecture="constant",
        layers=_LAYERS,
        classes=_CLASSES,
        input_size=_HEIGHT,
        weights=blank,
        golden=blank,
        created=f"always {symbol}",
    )
    arrays = {name: np.zeros(shape, np.float32) for name, shape in manifest.shapes.items()}
    arrays["logits/bias"][_CLASSES.index(symbol)] = sure
    weights: bytes = save(arrays)
    manifest = replace(manifest, weights=Blob.of(weights))
    crops = np.zeros((2, _HEIGHT, 64), np.uint8)
    frames = StripReader(manifest, weights, shapes=((2, 64),)).frames(list(crops))
    golden = Golden(crops, np.stack([each[:16] for each in frames]).astype(np.float32)).encode()
    return ModelFiles(replace(manifest, golden=Blob.of(golden)), weights, golden)
