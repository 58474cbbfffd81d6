"""Labelled images in memory, with their origin, and the images that cannot be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError

Grey = NDArray[np.uint8]
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image: grey, uint8 (height, width), unchanged.

    ``group`` is its writer, form or document; ``where`` its file and place; ``part`` is "train" or
    "test" if the source is already divided, else "". ``whole`` says that it is a strip, and its
    label the text on it, of any length. ``site`` is where several writers' samples were collected,
    if the source says so: they share habits and devices. ``strokes`` are the pen's path, each
    stroke float64 (n, 2), if a tablet recorded it and the source is to be rewritten.
    """

    image: Grey
    label: str
    source: str
    where: str
    group: str = ""
    part: str = ""
    whole: bool = False
    site: str = ""
    strokes: tuple[NDArray[np.float64], ...] = ()

    @property
    def digest(self) -> bytes:
        """Hash of the pixels and their shape."""
        shape = f"{self.image.shape}".encode()
        return hashlib.blake2b(shape + self.image.tobytes(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Problem:
    """An image that cannot be used, and why. Never dropped in silence."""

    where: str
    reason: str
    source: str = ""

    @classmethod
    def of(cls, sample: Sample, reason: str) -> Problem:
        """The problem of a sample that was read, with its source."""
        return cls(sample.where, reason, sample.source)


@dataclass(slots=True)
class Dataset:
    """Samples, problems found while reading them, and notes for people."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def extend(self, other: Dataset) -> None:
        self.samples.extend(other.samples)
        self.problems.extend(other.problems)
        self.notes.extend(other.notes)

    def digest(self) -> str:
        """SHA-256 of all images and labels, in any order: identifies a frozen data set."""
        lines = sorted(sample.digest + sample.label.encode() for sample in self.samples)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers of samples by class, source and group."""
        return {
            "class": dict(sorted(Counter(each.label for each in self.samples).items())),
            "source": dict(Counter(each.source for each in self.samples)),
            "group": dict(
                sorted(Counter(each.group for each in self.samples if each.group).items())
            ),
        }


def check_classes(
    samples: Iterable[Sample], classes: Sequence[str], drawn: Sequence[str] = ()
) -> None:
    """Raise UsageError for labels outside the classes, or a class without any sample.

    The project itself draws those of the classes that are words, and ``drawn``.
    """
    counts: Counter[str] = Counter()
    odd: dict[str, list[str]] = {}
    for sample in samples:
        found = sample.label if sample.whole else (sample.label,)
        counts.update(found)
        for label in {*found} - {*classes}:
            odd.setdefault(label, []).append(sample.where)
    if odd:
        raise UsageError(_not_classes(odd, classes))
    empty = [name for name in classes if len(name) == 1 and not counts[name] and name not in drawn]
    if empty:
        raise UsageError(
            f"class {', '.join(empty)} has no sample: add some, or remove it from the classes"
        )


def _not_classes(odd: Mapping[str, Sequence[str]], classes: Sequence[str]) -> str:
    """All labels that are no classes, each with its first image."""
    named = "".join(
        f"\n  {label!r}: {len(places)} times, first in {places[0]}"
        for label, places in sorted(odd.items(), key=lambda each: -len(each[1]))
    )
    example = min(odd)
    return (
        f"labels that are not among the classes {', '.join(classes)}:{named}\n"
        f'correct them, say in the source which class they are (labels = {{ "{example}" = '
        f'"{classes[0]}" }}, or "" to leave them out), or add them to the classes'
    )


def duplicates(parts: dict[str, Sequence[Sample]]) -> list[tuple[Sample, Sample]]:
    """Pairs of equal images in different parts, found by the hash of their content."""
    seen: dict[bytes, tuple[str, Sample]] = {}
    found = []
    for part, samples in parts.items():
        for sample in samples:
            first = seen.setdefault(sample.digest, (part, sample))
            if first[0] != part:
                found.append((first[1], sample))
    return found
