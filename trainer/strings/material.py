"""What strings are composed of: the characters of each hand, and whole strips with their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.cut.strip import HEIGHT, normalise_strip
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import Saved
from inkmill.trainer.crops.stamps import SIDE, skeletons, stamp
from inkmill.trainer.data.hands import rewritten
from inkmill.trainer.data.samples import Problem, Sample

Grey = NDArray[np.uint8]

#: Most symbols of a strip; what fills shorter labels.
MOST_SYMBOLS, NOTHING = 32, -1
#: A hand needs so many different digits, or it would write the same numbers over and over.
_LEAST_DIGITS = 5


@dataclass(frozen=True, slots=True)
class StringMaterial(Saved):
    """Characters, sorted by source and hand, and whole strips.

    ``stamps`` uint8 (n, 64, 64), ``skeletons`` their packed skeletons, ``labels`` int32 (n,) the
    class of each. Hand h has the characters hands[h] to hands[h + 1]; ``hand_weights`` is how often
    it writes a string (0 for hands with too few digits). ``strips`` uint8 (total,) holds whole
    strips, normalised, one after the other, ``widths`` their widths, ``texts`` int32 (m, 32) their
    classes, ``strip_weights`` how often each is taken.
    """

    stamps: Grey
    skeletons: Grey
    labels: NDArray[np.int32]
    hands: NDArray[np.int64]
    hand_weights: NDArray[np.float64]
    strips: Grey
    widths: NDArray[np.int64]
    texts: NDArray[np.int32]
    strip_weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strips:
    """Whole strips, normalised: pictures uint8 (HEIGHT, width), and their symbols.

    ``kept`` are the numbers of the samples that have ink; the others are ``problems``.
    """

    pictures: list[Grey]
    labels: NDArray[np.int32]
    kept: list[int]
    problems: list[Problem]


def is_whole(sample: Sample, classes: Sequence[str]) -> bool:
    """Whether a sample is a strip with its text, and not one character."""
    return sample.whole or sample.label not in classes


def symbols(text: str, classes: Sequence[str]) -> list[int]:
    """The classes of a text's symbols."""
    numbers = {name: number for number, name in enumerate(classes)}
    return [numbers[symbol] for symbol in text]


def normalised_strips(samples: Sequence[Sample], classes: Sequence[str]) -> Strips:
    """Normalise whole strips exactly like a worker."""
    pictures, kept, problems = [], [], []
    for at, sample in enumerate(samples):
        picture = normalise_strip(sample.image)
        if picture is None:
            problems.append(Problem.of(sample, "no ink was found in it"))
        elif len(sample.label) > MOST_SYMBOLS:
            reason = f"has more than {MOST_SYMBOLS} symbols"
            problems.append(Problem.of(sample, reason))
        else:
            pictures.append(picture)
            kept.append(at)
    labels = np.full((len(kept), MOST_SYMBOLS), NOTHING, np.int32)
    for row, at in enumerate(kept):
        found = symbols(samples[at].label, classes)
        labels[row, : len(found)] = found
    return Strips(pictures, labels, kept, problems)


def prepare_strings(
    samples: Sequence[Sample], config: Config
) -> tuple[StringMaterial, list[Problem]]:
    """Turn training samples into material; also returns the samples without ink."""
    weight_of = {source.name or source.kind: source.weight for source in config.sources}
    samples = [*samples, *rewritten(samples, config)]
    whole = [sample for sample in samples if is_whole(sample, config.classes)]
    single = [sample for sample in samples if not is_whole(sample, config.classes)]
    made = normalised_strips(whole, config.classes)
    stamps, ordered, problems = _stamps(single)
    labels = np.array([config.classes.index(each.label) for each in ordered], np.int32)
    starts, weights = _hands(ordered, weight_of)
    flat = [picture.ravel() for picture in made.pictures]
    material = StringMaterial(
        stamps=stamps,
        skeletons=skeletons(stamps),
        labels=labels,
        hands=starts,
        hand_weights=weights,
        strips=np.concatenate(flat) if flat else np.zeros(0, np.uint8),
        widths=np.array([picture.shape[1] for picture in made.pictures], np.int64),
        texts=made.labels,
        strip_weights=_strip_weights([whole[at].source for at in made.kept], weight_of),
    )
    return material, [*problems, *made.problems]


def check_strings(material: StringMaterial) -> None:
    """Raise UsageError if nothing can be written with a material."""
    if not material.hand_weights.any() and not len(material.widths):
        raise UsageError(
            "sources: no hand has written five different digits, and there is no whole strip: "
            "add sources of digits, or strips with their text"
        )


def _stamps(samples: Sequence[Sample]) -> tuple[Grey, list[Sample], list[Problem]]:
    """The ink of characters, with their samples in the order of source and hand."""
    found, ordered, problems = [], [], []
    for sample in sorted(samples, key=lambda each: (each.source, each.group)):
        ink = stamp(sample.image)
        if ink is None:
            problems.append(Problem.of(sample, "no ink was found in it"))
        else:
            found.append(ink)
            ordered.append(sample)
    return np.array(found, np.uint8).reshape(-1, SIDE, SIDE), ordered, problems


def _hands(
    samples: Sequence[Sample], weight_of: dict[str, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where each hand starts, and its weight: a source's, shared by those that write numbers."""
    starts: list[int] = []
    digits: list[set[str]] = []
    sources: list[str] = []
    for at, sample in enumerate(samples):
        here = (sample.source, sample.group)
        if not starts or here != (samples[at - 1].source, samples[at - 1].group):
            starts.append(at)
            digits.append(set())
            sources.append(sample.source)
        if sample.label.isdigit():
            digits[-1].add(sample.label)
    able = [len(each) >= _LEAST_DIGITS for each in digits]
    count = {
        name: sum(a and s == name for a, s in zip(able, sources, strict=True))
        for name in set(sources)
    }
    weights = np.array(
        [
            weight_of[name] / count[name] if can else 0.0
            for name, can in zip(sources, able, strict=True)
        ]
    )
    total = weights.sum()
    return np.array([*starts, len(samples)], np.int64), weights / total if total else weights


def _strip_weights(sources: Sequence[str], weight_of: dict[str, float]) -> NDArray[np.float64]:
    weights = np.array([weight_of[name] / sources.count(name) for name in sources], np.float64)
    return weights / weights.sum() if weights.sum() else weights


def strip(material: StringMaterial, number: int) -> Grey:
    """A whole strip of the material: uint8 (HEIGHT, width)."""
    start = HEIGHT * int(material.widths[:number].sum())
    width = int(material.widths[number])
    return np.asarray(material.strips[start : start + HEIGHT * width]).reshape(HEIGHT, width)
