"""The gate before publishing: a worse model is not served by accident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inkmill.errors import UsageError
from inkmill.models.manifest import Manifest

Sets = list[dict[str, Any]]


def gate(
    new: Manifest, margin: float, measure: Callable[[Manifest], Sets] | None = None
) -> Callable[[Manifest], None]:
    """A check for ``Registry.publish``: it refuses ``new`` if it is worse than the current model.

    Both manifests have the accuracies on frozen test sets, each identified by the SHA-256 of its
    content; only sets that both were measured on are compared. ``measure`` (if given) measures the
    current model on the new one's sets, where it has not been yet. A current model with test
    sets is only replaced by one that can be compared with it. The check raises UsageError.
    """

    def check(current: Manifest) -> None:
        before, after = _accuracies(current.metrics), _accuracies(new.metrics)
        known = ", ".join(name for name, _ in sorted(before))
        if set(after) - set(before) and measure is not None:
            before = {**_accuracies({"sets": measure(current)}), **before}
        shared = sorted(set(before) & set(after))
        if known and not shared:
            instead = ", ".join(name for name, _ in sorted(after)) or "nothing"
            raise UsageError(
                f"the current model {current.version[:12]} was measured on {known}, the new one "
                f"on {instead}, so they cannot be compared: train with one of the former sets "
                "among the sources, or use --force to serve it anyway"
            )
        for name, digest in shared:
            worse = before[name, digest] - after[name, digest]
            if worse > margin:
                raise UsageError(
                    f"the new model reads {after[name, digest]:.2%} of {name} correctly, the "
                    f"current one {before[name, digest]:.2%}: worse by more than {margin:.2%}; "
                    "use --force to serve it anyway"
                )

    return check


def _accuracies(metrics: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Accuracy by test set: its name and the SHA-256 of its content."""
    sets = metrics.get("sets", [])
    return {(each["name"], each["sha256"]): float(each["accuracy"]) for each in sets}
