"""Train, validation and test parts: stratified, seeded, and by group where told so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.samples import TEST, TRAIN, Sample


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts; no group that was split by is in two of them."""

    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]

    def named(self) -> dict[str, Sequence[Sample]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split(samples: Sequence[Sample], config: Config) -> Parts:
    """Divide samples as the config says.

    Samples whose source divides itself (MNIST) keep their part. Named groups go where they are
    named. The rest is drawn: by class, or by whole groups.
    """
    rules = config.split
    _check_groups(samples, (*rules.hold_out, *rules.validation_groups))
    shares = {source.name or source.kind: source.test for source in config.sources}
    parts = Parts([], [], [])
    loose: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.group and sample.group in rules.hold_out:
            parts.test.append(sample)
        elif sample.group and sample.group in rules.validation_groups:
            parts.validation.append(sample)
        elif sample.part == TEST:
            parts.test.append(sample)
        else:
            loose.setdefault(sample.source, []).append(sample)
    for source, members in loose.items():
        share = shares.get(source)
        share = rules.test if share is None else share
        rest, tested = members, list[Sample]()
        if any(member.part == TRAIN for member in members):
            share = 0.0
        rest, tested = _draw(members, share, rules.by, rules.seed)
        named = rules.validation_groups and any(member.group for member in members)
        kept, validated = _draw(rest, 0.0 if named else rules.validation, rules.by, rules.seed + 1)
        parts.train.extend(kept)
        parts.validation.extend(validated)
        parts.test.extend(tested)
    return parts


def _check_groups(samples: Sequence[Sample], named: Sequence[str]) -> None:
    known = {sample.group for sample in samples}
    if unknown := sorted(set(named) - known):
        raise UsageError(
            f"split: no sample is of the group {', '.join(unknown)}; "
            f"there are {', '.join(sorted(known - {''})) or 'none'}"
        )


def _draw(
    samples: list[Sample], share: float, by: str, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Take a share out of samples, as scikit-learn's train_test_split does."""
    if share <= 0 or len(samples) < 2:
        return samples, []
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    indices = np.arange(len(samples))
    if by == "group" and all(sample.group for sample in samples):
        groups = [sample.group for sample in samples]
        if len(set(groups)) < 2:
            raise UsageError(
                f"split by group: {samples[0].source} has only the group {groups[0]}: "
                "give more groups, or split without them"
            )
        splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
        kept, taken = next(splitter.split(indices, groups=groups))
    else:
        labels = [sample.label for sample in samples]
        classes = len(set(labels))
        # Of little data, one of each class all the same.
        size = share if share * len(samples) >= classes else classes
        try:
            kept, taken = train_test_split(
                indices, test_size=size, random_state=seed, stratify=labels
            )
        except ValueError as error:
            raise UsageError(
                f"split: {samples[0].source} cannot be divided by class ({error}): "
                "give each class more samples"
            ) from None
    return [samples[n] for n in kept], [samples[n] for n in taken]
