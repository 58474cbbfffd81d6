"""The labelled data that a command names: sources as KIND:PATH or in a training config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
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
