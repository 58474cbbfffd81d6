"""Trainings on tiny data, for tests: their config, options, and the weights that they end with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from inkmill.models.weights import decode_weights

CLASSES = [*"0123456789", "blank", "reject"]


def config(**changes: Any) -> Any:
    from inkmill.trainer.config import Config

    values: dict[str, Any] = {
        "architecture": "lenet5",
        "classes": CLASSES,
        "sources": [{"kind": "mnist", "path": "mnist", "licence": "drawn by a test"}],
        "negatives": {"blank": 0.1, "reject": 0.1},
        "augmentation": {"cells": 0.5, "rotation": 5.0, "lines": 0.2},
        "training": {
            "steps": 30,
            "batch": 10,
            "seed": 5,
            "averaging": 0.9,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "deterministic": True,
        },
        "validation": {"every": 4, "best": True},
        "checkpoints": {"every": 10, "keep": 2},
    }
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    return Config.parse(values, "test")


def options(data: Path, folder: Path, **others: Any) -> Any:
    from inkmill.trainer.loop import TrainingOptions

    return TrainingOptions(folder=folder, data=data, processes=0, **others)


def weights(finished: Any) -> dict[str, np.ndarray]:
    return decode_weights(finished.files.weights, finished.files.manifest)
