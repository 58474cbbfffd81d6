"""The table [augmentation]: how crops are changed in training."""

from __future__ import annotations

from pydantic import Field

from inkmill.trainer.settings.tables import Amount, Share, Table


class Augmentation(Table):
    """How much each augmentation does; all are off by default.

    Standard deviations unless said otherwise; lengths as shares of the image's side.
    """

    cells: Share = Field(
        default=0.0, description="share of samples drawn as cells on scanned paper"
    )
    redraw: Share = Field(default=0.0, description="share of those drawn again with another pen")
    square: Share = Field(
        default=0.0, description="share of those drawn as square digits, along printed guides"
    )
    rotation: Amount = Field(default=0.0, description="degrees")
    shear: Amount = Field(default=0.0, description="horizontal shift for each row")
    scale: Amount = Field(default=0.0, description="logarithm of the size")
    aspect: Amount = Field(default=0.0, description="logarithm of width against height")
    translation: Amount = Field(default=0.0, description="shift, share of the side")
    elastic: Amount = Field(
        default=0.0, description="largest elastic displacement, share of the side"
    )
    crop: Share = Field(
        default=0.0, description="largest strip lost at one edge, share of the side"
    )
    stroke: Share = Field(default=0.0, description="share with thinner or thicker strokes")
    pressure: Share = Field(default=0.0, description="share with uneven ink")
    gaps: Share = Field(default=0.0, description="share with gaps in the strokes")
    brightness: Share = Field(default=0.0, description="largest loss of brightness of a crop")
    contrast: Amount = Field(default=0.0, description="logarithm of a crop's gamma")
    noise: Amount = Field(default=0.0, description="largest deviation of noise, share of white")
    lines: Share = Field(default=0.0, description="share of cells with remains of box lines")
    neighbours: Share = Field(default=0.0, description="share of cells with a neighbour's stroke")
    specks: Share = Field(default=0.0, description="share of cells with specks")
    faint: Share = Field(default=0.0, description="share of cells in faint ink")
    ground: Share = Field(
        default=0.0, description="share of cells on printed or uneven ground: waves, rules, shadow"
    )
    blur: Share = Field(default=0.0, description="share of cells that are blurred")
    low_resolution: Share = Field(default=0.0, description="share of cells at 80 to 130 dpi")
    bilevel: Share = Field(default=0.0, description="share of cells that are black and white only")
    jpeg: Share = Field(default=0.0, description="share of cells that went through JPEG")
    flip_horizontal: Share = Field(
        default=0.0, description="share mirrored; prints a warning, as it changes digits"
    )
    flip_vertical: Share = Field(
        default=0.0, description="share upside down; prints a warning, as it changes digits"
    )

    @property
    def active(self) -> bool:
        return any(self.model_dump().values())
