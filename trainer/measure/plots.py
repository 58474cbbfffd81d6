"""Confusion matrix and reliability diagram as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.measure.metrics import Reliability


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
