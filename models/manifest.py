"""The manifest: what a model is, as canonical JSON whose SHA-256 is the model's version.

It names the weights and the golden set by their digests, so that one digest stands for the
whole model. JSON and safetensors only: nothing in a model can run code.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inkmill.errors import ModelError
from inkmill.models.lenet import Layer, layers_from_json, layers_to_json, weight_shapes

SCHEMA = 1
#: Classes that are no digit; every other class is a symbol of one character.
BLANK, REJECT = "blank", "reject"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REQUIRED = {
    "inkmill_model",
    "architecture",
    "classes",
    "input_size",
    "preprocessing",
    "calibration",
    "weights",
    "golden",
}
_OPTIONAL = {"metrics", "config", "data", "parents", "libraries", "created"}


@dataclass(frozen=True, slots=True)
class Blob:
    """An object that belongs to a model: its SHA-256 and size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def check(self, what: str, data: bytes) -> None:
        """Raise ModelError unless ``data`` is the object meant."""
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                f"{what}: {len(data)} bytes that are not those of the manifest "
                f"({self.size} bytes, SHA-256 {self.sha256[:12]}…): publish the model again"
            )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is.

    ``classes`` are the network's outputs in order: digits, and perhaps ``blank`` and
    ``reject``. ``filters`` are the preprocessing that forms.normalise runs. ``temperature``
    divides the logits before softmax, so that confidence means probability (Guo et al., On
    calibration of modern neural networks, 2017). ``data`` names the training data, with their
    hashes; ``parents`` the versions that this one was trained from or replaced.
    """

    architecture: str
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    input_size: int
    weights: Blob
    golden: Blob
    filters: tuple[dict[str, Any], ...] = ()
    temperature: float = 1.0
    calibration: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    created: str = ""

    @property
    def version(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every weight."""
        return weight_shapes(self.layers, self.input_size, len(self.classes))

    def same_network(self, other: Manifest) -> bool:
        """Whether weights of ``other`` can be put into this model's network."""
        return (self.layers, self.input_size, len(self.classes)) == (
            other.layers,
            other.input_size,
            len(other.classes),
        )

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        record = {
            "inkmill_model": SCHEMA,
            "architecture": {"name": self.architecture, "layers": layers_to_json(self.layers)},
            "classes": list(self.classes),
            "input_size": self.input_size,
            "preprocessing": {"filters": list(self.filters)},
            "calibration": {**self.calibration, "temperature": self.temperature},
            "weights": {"sha256": self.weights.sha256, "size": self.weights.size},
            "golden": {"sha256": self.golden.sha256, "size": self.golden.size},
            "metrics": self.metrics,
            "config": self.config,
            "data": list(self.data),
            "parents": list(self.parents),
            "libraries": self.libraries,
            "created": self.created,
        }
        text = json.dumps(
            record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read and check a manifest; raises ModelError that names what is wrong."""
        record = _parse(data)
        manifest = cls(
            architecture=_text(record["architecture"], "name", "architecture"),
            layers=layers_from_json(record["architecture"].get("layers")),
            classes=_classes(record["classes"]),
            input_size=_whole(record, "input_size", 8, 128),
            weights=_blob(record, "weights"),
            golden=_blob(record, "golden"),
            filters=_filters(record["preprocessing"]),
            temperature=_temperature(record["calibration"]),
            calibration={k: v for k, v in record["calibration"].items() if k != "temperature"},
            metrics=_mapping(record, "metrics"),
            config=_mapping(record, "config"),
            data=tuple(_list(record, "data")),
            parents=tuple(_list(record, "parents")),
            libraries=_mapping(record, "libraries"),
            created=str(record.get("created", "")),
        )
        manifest.shapes  # noqa: B018  raises where the layers do not fit the input
        if manifest.encode() != data:
            raise ModelError("manifest: not in canonical form, so its version would be ambiguous")
        return manifest


def _parse(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except ValueError as error:
        raise ModelError(f"manifest: not JSON ({error})") from None
    if not isinstance(record, dict) or record.get("inkmill_model") != SCHEMA:
        raise ModelError(
            f"manifest: inkmill_model must be {SCHEMA}: this is no model, or one of a newer Inkmill"
        )
    if missing := _REQUIRED - set(record):
        raise ModelError(f"manifest: {', '.join(sorted(missing))} is missing")
    if unknown := set(record) - _REQUIRED - _OPTIONAL:
        raise ModelError(f"manifest: {', '.join(sorted(unknown))} is not known")
    for key in ("architecture", "preprocessing", "calibration", "weights", "golden"):
        if not isinstance(record[key], dict):
            raise ModelError(f"manifest: {key} must be an object")
    return record


def _classes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= 256:
        raise ModelError("manifest: classes must be a list of 2 to 256 names")
    for name in value:
        if not isinstance(name, str) or not (len(name) == 1 or name in (BLANK, REJECT)):
            raise ModelError(
                f"manifest: class {name!r} must be one character, {BLANK!r} or {REJECT!r}"
            )
    if len(set(value)) != len(value):
        raise ModelError("manifest: classes must differ from each other")
    return tuple(value)


def _blob(record: dict[str, Any], key: str) -> Blob:
    digest = _text(record[key], "sha256", key)
    if not _SHA256.fullmatch(digest):
        raise ModelError(f"manifest: {key}.sha256 must be 64 hexadecimal digits")
    return Blob(digest, _whole(record[key], "size", 1, 1 << 30))


def _filters(preprocessing: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    filters = preprocessing.get("filters")
    if not isinstance(filters, list) or not all(isinstance(each, dict) for each in filters):
        raise ModelError("manifest: preprocessing.filters must be a list of objects")
    return tuple(filters)


def _temperature(calibration: dict[str, Any]) -> float:
    value = calibration.get("temperature")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError("manifest: calibration.temperature must be a number")
    if not (math.isfinite(value) and 0.01 <= value <= 100):
        raise ModelError(f"manifest: calibration.temperature is {value}: use 0.01 to 100")
    return float(value)


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise ModelError(f"manifest: {where}.{key} must be a text")
    return value


def _whole(record: dict[str, Any], key: str, low: int, high: int) -> int:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelError(f"manifest: {key} must be a whole number from {low} to {high}")
    return value


def _mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise ModelError(f"manifest: {key} must be an object")
    return value


def _list(record: dict[str, Any], key: str) -> list[Any]:
    value = record.get(key, [])
    if not isinstance(value, list):
        raise ModelError(f"manifest: {key} must be a list")
    return value
