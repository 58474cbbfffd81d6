"""The labelled data that a command names: sources as KIND:PATH or in a training config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import many, say

if TYPE_CHECKING:
    from inkmill.models.weights import ModelFiles
    from inkmill.trainer.config import Config
    from inkmill.trainer.data.samples import Dataset


def sources_of(
    data: Sequence[str], path: Path | None, classes: Sequence[str], strips: bool = False
) -> Config:
    """The sources of a training config, or those given as KIND:PATH; by default MNIST.

    ``strips`` reads them for a model of strips: whole, with their texts. Raises UsageError.
    """
    from inkmill.trainer.config import Config

    if path is not None:
        return Config.load(path)
    sources = []
    for each in data or ("mnist:mnist",):
        kind, colon, place = each.partition(":")
        if not colon:
            raise click.UsageError(f"--data {each}: write KIND:PATH, such as mnist:mnist")
        # Several of one kind are reported under the text that was given for each.
        several = sum(other.startswith(f"{kind}:") for other in data) > 1
        sources.append({"kind": kind, "path": place, "name": each if several else ""})
    if strips:
        values = {"sources": sources, "classes": classes, "architecture": "strips"}
        return Config.parse(values, "--data")
    digits = [each for each in classes if len(each) == 1]
    return Config.parse({"sources": sources, "classes": digits}, "--data")


def config_of(given: Sequence[str]) -> Config:
    """A config file, or sources as KIND:PATH or as folders of classes, as a config to describe.

    Without a config file nothing is split. Raises UsageError.
    """
    from inkmill.trainer.config import Config

    if len(given) == 1 and given[0].endswith(".toml"):
        return Config.load(Path(given[0]))
    sources = []
    for each in given:
        kind, colon, place = each.partition(":")
        folder = not colon or Path(each).is_dir()
        source = {"kind": "folder", "path": str(Path(each).absolute())} if folder else {}
        sources.append({"kind": kind, "path": place, "name": each, **source})
    whole = {"test": 0.0, "validation": 0.0}
    return Config.parse({"sources": sources, "split": whole}, " ".join(given))


def load(config: Config, part: str | None) -> Dataset:
    """The samples of one part; without ``part``, all that no model was trained on.

    Raises UsageError if the part is empty.
    """
    from inkmill.errors import UsageError
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.samples import TEST, Dataset
    from inkmill.trainer.data.split import split

    dataset = readers.load(config)
    if part is None:
        # Data without parts are all for testing; MNIST's training images never are.
        if not any(sample.part for sample in dataset.samples):
            return dataset
        tested = [sample for sample in dataset.samples if sample.part in ("", TEST)]
        return Dataset(tested, dataset.problems)
    if part == "all":
        return dataset
    chosen = list(split(dataset.samples, config).named()[part])
    if not chosen:
        raise UsageError(f"the part {part} has no samples: choose another one with --part")
    return Dataset(chosen, dataset.problems)


def load_unseen(files: ModelFiles, config: Config, part: str | None) -> tuple[Dataset, int]:
    """The samples of one part without those that a model was trained on, and how many those are.

    If a part is named that is not for testing, they stay and are told. Raises UsageError if no
    other image is left.
    """
    from inkmill.errors import UsageError
    from inkmill.models import training_images
    from inkmill.trainer.data.samples import TEST, Dataset

    data = load(config, part)
    if files.manifest.trained_on is None:
        return data, 0
    known = training_images.listed(files.trained_on, [each.digest for each in data.samples])
    seen = int(known.sum())
    if not seen:
        return data, 0
    if part not in (None, TEST):
        say(f"{many(seen, 'image')} of {len(known):,} were used to train this model")
        return data, 0
    unseen = [each for each, is_known in zip(data.samples, known, strict=True) if not is_known]
    if not unseen:
        raise UsageError(
            f"this model was trained on all {many(seen, 'image')}: give others, or --part all to "
            "measure on these"
        )
    say(f"left out: {many(seen, 'image')} that this model was trained on (--part all keeps them)")
    return Dataset(unseen, data.problems), seen
