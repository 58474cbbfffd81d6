"""The results of a sweep: ranked by validation loss, never by a test set, and drawn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inkmill.trainer.runs import listing
from inkmill.trainer.runs.storage import RunStore
from inkmill.trainer.sweeps.trials import Trial


@dataclass(frozen=True, slots=True)
class Ranked:
    """A combination: its values, and the lowest validation loss of each finished run.

    ``accuracy`` are the accuracies of the first test set; nothing is chosen by them.
    """

    number: int
    values: Mapping[str, Any]
    losses: tuple[float, ...]
    accuracy: tuple[float, ...]
    runs: tuple[str, ...]

    @property
    def loss(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.losses))


def ranked(store: RunStore, trials: Sequence[Trial]) -> list[Ranked]:
    """The finished combinations, the lowest validation loss first."""
    found: dict[int, list[tuple[Trial, Mapping[str, Any]]]] = {}
    begun = {run.name: run.result for run in listing.runs(store)}
    for trial in trials:
        result = begun.get(trial.run)
        if result is not None and "validation" in result:
            found.setdefault(trial.number, []).append((trial, result))
    rows = [
        Ranked(
            number,
            pairs[0][0].values,
            tuple(float(result["validation"]["lowest_loss"]) for _, result in pairs),
            tuple(float(each["sets"][0]["accuracy"]) for _, each in pairs if each.get("sets")),
            tuple(trial.run for trial, _ in pairs),
        )
        for number, pairs in found.items()
    ]
    return sorted(rows, key=lambda each: each.loss)


def write_table(rows: Sequence[Ranked], folder: Path) -> None:
    """Write sweep.csv, sweep.md and sweep.png. There must be a row."""
    folder.mkdir(parents=True, exist_ok=True)
    head = [
        "rank",
        *rows[0].values,
        "runs",
        "validation loss",
        "lowest",
        "highest",
        "test accuracy",
    ]
    lines = [
        [
            str(rank),
            *(_shown(value) for value in row.values.values()),
            str(len(row.losses)),
            *(f"{each:.5f}" for each in (row.loss, min(row.losses), max(row.losses))),
            f"{np.mean(row.accuracy):.4f}" if row.accuracy else "",
        ]
        for rank, row in enumerate(rows, 1)
    ]
    table = io.StringIO()
    csv.writer(table).writerows([head, *lines])
    (folder / "sweep.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    rule = ["---"] * len(head)
    text = "".join(f"| {' | '.join(line)} |\n" for line in [head, rule, *lines])
    (folder / "sweep.md").write_text(text, encoding="utf-8")
    _draw(rows, folder / "sweep.png")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _draw(rows: Sequence[Ranked], path: Path) -> None:
    """The validation loss against each key, a point for each combination, over its seeds."""
    from matplotlib.figure import Figure

    keys = list(rows[0].values)
    figure = Figure(figsize=(4 * len(keys), 3.6), layout="constrained")
    for axes, key in zip(np.atleast_1d(figure.subplots(1, len(keys))), keys, strict=True):
        values = [row.values[key] for row in rows]
        losses = [row.loss for row in rows]
        spread = [
            [row.loss - min(row.losses) for row in rows],
            [max(row.losses) - row.loss for row in rows],
        ]
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
            places = [float(each) for each in values]
            if min(places) > 0 and max(places) > 20 * min(places):
                axes.set_xscale("log")
        else:
            names = list(dict.fromkeys(map(_shown, values)))
            places = [float(names.index(_shown(each))) for each in values]
            axes.set_xticks(range(len(names)), names)
        axes.errorbar(places, losses, spread, fmt="o", capsize=3)
        axes.set_xlabel(key)
        axes.set_ylabel("lowest validation loss")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
