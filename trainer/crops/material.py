"""Training samples prepared once, in arrays that several processes map into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.cut.filters import Filter
from inkmill.forms.cut.normalise import normalise
from inkmill.trainer.config import Config
from inkmill.trainer.crops.stamps import SIDE, skeletons, stamp
from inkmill.trainer.data.hands import rewritten
from inkmill.trainer.data.samples import Problem, Sample

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Crops:
    """Normalised samples: crops uint8 (n, size, size), labels int32 (n,).

    ``kept`` are the numbers of the samples that have ink; the others are ``problems``.
    """

    crops: Grey
    labels: NDArray[np.int32]
    kept: NDArray[np.int64]
    problems: list[Problem]


def to_crops(samples: Sequence[Sample], config: Config) -> Crops:
    """Normalise samples with the config's size and filters."""
    return normalised(samples, config.classes, config.input_size, config.filters)


def normalised(
    samples: Sequence[Sample], classes: Sequence[str], size: int, filters: Sequence[Filter]
) -> Crops:
    """Normalise samples exactly like a worker."""
    numbers = {name: number for number, name in enumerate(classes)}
    crops = np.zeros((len(samples), size, size), np.uint8)
    kept, problems = [], []
    for at, sample in enumerate(samples):
        crop = normalise(sample.image, size, filters)
        if crop is None:
            reason = _why_without_ink(sample, size, filters)
            problems.append(Problem.of(sample, reason))
        else:
            crops[at] = crop
            kept.append(at)
    chosen = np.array(kept, np.int64)
    labels = np.array([numbers[samples[at].label] for at in kept], np.int32)
    return Crops(crops[chosen], labels, chosen, problems)


def _why_without_ink(sample: Sample, size: int, filters: Sequence[Filter]) -> str:
    if not filters or normalise(sample.image, size) is None:
        return "no ink was found in it"
    named = ", ".join(str(each["name"]) for each in filters)
    return f"the preprocessing ({named}) leaves no ink of it"


class Saved:
    """Arrays of a dataclass with slots in files of their names."""

    __slots__: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        for name in self.__slots__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def map(cls, folder: Path) -> Self:
        """Map the files that ``save`` wrote, without reading them into this process's memory."""
        arrays: dict[str, Any] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.__slots__
        }
        return cls(**arrays)


@dataclass(frozen=True, slots=True)
class Material(Saved):
    """Everything that blocks are made of.

    ``stamps`` and ``skeletons`` are empty if no cells are drawn. ``starts`` divides the samples by
    source: those of source k are starts[k] to starts[k + 1].
    """

    crops: Grey
    labels: NDArray[np.int32]
    stamps: Grey
    skeletons: NDArray[np.uint8]
    starts: NDArray[np.int64]
    weights: NDArray[np.float64]


def prepare(samples: Sequence[Sample], config: Config) -> tuple[Material, list[Problem]]:
    """Turn training samples into material; also returns the samples without ink."""
    names = list(dict.fromkeys(source.name or source.kind for source in config.sources))
    weight_of = {source.name or source.kind: source.weight for source in config.sources}
    samples = [*samples, *rewritten(samples, config)]
    by_source = {name: [each for each in samples if each.source == name] for name in names}
    ordered = [sample for name in names for sample in by_source[name]]
    made = to_crops(ordered, config)
    if not len(made.kept):
        raise UsageError("no training sample has any ink: look at them with inkmill data preview")
    shares = [config.augmentation.cells, *(source.cells or 0.0 for source in config.sources)]
    drawn = max(shares) > 0 or config.negatives.reject > 0
    stamps = _stamps([ordered[at] for at in made.kept]) if drawn else _none((0, SIDE, SIDE))
    pens = [config.augmentation.redraw, *(source.redraw or 0.0 for source in config.sources)]
    redrawn = drawn and max(pens) > 0
    thinned = skeletons(stamps) if redrawn else _none((0, SIDE, SIDE // 8))
    ends = np.cumsum([len(by_source[name]) for name in names])
    starts = np.searchsorted(made.kept, np.concatenate([[0], ends]))
    sizes = np.diff(starts)
    weights = np.array([weight_of[name] for name in names]) * (sizes > 0)
    if not weights.sum():
        raise UsageError("sources: every source has weight 0 or no training sample")
    material = Material(
        made.crops, made.labels, stamps, thinned, starts.astype(np.int64), weights / weights.sum()
    )
    return material, made.problems


def _none(shape: tuple[int, ...]) -> Grey:
    return np.zeros(shape, np.uint8)


def _stamps(samples: Sequence[Sample]) -> Grey:
    result = np.zeros((len(samples), SIDE, SIDE), np.uint8)
    for at, sample in enumerate(samples):
        ink = stamp(sample.image)
        if ink is not None:
            result[at] = ink
    return result
