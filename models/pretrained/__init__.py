"""The models that Inkmill ships; each has a model card beside it.

Digits: trained by ``configs/forms.toml``. Numbers without cells, in ``strips/``: trained by
``configs/strips.toml``.
"""

from __future__ import annotations

from importlib.resources import files

from inkmill.errors import ModelError
from inkmill.models import training_images
from inkmill.models.manifest import Manifest
from inkmill.models.weights import ModelFiles

_STRIPS = "strips"


def load() -> ModelFiles:
    """The shipped model of digits; raises ModelError if its files are damaged."""
    return _load("")


def load_strips() -> ModelFiles:
    """The shipped model of numbers without cells.

    Raises ModelError if its files are damaged, or if this installation has none.
    """
    if not ships_strips():
        raise ModelError(
            "this installation ships no model of numbers without cells: train one with "
            "`inkmill train configs/strips.toml` and publish its folder"
        )
    return _load(_STRIPS)


def ships_strips() -> bool:
    """Whether this installation has a model of numbers without cells."""
    return (files(__name__) / _STRIPS / "manifest.json").is_file()


def _load(below: str) -> ModelFiles:
    folder = files(__name__) / below if below else files(__name__)
    manifest = Manifest.decode((folder / "manifest.json").read_bytes())
    listed = manifest.trained_on is not None
    model = ModelFiles(
        manifest,
        (folder / "weights.safetensors").read_bytes(),
        (folder / "golden.safetensors").read_bytes(),
        (folder / training_images.FILE).read_bytes() if listed else b"",
    )
    model.check()
    return model
