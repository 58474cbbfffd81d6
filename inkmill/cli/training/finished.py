"""The model of a finished training: written to a folder, and published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkmill.cli.display import say

if TYPE_CHECKING:
    from inkmill.backends.store import Store
    from inkmill.models.manifest import Manifest
    from inkmill.models.weights import ModelFiles
    from inkmill.trainer.train import AnyFinished


def write(files: ModelFiles, folder: Path) -> None:
    """Write a model's files and its card."""
    from inkmill.models import training_images
    from inkmill.trainer.publish.card import write_card

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(files.weights)
    (folder / "golden.safetensors").write_bytes(files.golden)
    (folder / training_images.FILE).write_bytes(files.trained_on)
    (folder / "manifest.json").write_bytes(files.manifest.encode())
    write_card(files.manifest, folder)


def publish(store: Store, name: str, finished: AnyFinished, *, margin: float, force: bool) -> str:
    """Publish a model unless it reads worse than the one served now; returns its version."""
    from inkmill.errors import UsageError
    from inkmill.models.registry import Registry
    from inkmill.trainer.publish.finish import measure_other
    from inkmill.trainer.publish.finish_strings import FinishedStrings, measure_other_strings
    from inkmill.trainer.publish.gate import gate

    registry = Registry(store, name)
    pointer = registry.current()
    files = finished.files
    if pointer is not None:
        others = (each for each in files.manifest.parents if each != pointer.version)
        manifest = replace(files.manifest, parents=(*others, pointer.version))
        files = replace(files, manifest=manifest)

    def measure(current: Manifest) -> list[dict[str, Any]]:
        other = registry.fetch(current.version)
        if isinstance(finished, FinishedStrings):
            return measure_other_strings(other, finished.tests, finished.files.manifest)
        return measure_other(other, finished.tests)

    check = None if force else gate(files.manifest, margin, measure)
    try:
        version = registry.publish(files, gate=check)
    except UsageError as error:
        # The training succeeded, and its model is there: what to do with it is another question.
        say(f"not published as {name}: {error}")
        return files.manifest.version
    say(f"published as {name}")
    return version
