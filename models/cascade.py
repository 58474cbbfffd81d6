"""Two networks in one model: a small one reads every crop, a large one those it is unsure of.

After Viola and Jones, Rapid object detection using a boosted cascade of simple features (2001):
what is plain is decided at little cost. Both are trained together, on the same batches, and share
nothing but the crops. Their weights lie in one file; those of the first stage have a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

from inkmill.models.architectures import MOST_LAYERS, Layer, weight_shapes
from inkmill.records.codec import Length, Within

#: Before the names of the first stage's weights.
PREFIX = "first_stage/"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class FirstStage:
    """A manifest's first stage: its layers, its temperature, and when its reading stands: where
    its best class, calibrated, has at least the probability ``sure``; with 1, never."""

    layers: Annotated[
        tuple[Annotated[Layer, Field(discriminator="kind")], ...], Length(1, MOST_LAYERS)
    ]
    temperature: Annotated[float, Within(0.01, 100.0)] = 1.0
    sure: Annotated[float, Within(0.5, 1.0)] = 1.0


def cascade_shapes(
    layers: Sequence[Layer], first_stage: Sequence[Layer], input_size: int, classes: int
) -> dict[str, tuple[int, ...]]:
    """Every weight's name and shape: `weight_shapes` of the network, and of its first stage."""
    shapes = weight_shapes(layers, input_size, classes)
    if first_stage:
        before = weight_shapes(first_stage, input_size, classes)
        shapes |= {f"{PREFIX}{name}": shape for name, shape in before.items()}
    return shapes


def divided(values: Mapping[str, _Value]) -> tuple[dict[str, _Value], dict[str, _Value]]:
    """What belongs to the network, and to the first stage, by the weights' own names."""
    network = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
    first = {
        name.removeprefix(PREFIX): value
        for name, value in values.items()
        if name.startswith(PREFIX)
    }
    return network, first
