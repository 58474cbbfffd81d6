"""A model's files beside a run: the model that it began with, and the one that it came to."""

from __future__ import annotations

from inkmill.models import training_images
from inkmill.models.manifest import Manifest
from inkmill.models.weights import ModelFiles
from inkmill.trainer.runs.storage import RunStore

_FILES = ("manifest.json", "weights.safetensors", "golden.safetensors", training_images.FILE)


def write(store: RunStore, prefix: str, files: ModelFiles) -> None:
    """Store a model's files below a prefix; the manifest last, with which it is complete."""
    contents = (files.manifest.encode(), files.weights, files.golden, files.trained_on)
    for name, content in reversed(list(zip(_FILES, contents, strict=True))):
        if content:
            store.put(f"{prefix}{name}", content)


def read(store: RunStore, prefix: str) -> ModelFiles:
    """The model below a prefix. Raises NotFound, or ModelError if it is damaged."""
    manifest = Manifest.decode(store.get(f"{prefix}{_FILES[0]}").data)
    weights, golden = (store.get(f"{prefix}{name}").data for name in _FILES[1:3])
    listed = manifest.trained_on is not None
    trained_on = store.get(f"{prefix}{_FILES[3]}").data if listed else b""
    files = ModelFiles(manifest, weights, golden, trained_on)
    files.check()
    return files
