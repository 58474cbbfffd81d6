"""Networks as data: a table of layers, and what follows from it. No TensorFlow in here.

A layer is a small frozen record; an architecture is a name and a tuple of layers. The manifest
holds the layers themselves, not only the name, so that a later change of this table cannot
change what an old model means. ``models.network`` builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from inkmill.errors import ModelError
from inkmill.records.codec import Within, one_of

ACTIVATIONS = ("relu", "tanh")
PADDINGS = ("same", "valid")
POOLS = ("max", "mean")

#: No layer of a digit reader needs more; a manifest that asks for more is broken or hostile.
MOST_LAYERS = 32
_Units = Annotated[int, Within(1, 8192)]
_Activation = Annotated[str, one_of(ACTIVATIONS)]


@dataclass(frozen=True, slots=True)
class Conv:
    """A square convolution of stride 1 with bias and activation."""

    filters: _Units
    size: _Units = 5
    padding: Annotated[str, one_of(PADDINGS)] = "same"
    activation: _Activation = "relu"
    kind: Literal["conv"] = "conv"


@dataclass(frozen=True, slots=True)
class Pool:
    """Pooling over squares that do not overlap."""

    size: _Units = 2
    how: Annotated[str, one_of(POOLS)] = "max"
    kind: Literal["pool"] = "pool"


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer with bias and activation; the first one flattens its input."""

    units: _Units
    activation: _Activation = "relu"
    kind: Literal["dense"] = "dense"


@dataclass(frozen=True, slots=True)
class Dropout:
    """Where dropout acts; how much is kept is a setting of the training."""

    kind: Literal["dropout"] = "dropout"


#: The ``kind`` of a layer says in a manifest which of these it is.
Layer = Conv | Pool | Dense | Dropout


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network up to its logits: a dense layer to the classes follows by itself."""

    name: str
    input_size: int
    layers: tuple[Layer, ...]


#: "lenet" is the tutorial's network: LeNet's layout with the sizes of TensorFlow's first MNIST
#: example (convolutional.py): 3.27 million parameters for ten classes. "lenet5" has the sizes
#: of LeCun et al., Gradient-based learning applied to document recognition (1998), figure 2;
#: its C5 is written as the dense layer that it is. "lenet-deep" keeps the first convolution and the
#: layout, and replaces the second convolution by stacked 3 x 3 ones (Simonyan and Zisserman, Very
#: deep convolutional networks, 2015) and the wide dense layer by a third stage: half the weights,
#: 1.2 times the time, and a quarter fewer mistakes by unseen writers (decision 15).
ARCHITECTURES: dict[str, Architecture] = {
    "lenet": Architecture(
        "lenet", 28, (Conv(32), Pool(), Conv(64), Pool(), Dense(1024), Dropout())
    ),
    "lenet-deep": Architecture(
        "lenet-deep",
        28,
        (
            Conv(32),
            Pool(),
            Conv(64, size=3),
            Conv(64, size=3),
            Pool(),
            Conv(128, size=3),
            Dense(256),
            Dropout(),
        ),
    ),
    "lenet5": Architecture(
        "lenet5",
        32,
        (
            Conv(6, padding="valid", activation="tanh"),
            Pool(how="mean"),
            Conv(16, padding="valid", activation="tanh"),
            Pool(how="mean"),
            Dense(120, activation="tanh"),
            Dropout(),
            Dense(84, activation="tanh"),
        ),
    ),
}


def weight_shapes(
    layers: Sequence[Layer], input_size: int, classes: int
) -> dict[str, tuple[int, ...]]:
    """Every weight's name and shape, in the order of the network.

    Kernels are (height, width, in, out) for convolutions and (in, out) for dense layers.
    Raises ModelError if the layers do not fit the input.
    """
    side, channels, flat = input_size, 1, 0
    counts = {"conv": 0, "dense": 0}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        match layer:
            case Conv(filters, size, padding):
                _expect_picture(flat)
                counts["conv"] += 1
                shapes[f"conv{counts['conv']}/kernel"] = (size, size, channels, filters)
                shapes[f"conv{counts['conv']}/bias"] = (filters,)
                side, channels = side - (size - 1 if padding == "valid" else 0), filters
            case Pool(size):
                _expect_picture(flat)
                side //= size
            case Dense(units):
                counts["dense"] += 1
                inputs = flat or side * side * channels
                shapes[f"dense{counts['dense']}/kernel"] = (inputs, units)
                shapes[f"dense{counts['dense']}/bias"] = (units,)
                flat = units
            case Dropout():
                pass
        if side < 1:
            raise ModelError(f"the layers reduce to nothing an input of {input_size} px")
    inputs = flat or side * side * channels
    return shapes | {"logits/kernel": (inputs, classes), "logits/bias": (classes,)}


def _expect_picture(flat: int) -> None:
    if flat:
        raise ModelError("a convolution or pooling layer cannot follow a dense layer")
