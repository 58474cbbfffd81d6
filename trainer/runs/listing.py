"""Runs as people see them: which there are, how far they are, and taking them away."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inkmill import names
from inkmill.errors import Corrupt, NotFound, UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.storage import RunStore

log = logging.getLogger(__name__)

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its config, its checkpoints' steps, and its result once it is finished.

    ``changed`` is when it was last written to, in seconds since the epoch. ``result`` has the
    model's version, its test sets and the step of its weights.
    """

    name: str
    config: Config
    steps: tuple[int, ...]
    result: dict[str, Any] | None
    changed: float

    @property
    def state(self) -> str:
        """finished, or how far it is."""
        if self.result is not None:
            return "finished"
        return f"step {self.steps[-1] if self.steps else 0} of {self.config.training.steps}"

    @property
    def accuracy(self) -> float | None:
        """That of the first test set; None if there is none yet."""
        sets = (self.result or {}).get("sets", [])
        return float(sets[0]["accuracy"]) if sets else None


def runs(store: RunStore) -> Iterator[Run]:
    """All runs of a store, by name; those whose records cannot be read are passed over."""
    # A run has few objects, so that listing them all is cheap.
    begun = [
        entry.key.split("/")[1]
        for entry in store.list(names.RUNS)
        if entry.key == checkpoints.run_record(entry.key.split("/")[1])
    ]
    for name in sorted(begun):
        try:
            yield show(store, name)
        except (Corrupt, UsageError) as error:
            log.warning("skipped run %s: %s", name, error)


def show(store: RunStore, name: str) -> Run:
    """One run. Raises NotFound, Corrupt or Newer."""
    config, _ = checkpoints.read_run(store, name)
    root = names.run_root(name)
    changed = max(entry.modified for entry in store.list(root))
    try:
        result = json.loads(store.get(checkpoints.run_result(name)).data)
    except NotFound:
        result = None
    except ValueError as error:
        raise Corrupt(f"{checkpoints.run_result(name)} is damaged: {error}") from error
    return Run(name, config, tuple(checkpoints.steps_of(store, name)), result, changed)


def delete(store: RunStore, name: str) -> int:
    """Delete all that a store has of a run; returns the number of objects. Raises NotFound."""
    checkpoints.read_run(store, name)
    keys = [entry.key for entry in store.list(names.run_root(name))]
    # The record first: what is left of an interrupted deletion is no run any more.
    record = checkpoints.run_record(name)
    store.delete([record])
    store.delete([key for key in keys if key != record])
    return len(keys)


def expired(store: RunStore, days: float) -> list[Run]:
    """Finished runs that nothing was written to for so many days."""
    limit = time.time() - days * _DAY
    return [each for each in runs(store) if each.result is not None and each.changed < limit]
