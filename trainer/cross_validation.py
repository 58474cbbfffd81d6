"""Leave-writers-out cross-validation: each writer is read by a model that never saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.metrics import wilson


def fold_configs(
    samples: Sequence[Sample], config: Config, folds: int, by: str = "writer"
) -> list[Config]:
    """One config for each fold, with its writers held out and a different seed.

    With ``by`` "site", all writers of a site are in one fold; a source without sites counts as one.
    Writers or sites are assigned by the split's seed, so that each is read once. Validation samples
    are drawn from the other writers: a fold chooses nothing by them. Raises UsageError if there are
    fewer writers or sites than folds.
    """
    groups: dict[str, set[str]] = {}
    for sample in samples:
        if sample.group:
            place = sample.group if by == "writer" else sample.site or sample.source
            groups.setdefault(place, set()).add(sample.group)
    places = sorted(groups)
    if folds < 2 or len(places) < folds:
        raise UsageError(
            f"{folds} folds over {len(places)} {by}s: use 2 folds or more, and at least one {by} "
            "for each"
        )
    order = np.random.default_rng(config.split.seed).permutation(len(places))
    parts = [[places[at] for at in order[number::folds]] for number in range(folds)]
    return [
        _fold(config, number, sorted(set[str]().union(*(groups[place] for place in held))))
        for number, held in enumerate(parts)
    ]


def _fold(config: Config, number: int, held: Sequence[str]) -> Config:
    training = config.training.model_copy(update={"seed": config.training.seed + number})
    split = config.split.model_copy(update={"hold_out": tuple(held), "validation_groups": ()})
    return config.model_copy(update={"training": training, "split": split})


def summarise(sets: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The results of all folds by test set, from each fold's ``metrics["sets"]``.

    Sets of held-out writers differ between folds and are added up. For a set that all folds share,
    such as MNIST's test set, the result is the mean over the seeds, and the least and the most.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for fold in sets:
        for each in fold:
            by_name.setdefault(each["name"], []).append(each)
    result: dict[str, Any] = {}
    for name, found in by_name.items():
        if len(found) == len(sets) and len({each["sha256"] for each in found}) == 1:
            values = [each["accuracy"] for each in found]
            result[name] = {
                "seeds": len(values),
                "mean": float(np.mean(values)),
                "least": min(values),
                "most": max(values),
            }
            continue
        total = sum(each["samples"] for each in found)
        right = sum(round(each["accuracy"] * each["samples"]) for each in found)
        groups = {name: share for each in found for name, share in each["by_group"].items()}
        result[name] = {
            "samples": total,
            "right": right,
            "accuracy": right / total,
            "interval": list(wilson(right, total)),
            "by_group": dict(sorted(groups.items())),
            "sure": _added([each["sure"] for each in found]),
        }
    return result


def _added(counts: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    """Counts of several folds by confidence, added up."""
    return {
        level: [sum(each[level][at] for each in counts) for at in range(2)] for level in counts[0]
    }
