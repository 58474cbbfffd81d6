"""What an engine needs to know at its start: plain values, since it reads no settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """See the settings of the same names; ``threads`` are TensorFlow's and OpenCV's."""

    models_kept: int
    threads: int
    confidence: float
    max_pixels: int
    max_pages: int
    cache_dir: str
    log_format: str
    log_level: str
