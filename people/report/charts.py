"""The layout of charts in pixels: `charts.html` draws them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Edges of the bars of the histogram of confidence, in per cent.
EDGES = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.9, 100)
#: From this confidence on, in per cent, a bar is drawn as sure.
_SURE = 98


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: how many fields have a confidence between two edges."""

    x: int
    y: float
    width: int
    height: float
    count: int
    label: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """Fields by the confidence of their reading."""

    width: int
    height: int
    bars: Sequence[Bar]


def histogram(counts: Sequence[int]) -> Histogram:
    """The chart of these counts, one for each pair of neighbouring `EDGES`."""
    wide, high, gap, top = 88, 130, 8, 20
    most = max([1, *counts])
    bars = [
        Bar(
            x=number * (wide + gap),
            y=top + high * (1 - count / most),
            width=wide,
            height=high * count / most,
            count=count,
            label=f"{EDGES[number]:g} to {EDGES[number + 1]:g} %",
            sure=EDGES[number] >= _SURE,
        )
        for number, count in enumerate(counts)
    ]
    return Histogram(len(counts) * (wide + gap), top + high + 22, bars)


@dataclass(frozen=True, slots=True)
class AxisTick:
    """Where a label stands on each of the axes, and what it says."""

    x: float
    y: float
    across: str
    upright: str


@dataclass(frozen=True, slots=True)
class ErrorCurve:
    """Wrong among the accepted, per 1,000, against the share of fields in review."""

    left: int
    right: int
    bottom: int
    width: int
    height: int
    ticks: Sequence[AxisTick]
    line: Sequence[tuple[float, float]]


def error_curve(points: Sequence[tuple[float, float]]) -> ErrorCurve | None:
    """The chart of (share in review, share of wrong); None with fewer than two points."""
    if len(points) < 2:
        return None
    wide, high, left, top = 520, 200, 60, 12
    most = max(0.001, *(wrong for _, wrong in points))
    return ErrorCurve(
        left=left,
        right=left + wide,
        bottom=top + high,
        width=left + wide + 20,
        height=top + high + 44,
        ticks=[
            AxisTick(
                x=left + wide * part / 4,
                y=top + high * (1 - part / 4),
                across=f"{25 * part} %",
                upright=f"{1000 * most * part / 4:.2f}",
            )
            for part in range(5)
        ],
        line=[(left + wide * share, top + high * (1 - wrong / most)) for share, wrong in points],
    )
