"""The charts of docs/explanation/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.frame import FIGURES

Figures = Mapping[str, Any]


def bars(name: str, title: str, values: Mapping[str, float], unit: str) -> None:
    """One bar for each value, the largest at the top."""
    plot = _plot()
    figure, axes = plot.subplots(figsize=(8, 0.5 + 0.4 * len(values)))
    ordered = sorted(values.items(), key=lambda each: each[1])
    colours = ["#1f5fa8" if label.startswith("Inkmill") else "#9aa5b1" for label, _ in ordered]
    bars = axes.barh(
        [label for label, _ in ordered], [value for _, value in ordered], color=colours
    )
    axes.bar_label(bars, fmt=lambda value: f" {value:,.0f}" if value >= 10 else f" {value:.2f}")
    axes.set_title(title)
    axes.set_xlabel(unit)
    axes.margins(x=0.12)
    _save(figure, FIGURES / f"{name}.png")


def stacks(figures: Figures) -> None:
    """What each step of the profiles takes of the whole."""
    plot = _plot()
    figure, both = plot.subplots(2, 1, figsize=(8, 4))
    for axes, kind in zip(both, ("digits", "pages"), strict=True):
        left, total = 0.0, sum(figures[kind].values())
        for step, value in figures[kind].items():
            axes.barh([kind], [value / total], left=[left], label=step)
            left += value / total
        axes.legend(ncols=3, fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        axes.set_xlim(0, 1)
    _save(figure, FIGURES / "P.png")


def _plot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    _plot().close(figure)
