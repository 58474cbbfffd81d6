"""The manifest of a model that is not finished yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from inkmill.models.cascade import FirstStage
from inkmill.models.manifest import Blob, Manifest
from inkmill.trainer.config import Config

_LIBRARIES = ("numpy", "opencv-python-headless", "tensorflow")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a calibration gives to a manifest; the first stage has a temperature and floor too.

    As long as it is not finished, ``sure`` is 1: the network reads everything itself.
    """

    temperature: float = 1.0
    floor: float = 0.0
    first: tuple[float, float] = (1.0, 0.0)
    sure: float = 1.0


UNCALIBRATED = Calibrated()


def draft(config: Config, weights: bytes, calibrated: Calibrated = UNCALIBRATED) -> Manifest:
    """A manifest for weights without a golden set yet."""
    architecture = config.network
    first = architecture.first_stage
    return Manifest(
        architecture=architecture.name,
        layers=architecture.layers,
        classes=config.classes,
        input_size=config.input_size,
        weights=Blob.of(weights),
        golden=Blob("0" * 64, 1),
        filters=config.filters,
        temperature=calibrated.temperature,
        floor=calibrated.floor,
        sizes=config.reading.sizes,
        margin=config.reading.margin if config.reading.sizes else 0.0,
        first_stage=FirstStage(first, *calibrated.first, calibrated.sure) if first else None,
    )


def described(manifest: Manifest, config: Config, facts: Mapping[str, Any]) -> Manifest:
    """A manifest with where it comes from; ``facts`` are calibration, metrics, data, parents
    and the list of training images."""
    return replace(
        manifest,
        calibration=facts["calibration"],
        metrics=facts["metrics"],
        config=config.model_dump(mode="json"),
        data=tuple(facts.get("data", ())),
        parents=tuple(facts.get("parents", ())),
        libraries={name: version(name) for name in _LIBRARIES},
        trained_on=Blob.of(facts["trained_on"]) if facts.get("trained_on") else None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
