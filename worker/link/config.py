"""What engines and predictor processes need to know: plain values, as they read no settings."""

from __future__ import annotations

from dataclasses import dataclass

#: What a device refused is tried again after so long: its memory may have been full (seconds).
REFUSED_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """See the settings of the same names; ``threads`` are TensorFlow's and OpenCV's.

    ``door`` is the descriptor of an engine's `Door`, through which it gets connections to the
    predictor process of its device; -1 where there is none.
    """

    models_kept: int
    threads: int
    confidence: float
    max_pixels: int
    max_pages: int
    cache_dir: str
    log_format: str
    log_level: str
    door: int = -1


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """See the settings of the same names; ``device`` is "GPU:0", or "CPU:0" for processors."""

    device: str
    models_kept: int
    threads: int
    delay: float
    cache_dir: str
    log_format: str
    log_level: str
