"""What happens to data before a training: read, checked, split, normalised. No TensorFlow.

`inkmill data check` and `inkmill train` share it, so that nothing stops a training that the check
did not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.crops import material
from inkmill.trainer.crops.material import Material, to_crops
from inkmill.trainer.data import readers
from inkmill.trainer.data.samples import Dataset, Problem, Sample, check_classes
from inkmill.trainer.data.split import Parts, split
from inkmill.trainer.strings.material import (
    StringMaterial,
    check_strings,
    is_whole,
    normalised_strips,
    prepare_strings,
)
from inkmill.trainer.summaries import SOME, describe_data, describe_problems


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that are ready for training.

    ``lost`` are samples of all parts without ink after preprocessing; ``material`` is what the
    others of the training part became; ``digest`` identifies the training part.
    """

    dataset: Dataset
    parts: Parts
    material: Material | StringMaterial
    lost: list[Problem]
    digest: str

    def describe(self, config: Config, *, every: bool = False) -> Iterator[str]:
        """Lines with counts, images that cannot be used, copies that are not learnt.

        With ``every``, all images that cannot be used are named, else some for each reason.
        """
        most = len(self.dataset.problems) + len(self.lost) if every else SOME
        yield from describe_data(config, self.dataset, self.parts, most=most)
        there = {symbol for each in self.parts.train for symbol in (each.label, *each.label)}
        if absent := [name for name in config.classes if name not in {*there, *config.drawn}]:
            yield f"no training sample of {', '.join(absent)}"
        yield from describe_problems(self.lost, most)

    def check(self, config: Config) -> None:
        """Raise UsageError if too many images of a source are without ink."""
        totals = Counter(sample.source for sample in self.dataset.samples)
        for source, count in Counter(each.source for each in self.lost).items():
            if count > config.most_lost * totals[source]:
                reasons = Counter(each.reason for each in self.lost if each.source == source)
                said = "; ".join(f"{number} times: {why}" for why, number in reasons.items())
                raise UsageError(
                    f"source {source}: {count} of {totals[source]} images cannot be used "
                    f"({said}): inkmill data check names them; change the preprocessing, or allow "
                    f"a larger share with most_lost = {_next_share(count / totals[source])}"
                )


def _next_share(share: float) -> float:
    """A share with two decimals that is not smaller."""
    return min(1.0, -int(-share * 100 // 1) / 100)


def prepare(config: Config, folder: Path | None = None) -> Prepared:
    """Read, split and normalise all data of a config. Raises UsageError."""
    dataset = readers.load(config, folder)
    # A model to begin with may know classes that the new images lack.
    known = config.classes if config.parent else config.drawn
    check_classes(dataset.samples, config.classes, known)
    parts = split(dataset.samples, config)
    if not parts.train:
        raise UsageError("no sample is left for training: use smaller shares in [split]")
    _check_digits(parts, config)
    made, lost = _material(parts.train, config)
    for part in (parts.validation, parts.test):
        lost += without_ink(part, config)
    return Prepared(dataset, parts, made, lost, Dataset(parts.train).digest())


def _check_digits(parts: Parts, config: Config) -> None:
    """Raise UsageError if no digit is left to train on: rejects are drawn with them, too."""
    wanted = any(name.isdigit() for name in config.classes)
    if not wanted or any(_has_digit(sample) for sample in parts.train):
        return
    copies = sum(_has_digit(sample) for _, sample in parts.copies)
    raise UsageError(
        f"no digit is left for training: {copies} are images that are measured with, too: add "
        "other images, or put the copies into one group and split by group"
        if copies
        else "no digit is left for training: add sources with digits, or use smaller shares in "
        "[split]"
    )


def _has_digit(sample: Sample) -> bool:
    return any(letter.isdigit() for letter in sample.label)


def _material(
    samples: Sequence[Sample], config: Config
) -> tuple[Material | StringMaterial, list[Problem]]:
    if not config.reads_strips:
        return material.prepare(samples, config)
    made, problems = prepare_strings(samples, config)
    check_strings(made)
    return made, problems


def without_ink(samples: Sequence[Sample], config: Config) -> list[Problem]:
    """Samples in which preprocessing leaves no ink."""
    if not config.reads_strips:
        return to_crops(samples, config).problems
    whole = [sample for sample in samples if is_whole(sample, config.classes)]
    return normalised_strips(whole, config.classes).problems
