"""The model that Inkmill ships: trained by ``configs/forms.toml``, see its model card."""

from __future__ import annotations

from importlib.resources import files

from inkmill.models.manifest import Manifest
from inkmill.models.weights import ModelFiles


def load() -> ModelFiles:
    """The shipped model; raises ModelError if its files are damaged."""
    folder = files(__name__)
    model = ModelFiles(
        Manifest.decode((folder / "manifest.json").read_bytes()),
        (folder / "weights.safetensors").read_bytes(),
        (folder / "golden.safetensors").read_bytes(),
    )
    model.check()
    return model
