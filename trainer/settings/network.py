"""Layers of one's own: the tables [[layers]] of a training's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, get_args

from pydantic import Field

from inkmill.errors import ModelError
from inkmill.forms.cut.strip import HEIGHT
from inkmill.models.architectures import (
    MOST_LAYERS,
    Architecture,
    Layer,
    reads_strips,
    weight_shapes,
)
from inkmill.models.cascade import cascade_shapes
from inkmill.suggestions import did_you_mean

#: The name of a network whose layers a configuration gives.
OWN = "own"
#: Side of its crops, in pixels; strips have the height of all strips.
_SIDE = 28
#: Most weights of a network: 64 MB in float16, far more than digits need.
_MOST_WEIGHTS = 32_000_000

LayerSettings = Annotated[Layer, Field(discriminator="kind")]

_KINDS = {
    str(each.default): layer
    for layer in get_args(Layer)
    for each in fields(layer)
    if each.name == "kind"
}
#: Types of pydantic's errors that `explain_layer` explains.
LAYER_ERRORS = ("union_tag_invalid", "union_tag_not_found", "unexpected_keyword_argument")


def own_architecture(layers: Sequence[Layer], classes: int) -> Architecture:
    """The network of these layers, for so many classes. Raises ValueError if they do not fit."""
    side = HEIGHT if reads_strips(layers) else _SIDE
    _check_layers("layers", layers, side, classes)
    return Architecture(OWN, side, tuple(layers))


def with_first_stage(network: Architecture, layers: Sequence[Layer], classes: int) -> Architecture:
    """A network with these layers as its first stage. Raises ValueError if they do not fit."""
    _check_layers("first_stage", layers, network.input_size, classes)
    try:
        cascade_shapes(network.layers, layers, network.input_size, classes)
    except ModelError as error:
        raise ValueError(f"first_stage: {error}") from None
    return replace(network, first_stage=tuple(layers))


def _check_layers(key: str, layers: Sequence[Layer], side: int, classes: int) -> None:
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"{key}: at most {MOST_LAYERS}, not {len(layers)}")
    try:
        shapes = weight_shapes(layers, side, classes)
    except ModelError as error:
        raise ValueError(f"{key}: {error}") from None
    count = sum(math.prod(shape) for shape in shapes.values())
    if count > _MOST_WEIGHTS:
        raise ValueError(
            f"{key}: {count:,} weights, but at most {_MOST_WEIGHTS:,}: pool before a dense layer, "
            f"or give it fewer units"
        )


def explain_layer(error: Mapping[str, Any]) -> str:
    """What is wrong with a layer's kind or key, and what is allowed."""
    if error["type"] == "union_tag_not_found":
        return f"give the layer a kind: {', '.join(_KINDS)}"
    if error["type"] == "union_tag_invalid":
        kind = str(error["ctx"]["tag"])
        return f"no such kind of layer{did_you_mean(kind, _KINDS) or ': ' + ', '.join(_KINDS)}"
    *_, kind, key = error["loc"]
    allowed = [each.name for each in fields(_KINDS[kind])]
    return f"no such key{did_you_mean(str(key), allowed) or ': use ' + ', '.join(allowed)}"
