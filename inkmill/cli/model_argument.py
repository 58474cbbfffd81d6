"""The MODEL argument that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inkmill.models.weights import ModelFiles

HELP = (
    "shipped, a folder with a manifest, latest, a version (at least 4 digits) in the store, "
    "NAME@VERSION for a model of another name, or run:RUN for that of a run"
)
#: What stands before the name of a run.
_RUN = "run:"


def find_model(text: str, name: str | None = None) -> ModelFiles:
    """The files of a model that a user named. Raises UsageError, NotFound or ModelError.

    The name "strips" stands for readers of numbers without cells, also for the shipped one.
    """
    from inkmill.models import pretrained
    from inkmill.models.strips import MODEL

    if text == "shipped":
        return pretrained.load_strips() if name == MODEL else pretrained.load()
    if text.startswith(_RUN) or Path(text).is_dir():
        return read_path(Path(text))
    from inkmill.backends.store import open_store
    from inkmill.models.registry import Registry
    from inkmill.settings import Settings

    settings = Settings.load()
    named, at, version = text.rpartition("@")
    registry = Registry(open_store(settings), (named if at else name) or settings.model)
    text = version if at else text
    return registry.fetch(registry.find(text), with_training_images=True)


def read_path(path: Path) -> ModelFiles:
    """The model in a folder, or that of ``run:RUN``. Raises UsageError or NotFound."""
    if not str(path).startswith(_RUN):
        return read_folder(path)
    from inkmill.cli.servers import run_stores
    from inkmill.trainer.runs.snapshot import model_of

    return model_of(run_stores()[1], str(path).removeprefix(_RUN))


def read_folder(folder: Path) -> ModelFiles:
    """The model in a folder. Raises UsageError that names the file that is missing."""
    from inkmill.errors import UsageError
    from inkmill.models import training_images
    from inkmill.models.manifest import Manifest
    from inkmill.models.weights import ModelFiles

    try:
        manifest = Manifest.decode((folder / "manifest.json").read_bytes())
        listed = manifest.trained_on is not None
        files = ModelFiles(
            manifest,
            (folder / "weights.safetensors").read_bytes(),
            (folder / "golden.safetensors").read_bytes(),
            (folder / training_images.FILE).read_bytes() if listed else b"",
        )
    except OSError as error:
        raise UsageError(
            f"{folder}: {Path(str(error.filename)).name} cannot be read ({error.strerror}): give a "
            "folder with all files of a model, as `inkmill train` writes it"
        ) from None
    files.check()
    return files
