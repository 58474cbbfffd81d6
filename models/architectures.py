"""Networks as data: a table of layers, and what follows from it. No TensorFlow in here.

A layer is a small frozen record; an architecture is a name and a tuple of layers. The manifest
holds the layers themselves, not only the name, so that a later change of this table cannot
change what an old model means. ``models.network`` builds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class PoolRows:
    """Maximum pooling over rows that do not overlap; columns, of which letters need many, stay."""

    size: _Units = 2
    kind: Literal["pool_rows"] = "pool_rows"


@dataclass(frozen=True, slots=True)
class Columns:
    """From a picture to a sequence: all that one column of it holds becomes one frame."""

    kind: Literal["columns"] = "columns"


@dataclass(frozen=True, slots=True)
class Along:
    """A convolution along the frames, of stride 1, with bias and activation; length is kept."""

    units: _Units
    size: _Units = 3
    activation: _Activation = "relu"
    kind: Literal["along"] = "along"


#: The ``kind`` of a layer says in a manifest which of these it is.
Layer = Conv | Pool | Dense | Dropout | PoolRows | Columns | Along


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network up to its logits: a dense layer to the classes follows by itself.

    ``input_size`` is the side of a crop, or the height of a strip. ``first_stage`` are the layers
    of a smaller network that reads every crop first: see ``models.cascade``.
    """

    name: str
    input_size: int
    layers: tuple[Layer, ...]
    first_stage: tuple[Layer, ...] = ()


#: Of "lenet-deep" and "lenet-cascade".
_DEEP: tuple[Layer, ...] = (
    Conv(32),
    Pool(),
    Conv(64, size=3),
    Conv(64, size=3),
    Pool(),
    Conv(128, size=3),
    Dense(256),
    Dropout(),
)

#: "lenet" is the tutorial's network: LeNet's layout with the sizes of TensorFlow's first MNIST
#: example (convolutional.py): 3.27 million parameters for ten classes. "lenet5" has the sizes
#: of LeCun et al., Gradient-based learning applied to document recognition (1998), figure 2;
#: its C5 is written as the dense layer that it is. "lenet-deep" keeps the first convolution and the
#: layout, and replaces the second convolution by stacked 3 x 3 ones (Simonyan and Zisserman, Very
#: deep convolutional networks, 2015) and the wide dense layer by a third stage: half the weights,
#: 1.2 times the time, and a quarter fewer mistakes by unseen writers (decision 15).
#: "lenet-cascade" is that with a first stage, which takes a fifth of its time and leaves it a
#: third of the crops (decision 25).
ARCHITECTURES: dict[str, Architecture] = {
    "lenet": Architecture(
        "lenet", 28, (Conv(32), Pool(), Conv(64), Pool(), Dense(1024), Dropout())
    ),
    "lenet-deep": Architecture("lenet-deep", 28, _DEEP),
    "lenet-cascade": Architecture(
        "lenet-cascade",
        28,
        _DEEP,
        first_stage=(
            Conv(16),
            Pool(),
            Conv(32, size=3),
            Pool(),
            Conv(64, size=3),
            Dense(128),
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
    "strips": Architecture(
        "strips",
        40,
        (
            Conv(24, size=3),
            Pool(),
            Conv(48, size=3),
            Conv(48, size=3),
            Pool(),
            Conv(96, size=3),
            Conv(96, size=3),
            PoolRows(),
            Conv(160, size=3),
            Columns(),
            Along(256),
            Along(256),
            Dropout(),
        ),
    ),
}


def reads_strips(layers: Sequence[Layer]) -> bool:
    """Whether a network reads strips of any width, frame by frame, and not crops of one size."""
    return any(isinstance(layer, Columns) for layer in layers)


def stride(layers: Sequence[Layer]) -> int:
    """How many columns of a strip make one frame."""
    return math.prod(layer.size for layer in layers if isinstance(layer, Pool))


def outputs(layers: Sequence[Layer], classes: int) -> int:
    """The number of logits: one for each class; strips have one more, that of no symbol."""
    return classes + 1 if reads_strips(layers) else classes


def named_layers(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """The layers in order, each with the name that its weights begin with, such as "conv1"."""
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        yield f"{layer.kind}{counts[layer.kind]}", layer


def weight_shapes(
    layers: Sequence[Layer], input_size: int, classes: int
) -> dict[str, tuple[int, ...]]:
    """Every weight's name and shape, in the order of the network.

    Kernels are (height, width, in, out) for convolutions, (frames, in, out) for those along the
    frames and (in, out) for dense layers. Raises ModelError if the layers do not fit the input.
    """
    place = _Place(side=input_size)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in named_layers(layers):
        if isinstance(layer, Conv | Dense | Along):
            kernel = place.kernel(layer)
            shapes |= {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
        place = place.after(layer)
        if place.side < 1:
            raise ModelError(f"the layers reduce to nothing an input of {input_size} px")
    logits = outputs(layers, classes)
    return shapes | {"logits/kernel": (place.inputs, logits), "logits/bias": (logits,)}


@dataclass(frozen=True, slots=True)
class _Place:
    """What a layer gets: a picture of ``channels``, then a sequence or a vector, ``flat`` long."""

    side: int
    channels: int = 1
    flat: int = 0
    frames: bool = False

    @property
    def inputs(self) -> int:
        return self.flat or self.side * self.side * self.channels

    def kernel(self, layer: Conv | Dense | Along) -> tuple[int, ...]:
        match layer:
            case Conv(filters, size):
                self._expect_picture()
                return size, size, self.channels, filters
            case Dense(units):
                if self.frames:
                    raise ModelError("a dense layer cannot follow the columns of a strip")
                return self.inputs, units
            case Along(units, size):
                if not self.frames:
                    raise ModelError("a convolution along the frames needs columns before it")
                return size, self.flat, units

    def after(self, layer: Layer) -> _Place:
        match layer:
            case Conv(filters, size, padding):
                lost = size - 1 if padding == "valid" else 0
                return replace(self, side=self.side - lost, channels=filters)
            case Pool(size) | PoolRows(size):
                self._expect_picture()
                return replace(self, side=self.side // size)
            case Columns():
                self._expect_picture()
                return replace(self, flat=self.side * self.channels, frames=True)
            case Dense(units) | Along(units):
                return replace(self, flat=units)
            case Dropout():
                return self

    def _expect_picture(self) -> None:
        if self.flat:
            raise ModelError("a convolution or pooling layer cannot follow a dense layer")
