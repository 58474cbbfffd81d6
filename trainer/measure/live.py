"""The figures of a running training, for Prometheus: those that its log gets, too."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

_GAUGES = {
    name: Gauge(f"inkmill_trainer_{name}", words, registry=REGISTRY)
    for name, words in {
        "step": "Steps so far.",
        "steps": "Steps of the whole training.",
        "loss": "Mean loss of the last steps.",
        "accuracy": "Share of training images that were read correctly in the last steps.",
        "images_per_second": "Training images per second in the last steps.",
        "augmented_per_second": "Images that one process augments in a second.",
    }.items()
}
_WAITED = Counter(
    "inkmill_trainer_waited_seconds", "Seconds that steps waited for images.", registry=REGISTRY
)


def show(*, waited: float, **figures: float) -> None:
    """Take over the figures of the last steps, by the names above; ``waited`` in seconds."""
    for name, value in figures.items():
        _GAUGES[name].set(value)
    _WAITED.inc(max(0.0, waited))
