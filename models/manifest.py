"""The manifest: what a model is, as canonical JSON whose SHA-256 is the model's version.

It names the weights and the golden set by their digests, so that one digest stands for the
whole model. JSON and safetensors only: nothing in a model can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from inkmill.errors import Corrupt, ModelError, Newer
from inkmill.models.architectures import Architecture, Layer, reads_strips
from inkmill.models.cascade import FirstStage, Layers, cascade_shapes
from inkmill.records import codec
from inkmill.records.codec import Digest, Length, Name, Pattern, Text, Within

SCHEMA = 1
#: Classes that are no digit; every other class is a symbol of one character.
BLANK, REJECT = "blank", "reject"
#: Most bytes of the weights, and of the golden set.
_MOST_BYTES = 1 << 30
#: The temperatures that a calibration may find.
_COLDEST, _HOTTEST = 0.01, 100.0
#: The highest floor that a calibration may find.
_HIGHEST_FLOOR = 0.5
#: What the calibration gives to reading; the rest of it is for people.
_CALIBRATED = ("temperature", "floor", "sizes", "margin")
#: Sizes at which crops may be read again, and how many; the largest margin.
_SMALLEST, _LARGEST, _MOST_SIZES, _WIDEST_MARGIN = 0.5, 2.0, 8, 100.0

_Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blob:
    """An object that belongs to a model: its SHA-256 and size in bytes."""

    sha256: Digest
    size: Annotated[int, Within(1, _MOST_BYTES)]

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def check(self, what: str, data: bytes) -> None:
        """Raise ModelError unless ``data`` matches the size and digest."""
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                f"{what}: {len(data)} bytes that do not match the manifest "
                f"({self.size} bytes, SHA-256 {self.sha256[:12]}…): publish the model again"
            )


@dataclass(frozen=True, slots=True)
class _Network:
    name: Name
    layers: Layers


@dataclass(frozen=True, slots=True)
class _Preprocessing:
    filters: tuple[_Settings, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    """The manifest as it is stored."""

    inkmill_model: Annotated[int, Within(SCHEMA, SCHEMA)]
    architecture: _Network
    classes: Annotated[tuple[Annotated[str, Pattern(f".|{BLANK}|{REJECT}")], ...], Length(2, 256)]
    input_size: Annotated[int, Within(8, 128)]
    preprocessing: _Preprocessing
    calibration: _Settings
    weights: Blob
    golden: Blob
    metrics: _Settings
    config: _Settings
    data: tuple[_Settings, ...]
    parents: tuple[Text, ...]
    libraries: dict[str, str]
    created: Text
    trained_on: Blob | None = None
    first_stage: FirstStage | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is.

    ``classes`` are the network's outputs in order: digits, and perhaps ``blank`` and
    ``reject``; a reader of strips has one more, CTC's blank. ``input_size`` is the side of its
    crops, or the height of its strips. ``filters`` are the preprocessing that forms.normalise runs.
    ``temperature`` divides the logits before softmax, so that confidence means probability (Guo et
    al., On calibration of modern neural networks, 2017); ``floor`` is the probability that a
    reading is wrong however sure the network is, shared equally by all classes; for strips see
    ``models.ctc.calibrated``. Crops whose best logit leads by less than ``margin`` are read again
    at ``sizes``, relative to their own. ``first_stage`` is a small network that reads every crop
    first. ``data`` names the training data, with their hashes; ``parents`` the
    versions that this one was trained from or replaced.
    ``trained_on`` is the list of training images (``models.training_images``), if it is known.
    """

    architecture: str
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    input_size: int
    weights: Blob
    golden: Blob
    filters: tuple[dict[str, Any], ...] = ()
    temperature: float = 1.0
    floor: float = 0.0
    sizes: tuple[float, ...] = ()
    margin: float = 0.0
    calibration: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    trained_on: Blob | None = None
    first_stage: FirstStage | None = None

    @property
    def version(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def reads_strips(self) -> bool:
        """Whether it reads whole strips; for the others see ``Predictor``."""
        return reads_strips(self.layers)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every weight."""
        return cascade_shapes(self.layers, self.first_layers, self.input_size, len(self.classes))

    @property
    def first_layers(self) -> tuple[Layer, ...]:
        """The layers of the first stage; none without one."""
        return self.first_stage.layers if self.first_stage is not None else ()

    def of_first_stage(self) -> Manifest | None:
        """The first stage as a model of its own, for a runtime; None if there is none."""
        first = self.first_stage
        if first is None:
            return None
        return replace(
            self,
            layers=first.layers,
            temperature=first.temperature,
            floor=first.floor,
            sizes=(),
            margin=0.0,
            first_stage=None,
        )

    def has_network(self, architecture: Architecture) -> bool:
        """Whether its network, and its first stage, are those of an architecture."""
        theirs = (architecture.layers, architecture.first_stage, architecture.input_size)
        return self._network[:3] == theirs

    def same_network(self, other: Manifest) -> bool:
        """Whether weights of ``other`` can be put into this model's network."""
        return self._network == other._network

    @property
    def _network(self) -> tuple[Any, ...]:
        return self.layers, self.first_layers, self.input_size, len(self.classes)

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        record = _Record(
            inkmill_model=SCHEMA,
            architecture=_Network(self.architecture, self.layers),
            classes=self.classes,
            input_size=self.input_size,
            preprocessing=_Preprocessing(self.filters),
            calibration={**self.calibration, **self._calibrated()},
            weights=self.weights,
            golden=self.golden,
            metrics=dict(self.metrics),
            config=dict(self.config),
            data=tuple(map(dict, self.data)),
            parents=self.parents,
            libraries=dict(self.libraries),
            created=self.created,
            trained_on=self.trained_on,
            first_stage=self.first_stage,
        )
        values = asdict(record)
        for name in ("trained_on", "first_stage"):
            if values[name] is None:
                del values[name]  # as models without it have always been written
        text = json.dumps(
            values,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
        return text.encode()

    def _calibrated(self) -> _Settings:
        found: _Settings = {"temperature": self.temperature, "floor": self.floor}
        if self.sizes:
            found |= {"sizes": list(self.sizes), "margin": self.margin}
        return found

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read and check a manifest; raises ModelError that names what is wrong."""
        try:
            record = codec.decode(
                _Record, data, "manifest", schema=SCHEMA, schema_field="inkmill_model"
            )
        except Newer as error:
            raise ModelError(str(error)) from None
        except Corrupt as error:
            raise ModelError(f"{error}: this is not an Inkmill model") from None
        if len(set(record.classes)) != len(record.classes):
            raise ModelError("manifest: two of the classes are the same")
        manifest = cls(
            architecture=record.architecture.name,
            layers=record.architecture.layers,
            classes=record.classes,
            input_size=record.input_size,
            weights=record.weights,
            golden=record.golden,
            filters=record.preprocessing.filters,
            temperature=_within(record.calibration, "temperature", _COLDEST, _HOTTEST),
            floor=_within(record.calibration, "floor", 0.0, _HIGHEST_FLOOR),
            sizes=_sizes(record.calibration),
            margin=_margin(record.calibration),
            calibration={k: v for k, v in record.calibration.items() if k not in _CALIBRATED},
            metrics=record.metrics,
            config=record.config,
            data=record.data,
            parents=record.parents,
            libraries=record.libraries,
            created=record.created,
            trained_on=record.trained_on,
            first_stage=record.first_stage,
        )
        manifest.shapes  # noqa: B018  raises where the layers do not fit the input
        if not manifest._is_canonical(data):
            raise ModelError("manifest: not in canonical form, so its version would be ambiguous")
        return manifest

    def _is_canonical(self, data: bytes) -> bool:
        try:
            return self.encode() == data
        except ValueError:  # NaN is no JSON
            return False


def _sizes(calibration: Mapping[str, Any]) -> tuple[float, ...]:
    """The sizes at which doubtful crops are read again; none in a manifest without them."""
    values = calibration.get("sizes", [])
    if not isinstance(values, list) or len(values) > _MOST_SIZES:
        raise ModelError(f"manifest: calibration.sizes must be at most {_MOST_SIZES} numbers")
    return tuple(_within({"sizes": each}, "sizes", _SMALLEST, _LARGEST) for each in values)


def _margin(calibration: Mapping[str, Any]) -> float:
    if "sizes" not in calibration and "margin" not in calibration:
        return 0.0
    return _within(calibration, "margin", 0.0, _WIDEST_MARGIN)


def _within(calibration: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = calibration.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"manifest: calibration.{key} must be a number")
    if not low <= value <= high:
        raise ModelError(f"manifest: calibration.{key} is {value}: use {low} to {high:g}")
    return float(value)
