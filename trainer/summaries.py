"""Summaries of a training's data and feed, for people and for the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Dataset, Problem
from inkmill.trainer.data.split import Parts
from inkmill.trainer.feed import Feed

#: At most this many images of a kind are named, and groups; the others are counted.
SOME, _GROUPS = 10, 30


def describe_data(
    config: Config, dataset: Dataset, parts: Parts, *, most: int = SOME
) -> Iterator[str]:
    """Lines with the number of samples, images that cannot be used, copies that are not learnt.

    At most ``most`` of those that cannot be used are named for each reason.
    """
    named = parts.named()
    yield from dataset.notes
    yield "samples: " + ", ".join(f"{len(each)} {name}" for name, each in named.items())
    for kind, counts in dataset.counts().items():
        if kind == "group" and len(counts) > _GROUPS:
            least, largest = min(counts.values()), max(counts.values())
            yield f"by group: {len(counts)} groups of {least} to {largest} samples"
        elif counts:
            yield f"by {kind}: " + ", ".join(f"{name} {n}" for name, n in counts.items())
    yield from describe_problems(dataset.problems, most)
    for tested, copy in parts.copies[:SOME]:
        yield f"not learnt: {copy.where} is equal to {tested.where}, which is measured with"
    if len(parts.copies) > SOME:
        yield f"and {len(parts.copies) - SOME} more copies are not learnt"
    amount = config.augmentation
    if amount.flip_horizontal or amount.flip_vertical:
        yield "warning: flips change digits: a mirrored 2 is not a 2, an upside-down 6 is a 9"


def describe_problems(problems: Sequence[Problem], most: int = SOME) -> Iterator[str]:
    """Lines with images that cannot be used; of each reason at most ``most`` are named."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.reason] += 1
        if counts[problem.reason] <= most:
            yield f"not used: {problem.where}: {problem.reason}"
    for reason, count in counts.items():
        if count > most:
            yield f"not used: and {count - most} more: {reason}"


def describe_feed(feed: Feed) -> str:
    """How fast crops were made, and how long the model waited for them."""
    if not feed.processes:
        return f"crops made at {feed.made_rate:.0f} a second in the same process"
    total = feed.made_rate * feed.processes
    return (
        f"augmentation made {total:.0f} crops a second in {feed.processes} processes, each used "
        f"{feed.config.training.echo} times; the model waited {feed.waited:.1f} s for them"
    )


def data_facts(config: Config, dataset: Dataset, parts: Parts) -> list[dict[str, Any]]:
    """Each source for the manifest: name, licence, number of samples, digest."""
    facts = []
    for source in config.sources:
        name = source.name or source.kind
        members = [sample for sample in parts.train if sample.source == name]
        facts.append(
            {
                "name": name,
                "kind": source.kind,
                "licence": source.licence,
                "samples": len(members),
                "groups": len({sample.group for sample in members if sample.group}),
                "sha256": Dataset(members).digest(),
                "problems": len(dataset.problems),
            }
        )
    return facts
