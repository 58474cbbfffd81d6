"""The gate before the pointer: a model that became worse is not served by accident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inkmill.errors import UsageError
from inkmill.models.manifest import Manifest

Sets = list[dict[str, Any]]


def gate(
    new: Manifest, margin: float, measure: Callable[[Manifest], Sets] | None = None
) -> Callable[[Manifest], None]:
    """A check for ``Registry.publish``: refuses ``new`` where it is worse than the current one.

    Both manifests hold the accuracies on frozen test sets, each named with the SHA-256 of its
    content; only sets that both were measured on are compared. Where there are none,
    ``measure`` (if given) measures the current model on the new one's sets. The check raises
    UsageError.
    """

    def check(current: Manifest) -> None:
        before, after = _accuracies(current.metrics), _accuracies(new.metrics)
        if not set(before) & set(after) and measure is not None:
            before = _accuracies({"sets": measure(current)})
        shared = sorted(set(before) & set(after))
        if before and not shared:
            raise UsageError(
                f"the current model {current.version[:12]} was measured on "
                f"{', '.join(name for name, _ in sorted(before))}, the new one on none of them: "
                "evaluate it on them first, or use --force"
            )
        for name, digest in shared:
            worse = before[name, digest] - after[name, digest]
            if worse > margin:
                raise UsageError(
                    f"the new model reads {after[name, digest]:.2%} of {name} right, the current "
                    f"one {before[name, digest]:.2%}: worse by more than {margin:.2%}; "
                    "use --force to serve it all the same"
                )

    return check


def _accuracies(metrics: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Accuracy by test set: its name and the SHA-256 of its content."""
    sets = metrics.get("sets", [])
    return {(each["name"], each["sha256"]): float(each["accuracy"]) for each in sets}
