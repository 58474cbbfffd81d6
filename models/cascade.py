"""Two networks in one model: a small one reads every crop, a large one those it is unsure of.

After Viola and Jones, Rapid object detection using a boosted cascade of simple features (2001):
what is plain is decided at little cost. Both are trained together, on the same batches, and share
no weights. Those of the first stage lie in the same file, under names with a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

from inkmill.errors import ModelError
from inkmill.models.architectures import MOST_LAYERS, Layer, reads_strips, weight_shapes
from inkmill.records.codec import Length, Within

#: Before the names of the first stage's weights.
PREFIX = "first_stage/"

_Value = TypeVar("_Value")


#: The layers of a network in a manifest; their ``kind`` says which each of them is.
Layers = Annotated[
    tuple[Annotated[Layer, Field(discriminator="kind")], ...], Length(1, MOST_LAYERS)
]


@dataclass(frozen=True, slots=True)
class FirstStage:
    """A manifest's first stage: its layers, and a temperature and floor of its own.

    Its reading stands where the calibrated probability of its best class is at least ``sure``;
    1 leaves everything to the network.
    """

    layers: Layers
    temperature: Annotated[float, Within(0.01, 100.0)] = 1.0
    floor: Annotated[float, Within(0.0, 0.5)] = 0.0
    sure: Annotated[float, Within(0.5, 1.0)] = 1.0


def cascade_shapes(
    layers: Sequence[Layer], first_stage: Sequence[Layer], input_size: int, classes: int
) -> dict[str, tuple[int, ...]]:
    """Every weight's name and shape: `weight_shapes` of the network, and of its first stage.

    Raises ModelError where the layers do not fit, and for a first stage of strips or before them.
    """
    shapes = weight_shapes(layers, input_size, classes)
    if not first_stage:
        return shapes
    if reads_strips(layers) or reads_strips(first_stage):
        raise ModelError("only networks of single characters have a first stage, not of strips")
    first = weight_shapes(first_stage, input_size, classes)
    return shapes | {f"{PREFIX}{name}": shape for name, shape in first.items()}


def divided(values: Mapping[str, _Value]) -> tuple[dict[str, _Value], dict[str, _Value]]:
    """What belongs to the network, and to the first stage, by the weights' own names."""
    network = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
    first = {
        name.removeprefix(PREFIX): value
        for name, value in values.items()
        if name.startswith(PREFIX)
    }
    return network, first
