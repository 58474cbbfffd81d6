"""Split samples into train, validation and test parts: stratified, seeded, optionally by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import TEST, TRAIN, VALIDATION, Sample
from inkmill.trainer.settings.tables import Split


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts; no image is in two of them, nor, after a split by group, any group.

    ``copies`` are pairs of equal images: one that is measured with, and the other, which was left
    out of training or validation, since a test with images that were learnt says too much.
    """

    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]
    copies: list[tuple[Sample, Sample]] = field(default_factory=list)

    def named(self) -> dict[str, Sequence[Sample]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def groups(self) -> dict[str, str]:
        """The part that each group is in."""
        return {
            sample.group: part
            for part, samples in self.named().items()
            for sample in samples
            if sample.group
        }


def split(samples: Sequence[Sample], config: Config) -> Parts:
    """Split samples as the config says.

    Samples of a source that is already divided (MNIST) keep their part. Groups named in the config
    go where they are named; if some are held out, sources with groups give no other test samples,
    since the model would be trained on their writers. The rest is drawn by class, or by whole
    groups, each of which goes where the first of its sources put it.
    """
    rules = config.split
    if rules.by == "group" and not any(sample.group for sample in samples):
        raise UsageError(
            "split by group: no sample has a group: say with group or group_column in [[sources]] "
            "where it is named, or leave out by"
        )
    _check_groups(samples, (*rules.hold_out, *rules.validation_groups))
    shares = {source.name or source.kind: source.test for source in config.sources}
    held = {each.source for each in samples if each.group} if rules.hold_out else set()
    parts, by_name = Parts([], [], []), set(rules.validation_groups)
    for source, members in _named(samples, rules, parts).items():
        share = shares.get(source)
        share = rules.test if share is None else share
        if source in held or any(member.part == TRAIN for member in members):
            share = 0.0
        placed = parts.groups() if rules.by == "group" else {}
        tested = {group: part == TEST for group, part in placed.items()}
        rest, taken = _draw(members, share, rules, rules.seed, tested)
        named = source in {each.source for each in parts.validation if each.group in by_name}
        share = 0.0 if named else rules.validation
        validated = {group: part == VALIDATION for group, part in placed.items()}
        kept, checked = _draw(rest, share, rules, rules.seed + 1, validated)
        parts.train.extend(kept)
        parts.validation.extend(checked)
        parts.test.extend(taken)
    return _without_copies(parts)


def _without_copies(parts: Parts) -> Parts:
    """Parts without images that are measured with, however often a source or writer has them.

    What is tested stays as it was drawn, so that figures of other models are of the same images.
    """
    measured: dict[bytes, Sample] = {sample.digest: sample for sample in parts.test}
    copies: list[tuple[Sample, Sample]] = []

    def kept(samples: Sequence[Sample]) -> Iterator[Sample]:
        for sample in samples:
            other = measured.get(sample.digest)
            if other is None:
                yield sample
            else:
                copies.append((other, sample))

    validation = list(kept(parts.validation))
    measured |= {sample.digest: sample for sample in validation}
    return Parts(list(kept(parts.train)), validation, parts.test, copies)


def _named(samples: Sequence[Sample], rules: Split, parts: Parts) -> dict[str, list[Sample]]:
    """Put samples of named groups into ``parts``; returns the others, by source."""
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
    return loose


def _check_groups(samples: Sequence[Sample], named: Sequence[str]) -> None:
    known = {sample.group for sample in samples}
    if unknown := sorted(set(named) - known):
        raise UsageError(
            f"split: no sample has the group {', '.join(unknown)}; "
            f"the groups are {', '.join(sorted(known - {''})) or 'none'}"
        )


def _draw(
    samples: list[Sample], share: float, rules: Split, seed: int, placed: Mapping[str, bool]
) -> tuple[list[Sample], list[Sample]]:
    """Take a share of the samples, or a number from 2, like scikit-learn's train_test_split.

    ``placed`` says for groups whether they are already taken, or kept.
    """
    kept = [sample for sample in samples if placed.get(sample.group) is False]
    taken = [sample for sample in samples if placed.get(sample.group)]
    free = [sample for sample in samples if sample.group not in placed]
    if share == 1 or share >= max(2, len(free)):
        return kept, taken + free
    if share <= 0 or len(free) < 2:
        return kept + free, taken
    if rules.by == "group" and _have_groups(free):
        groups = [sample.group for sample in free]
        if len(set(groups)) < 2 and len(free) < len(samples):
            return kept + free, taken
        part = share / len(free) if share > 1 else share
        first, second = _by_group(free, groups, part, seed)
    else:
        first, second = _at_random(free, share, seed, stratify=rules.stratify)
    return kept + [free[n] for n in first], taken + [free[n] for n in second]


def _have_groups(samples: Sequence[Sample]) -> bool:
    """Whether samples of one source have groups. Raises UsageError if only some have."""
    without = [sample for sample in samples if not sample.group]
    if without and len(without) < len(samples):
        raise UsageError(
            f"split by group: {without[0].where} has no group, but others of {without[0].source} "
            f"have one ({len(without)} of {len(samples)} have none): give each sample a group"
        )
    return not without


def _by_group(
    samples: Sequence[Sample], groups: list[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    from sklearn.model_selection import GroupShuffleSplit

    if len(set(groups)) < 2:
        raise UsageError(
            f"split by group: {samples[0].source} has only the group {groups[0]}: "
            "give more groups, or split without them"
        )
    splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
    with _dividing(samples, "group", "give it more groups"):
        kept, taken = next(splitter.split(np.arange(len(samples)), groups=groups))
    return kept.tolist(), taken.tolist()


def _at_random(
    samples: Sequence[Sample], share: float, seed: int, *, stratify: bool
) -> tuple[list[int], list[int]]:
    from sklearn.model_selection import train_test_split

    labels = [sample.label for sample in samples]
    classes = len(set(labels))
    # With little data, still one of each class.
    wanted = share if share > 1 else share * len(samples)
    size = share if wanted >= classes or not stratify else classes
    with _dividing(samples, "class", "give each class more samples"):
        kept, taken = train_test_split(
            np.arange(len(samples)),
            test_size=size,
            random_state=seed,
            stratify=labels if stratify else None,
        )
    return kept.tolist(), taken.tolist()


@contextmanager
def _dividing(samples: Sequence[Sample], by: str, remedy: str) -> Iterator[None]:
    """Say what is wrong if scikit-learn cannot divide a source."""
    try:
        yield
    except ValueError as error:
        raise UsageError(
            f"split: {samples[0].source} cannot be divided by {by} ({error}): "
            f"{remedy}, or use a smaller share"
        ) from None
