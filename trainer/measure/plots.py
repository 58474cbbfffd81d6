"""Confusion matrix, reliability diagram and learning curves as PNG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.measure.metrics import Reliability

#: So few points of a curve are marked: a line through one of them is not seen.
_FEW = 40
#: What is drawn of a run's log, and how it is called.
_CURVES = (
    ("loss", "training"),
    ("validation_loss", "validation"),
    ("accuracy", "training"),
    ("validation_accuracy", "validation"),
)


def confusion_picture(table: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw how often each class (rows) was read as each class (columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6.4), layout="constrained")
    axes = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    # Mistakes are rare: the square root makes them visible beside the diagonal.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(table > 0):
        colour = "white" if shares[row, column] > 0.4 else "black"
        axes.text(
            column, row, str(table[row, column]), ha="center", va="center", color=colour, size=8
        )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("read as")
    axes.set_ylabel("is")
    figure.savefig(path, dpi=110)


def reliability_picture(found: Reliability, path: Path) -> None:
    """Draw accuracy against confidence, with the number of readings below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = found.count > 0
    upper.plot([0, 1], [0, 1], color="grey", linewidth=1)
    upper.plot(found.confidence[filled], found.accuracy[filled], marker="o")
    upper.set_ylabel("right")
    upper.set_title(f"expected calibration error {found.error:.2%}")
    edges = np.linspace(0, 1, len(found.count) + 1)
    lower.bar(edges[:-1], found.count, width=edges[1] - edges[0], align="edge")
    lower.set_yscale("symlog")
    lower.set_ylabel("readings")
    lower.set_xlabel("confidence")
    figure.savefig(path, dpi=110)


def learning_curves(log: Path, path: Path) -> bool:
    """Draw the learning curves of a run from its log.jsonl: loss and accuracy by step.

    Returns whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    # A resumed run repeats steps: the later line of a step counts.
    by_kind: dict[str, dict[int, float]] = {name: {} for name, _ in _CURVES}
    for record in lines:
        for name in by_kind.keys() & record.keys():
            by_kind[name][record["step"]] = record[name]
    if not by_kind["loss"]:
        return False
    figure = Figure(figsize=(7, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for name, label in _CURVES:
        axes = upper if name.endswith("loss") else lower
        steps = sorted(by_kind[name])
        if steps:
            marker = "." if len(steps) < _FEW else None
            axes.plot(steps, [by_kind[name][step] for step in steps], label=label, marker=marker)
    upper.set_yscale("log")
    upper.set_ylabel("loss")
    lower.set_ylabel("accuracy")
    lower.set_xlabel("step")
    for axes in (upper, lower):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    return True
