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
from inkmill.trainer.runs import checkpoints, queued
from inkmill.trainer.runs.queued import QueuedRun
from inkmill.trainer.runs.storage import RunStore

log = logging.getLogger(__name__)

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its config, its checkpoints' steps, and its result once it is finished.

    ``changed`` is when it was last written to, in seconds since the epoch. ``result`` has the
    model's version, its test sets and the step of its weights. ``queued`` is what trainers know of
    it; None if it was not submitted.
    """

    name: str
    config: Config
    steps: tuple[int, ...]
    result: dict[str, Any] | None
    changed: float
    queued: QueuedRun | None = None

    @property
    def state(self) -> str:
        """finished, or how far it is; of a submitted run, whether and where it is trained."""
        if self.result is not None:
            return "finished"
        step = f"step {self.steps[-1] if self.steps else 0} of {self.config.training.steps}"
        if self.queued is None:
            return step
        if self.queued.state == queued.FAILED:
            return f"failed: {self.queued.last_line}"
        if self.queued.state == queued.RUNNING:
            return f"{step} on {self.queued.trainer}"
        return f"waiting, {step}" if self.steps else self.queued.state

    @property
    def accuracy(self) -> float | None:
        """That of the first test set; None if there is none yet."""
        sets = (self.result or {}).get("sets", [])
        return float(sets[0]["accuracy"]) if sets else None


def runs(store: RunStore) -> Iterator[Run]:
    """All runs of a store, by name; those whose records cannot be read are passed over."""
    # A run has few objects, so that listing them all is cheap.
    found = {
        name
        for entry in store.list(names.RUNS)
        if (name := entry.key.split("/")[1])
        and names.is_job(name)
        and entry.key in (checkpoints.run_record(name), names.run_queued(name))
    }
    for name in sorted(found):
        try:
            yield show(store, name)
        except (Corrupt, UsageError) as error:
            log.warning("skipped run %s: %s", name, error)


def show(store: RunStore, name: str) -> Run:
    """One run, begun or only submitted. Raises NotFound, Corrupt or Newer."""
    submitted = queued.read(store, name)
    try:
        config, _ = checkpoints.read_run(store, name)
    except NotFound:
        if submitted is None:
            raise
        config = submitted[0].parsed()
    root = names.run_root(name)
    changed = max(entry.modified for entry in store.list(root))
    try:
        result = json.loads(store.get(checkpoints.run_result(name)).data)
    except NotFound:
        result = None
    except ValueError as error:
        raise Corrupt(f"{checkpoints.run_result(name)} is damaged: {error}") from error
    steps = tuple(checkpoints.steps_of(store, name))
    return Run(name, config, steps, result, changed, submitted[0] if submitted else None)


def delete(store: RunStore, name: str) -> int:
    """Delete all that a store has of a run; returns the number of objects. Raises NotFound.

    A trainer that works on it notices within seconds, and stops.
    """
    if queued.read(store, name) is None:
        checkpoints.read_run(store, name)
    keys = [entry.key for entry in store.list(names.run_root(name))]
    # The records first: what is left of an interrupted deletion is no run any more.
    records = [names.run_queued(name), checkpoints.run_record(name)]
    for record in records:
        store.delete([record])
    store.delete([key for key in keys if key not in records])
    return len(keys)


def expired(store: RunStore, days: float) -> list[Run]:
    """Finished runs that nothing was written to for so many days."""
    limit = time.time() - days * _DAY
    return [each for each in runs(store) if each.result is not None and each.changed < limit]
