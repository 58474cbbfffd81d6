"""Training that begins with the weights of a model, and is compared with it at the end.

The new images are learnt together with old ones, which are rehearsed: without them a network
forgets other hands (McCloskey and Cohen, Catastrophic interference in connectionist networks,
1989). The model to begin with is kept beside the run's checkpoints, so that the run can be resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill import names
from inkmill.errors import NotFound, UsageError
from inkmill.models import training_images
from inkmill.models.architectures import Layer
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.weights import ModelFiles, decode_weights
from inkmill.trainer.config import Config
from inkmill.trainer.data.split import Parts
from inkmill.trainer.runs import stored_models
from inkmill.trainer.runs.storage import RunStore

#: Defaults of a training that begins with a model: as many steps as some thousand images need,
#: and a learning rate that corrects a network rather than replaces it. docs/decisions/0020.
STEPS, LEARNING_RATE, WARMUP, AVERAGING = 1000, 0.0005, 50, 0.99
#: Share of the samples from sources that are rehearsed.
REHEARSED = 0.5

#: Kinds of sources whose samples are grouped by page without being told.
_GROUPED = ("form", "voc", "strips")
#: Kinds whose files say who wrote each image.
_ARCHIVES = ("npz", "strokes")


@dataclass(frozen=True, slots=True)
class Parent:
    """The model to begin with."""

    files: ModelFiles

    def weights(self, config: Config) -> dict[str, NDArray[np.float32]]:
        """Its weights. Raises UsageError unless the config describes the same network."""
        manifest = self.files.manifest
        if not manifest.has_network(config.network):
            mine = _words(manifest.architecture, manifest.first_layers)
            theirs = _words(config.network.name, config.network.first_stage)
            raise UsageError(
                f"--from: the model has the architecture {mine}, the config {theirs}: use the same"
            )
        if manifest.classes != config.classes:
            raise UsageError(
                f"--from: the model has the classes {', '.join(manifest.classes)}, the config "
                f"{', '.join(config.classes)}: use the same in the same order"
            )
        if manifest.filters != config.filters:
            raise UsageError(
                "--from: the model was trained with other filters than the config has: use the same"
            )
        return decode_weights(self.files.weights, manifest)

    def without_known(self, parts: Parts) -> tuple[Parts, int]:
        """Parts without test samples that this model was trained on, and how many those were.

        Whatever begins with its weights knows them too.
        """
        if self.files.manifest.trained_on is None:
            return parts, 0
        digests = [sample.digest for sample in parts.test]
        known = training_images.listed(self.files.trained_on, digests)
        kept = [each for each, is_known in zip(parts.test, known, strict=True) if not is_known]
        return replace(parts, test=kept), int(known.sum())


def _words(architecture: str, first_stage: Sequence[Layer]) -> str:
    return f"{architecture} with {'a' if first_stage else 'no'} first stage"


def keep(store: RunStore, run: str, parent: Parent) -> None:
    """Store the model that a run begins with."""
    stored_models.write(store, _prefix(run), parent.files)


def kept(store: RunStore, run: str, config: Config) -> Parent | None:
    """The model that a run began with; None if it began with random weights.

    Raises NotFound if the run was stopped before the model was stored.
    """
    if not config.parent:
        return None
    try:
        return Parent(stored_models.read(store, _prefix(run)))
    except NotFound:
        raise NotFound(
            f"run {run}: the model that it began with was not stored: start a new run"
        ) from None


def _prefix(run: str) -> str:
    return f"{names.run_root(run)}parent/"


def config_from(
    manifest: Manifest, sources: Sequence[Mapping[str, Any]], folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """A config to continue a model's training with more sources, as values to parse.

    The sources that it was trained on are rehearsed as far as they are below ``folder``; their
    weights are scaled to `REHEARSED` of the samples. Returns also the names of those that are not.
    """
    values = Config.parse(dict(manifest.config), "the model's config").model_dump(mode="json")
    old = [each for each in values["sources"] if (folder / each["path"]).exists()]
    missing = [_name(each) for each in values["sources"] if each not in old]
    known = {_name(each) for each in old}
    total = sum(each["weight"] for each in old)
    new = []
    for each in sources:
        name = _name(each)
        share = (1 - REHEARSED if total else 1.0) / len(sources)
        free = next(text for text in _numbered(name) if text not in known)
        known.add(free)
        new.append({**each, "name": free, "weight": share})
    for each in old:
        each["weight"] *= REHEARSED / total
    if missing:
        # Their groups are named for testing and validation, and no others have these names.
        values["split"] |= {"hold_out": [], "validation_groups": []}
    values["split"]["by"] = _split_by(values["split"]["by"], new, old)
    values["sources"] = [*new, *old]
    values["training"] |= {
        "steps": STEPS,
        "learning_rate": LEARNING_RATE,
        "warmup": WARMUP,
        "schedule": "cosine",
        "averaging": AVERAGING,
    }
    values["parent"] = manifest.version
    return values, missing


def _split_by(before: str, new: Sequence[Mapping[str, Any]], old: Sequence[Any]) -> str:
    """By group if the new sources have groups, which their pages or writers are; else as before.

    What is left of the old sources may have none: MNIST alone says nothing of its writers.
    """
    named = ("group", "group_column", "writers")
    if any(each["kind"] in _GROUPED or any(each.get(key) for key in named) for each in new):
        return "group"
    kinds = (*_GROUPED, *_ARCHIVES)
    has = any(each["kind"] in kinds or any(each.get(key) for key in named) for each in old)
    return before if has else ""


def _name(source: Mapping[str, Any]) -> str:
    return str(source.get("name") or source["kind"])


def _numbered(name: str) -> Any:
    yield name
    yield from (f"{name}{number}" for number in range(2, 1000))


def with_parent(files: ModelFiles, parent: Parent, before: list[dict[str, Any]]) -> ModelFiles:
    """A finished model that names the one it began with, and those which that one came from, and
    what the first of them reads of its tests."""
    manifest = files.manifest
    before_it = (parent.files.manifest.version, *parent.files.manifest.parents)
    listed = training_images.encode([], files.trained_on, parent.files.trained_on)
    metrics = {**manifest.metrics, "before": before}
    changed = replace(
        manifest,
        metrics=metrics,
        parents=tuple(dict.fromkeys((*before_it, *manifest.parents))),
        trained_on=Blob.of(listed),
    )
    return replace(files, manifest=changed, trained_on=listed)


def comparison(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Lines that say how the tests were read by the model to begin with and by the new one."""
    old = {each["name"]: each for each in before}
    return [
        f"{each['name']}: {old[each['name']]['accuracy']:.2%} before, {each['accuracy']:.2%} now, "
        f"of {each['samples']} test images"
        for each in after
        if each["name"] in old
    ]
