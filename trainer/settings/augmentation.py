"""The table [augmentation]: how crops are changed in training."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from inkmill.trainer.settings.tables import Amount, Share, Table

_WARNED = "prints a warning, as it changes digits"


def _off(description: str) -> Any:
    """A key that changes nothing unless it is set."""
    return Field(default=0.0, description=description)


class Augmentation(Table):
    """How much each augmentation does; all are off by default.

    Standard deviations unless said otherwise; lengths as shares of the image's side.
    """

    cells: Share = _off("share of samples drawn as cells on scanned paper")
    redraw: Share = _off("share of those drawn again with another pen")
    square: Share = _off("share of those drawn as square digits, along printed guides")
    rotation: Amount = _off("degrees")
    shear: Amount = _off("horizontal shift for each row")
    scale: Amount = _off("logarithm of the size")
    aspect: Amount = _off("logarithm of width against height")
    translation: Amount = _off("shift, share of the side")
    elastic: Amount = _off("largest elastic displacement, share of the side")
    crop: Share = _off("largest strip lost at one edge, share of the side")
    stroke: Share = _off("share with thinner or thicker strokes")
    pressure: Share = _off("share with uneven ink")
    gaps: Share = _off("share with gaps in the strokes")
    brightness: Share = _off("largest loss of brightness of a crop")
    contrast: Amount = _off("logarithm of a crop's gamma")
    noise: Amount = _off("largest deviation of noise, share of white")
    lines: Share = _off("share of cells with remains of box lines")
    neighbours: Share = _off("share of cells with a neighbour's stroke")
    specks: Share = _off("share of cells with specks")
    faint: Share = _off("share of cells in faint ink")
    ground: Share = _off("share of cells on printed or uneven ground: waves, rules, shadow")
    blur: Share = _off("share of cells that are blurred")
    low_resolution: Share = _off("share of cells at 80 to 130 dpi")
    bilevel: Share = _off("share of cells that are black and white only")
    jpeg: Share = _off("share of cells that went through JPEG")
    flip_horizontal: Share = _off(f"share mirrored; {_WARNED}")
    flip_vertical: Share = _off(f"share upside down; {_WARNED}")

    @property
    def active(self) -> bool:
        return any(self.model_dump().values())
