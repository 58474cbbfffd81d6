"""Checkpoints of a run in object storage, written in the background while training goes on.

    runs/<run>/run.json                    config and data, written once
    runs/<run>/training-images.bin         digests of the images that it is trained on
    runs/<run>/step-00001000.safetensors   the learner's arrays
    runs/<run>/step-00001000.json          written after them: its existence means complete
    runs/<run>/models/<version>/           the finished model's files
    runs/<run>/result.json                 written after them, once: the run is finished
    runs/<run>/queued.json                 of a submitted run (`inkmill.trainer.runs.queued`)

An unreachable store costs retries and a warning, never a step of the training.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from inkmill import names
from inkmill.errors import (
    Corrupt,
    Newer,
    NotFound,
    PreconditionFailed,
    StoreDenied,
    Unreachable,
    UsageError,
)
from inkmill.models import training_images
from inkmill.records import codec
from inkmill.records.codec import Digest, Text, Within
from inkmill.trainer.config import Config
from inkmill.trainer.runs.storage import RunStore

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
#: A step and the learner's arrays after it.
Checkpoint = tuple[int, dict[str, NDArray[Any]]]

_SCHEMA = 1
#: No training has more steps.
_MOST_STEPS = 1_000_000_000
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class _Run:
    """The record of a run: its config, and the digest of its training data."""

    config: dict[str, Any]
    data: Text
    inkmill_run: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The record of a checkpoint: its step, and the SHA-256 of its arrays."""

    step: Annotated[int, Within(0, _MOST_STEPS)]
    sha256: Digest
    inkmill_checkpoint: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def run_record(run: str) -> str:
    return f"{names.run_root(run)}run.json"


def run_result(run: str) -> str:
    return f"{names.run_root(run)}result.json"


def run_images(run: str) -> str:
    return f"{names.run_root(run)}{training_images.FILE}"


def checkpoint_arrays(run: str, step: int) -> str:
    return f"{names.run_root(run)}step-{step:08d}.safetensors"


def checkpoint_record(run: str, step: int) -> str:
    return f"{names.run_root(run)}step-{step:08d}.json"


def begin(store: RunStore, run: str, config: Config, data: str) -> None:
    """Write the record of a new run: its config and the digest of its training data.

    Raises UsageError if a run of that name already exists.
    """
    try:
        write_run(store, run, config, data, if_none_match=True)
    except PreconditionFailed:
        raise UsageError(
            f"a run named {run} already exists: resume it with --resume {run}, or choose "
            "another --run"
        ) from None


def write_run(
    store: RunStore, run: str, config: Config, data: str, if_none_match: bool = False
) -> None:
    """Write a run's config and the digest of its training data. Raises PreconditionFailed."""
    record = _Run(config.model_dump(mode="json"), data)
    body = codec.encode(record, f"the record of run {run}", indent=1)
    store.put(run_record(run), body, if_none_match=if_none_match)


def is_of(store: RunStore, run: str, config: Config, data: str) -> bool:
    """Whether a store has the run of that name with exactly this config and data."""
    try:
        return read_run(store, run) == (config, data)
    except NotFound:
        return False


def read_run(store: RunStore, run: str) -> tuple[Config, str]:
    """A run's config and the digest of its training data. Raises NotFound, Corrupt, or Newer."""
    key = run_record(run)
    try:
        record = codec.decode(
            _Run, store.get(key).data, key, schema=_SCHEMA, schema_field="inkmill_run"
        )
    except NotFound:
        raise NotFound(f"there is no run named {run}: inkmill runs list shows all") from None
    return Config.parse(record.config, f"run {run}"), record.data


def has_begun(store: RunStore, run: str, config: Config) -> bool:
    """Whether there is a run of that name. Raises UsageError if its config is different."""
    try:
        stored, _ = read_run(store, run)
    except NotFound:
        return False
    if other := _differences(stored.model_dump(mode="json"), config.model_dump(mode="json")):
        raise UsageError(
            f"run {run} was started with another config ({', '.join(other)}): use the same "
            "options as then, or choose another --run"
        )
    return True


def _differences(one: Mapping[str, Any], other: Mapping[str, Any], above: str = "") -> list[str]:
    """The keys that differ, as dotted paths."""
    found = []
    for key in sorted({*one, *other}):
        mine, yours = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(yours, dict):
            found += _differences(mine, yours, f"{above}{key}.")
        elif mine != yours:
            found.append(f"{above}{key}")
    return found


def latest(store: RunStore, run: str) -> Checkpoint | None:
    """The newest complete checkpoint: its step and its arrays; None if there is none."""
    from safetensors.numpy import load

    for step in reversed(steps_of(store, run)):
        key = checkpoint_record(run, step)
        try:
            record = codec.decode(
                _Checkpoint,
                store.get(key).data,
                key,
                schema=_SCHEMA,
                schema_field="inkmill_checkpoint",
            )
            data = store.get(checkpoint_arrays(run, record.step)).data
        except Newer:
            raise  # an older checkpoint would undo what a newer program trained
        except (NotFound, Corrupt) as error:
            # Not Unreachable: a store that is down for a moment still has the newest one.
            log.warning("%s: %s; an older checkpoint is used", key, error)
            continue
        if hashlib.sha256(data).hexdigest() == record.sha256:
            return record.step, load(data)
        log.warning("%s: its arrays are damaged; an older checkpoint is used", key)
    return None


def steps_of(store: RunStore, run: str) -> list[int]:
    """The steps of a run's complete checkpoints, the newest last."""
    keys = (entry.key for entry in store.list(f"{names.run_root(run)}step-"))
    found = (key.rsplit("-", 1)[1].removesuffix(".json") for key in keys if key.endswith(".json"))
    return sorted(int(step) for step in found if step.isascii() and step.isdecimal())


def write_result(store: RunStore, run: str, version: str, metrics: Mapping[str, Any]) -> None:
    """Say that a run is finished: the model's version and its figures.

    Raises PreconditionFailed if that was said already: a run has one result.
    """
    named = ("steps", "sets", "best", "before", "validation")
    kept = {key: metrics[key] for key in named if key in metrics}
    record = {"inkmill_result": _SCHEMA, "version": version, **kept}
    data = json.dumps(record, indent=1, sort_keys=True).encode()
    store.put(run_result(run), data, if_none_match=True)


class CheckpointSaver:
    """Saves checkpoints of one run in its own thread; a newer one replaces one that waits."""

    def __init__(self, store: RunStore, run: str, keep: int) -> None:
        self.store = store
        self.run = names.check_job(run)
        self.keep = keep
        self._waiting: tuple[int, dict[str, NDArray[Any]]] | None = None
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def save(self, step: int, arrays: Arrays) -> None:
        """Hand over a checkpoint and return at once. The arrays must not change afterwards."""
        with self._changed:
            self._waiting = (step, dict(arrays))
            self._changed.notify_all()

    def close(self, patience: float) -> bool:
        """Wait until all is saved, at most ``patience`` seconds; returns whether it was."""
        saved = self.idle(patience)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return saved

    def idle(self, patience: float) -> bool:
        """Wait until nothing is left to save, at most ``patience`` seconds; returns whether so."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._waiting is None and not self._busy, patience
            )

    def _work(self) -> None:
        retry = _FIRST_RETRY
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                if self._closed:
                    return
                assert self._waiting is not None
                (step, arrays), self._waiting = self._waiting, None
                self._busy = True
            try:
                self._write(step, arrays)
                retry = _FIRST_RETRY
            except (Unreachable, StoreDenied, PreconditionFailed) as error:
                log.warning(
                    "checkpoint of step %d is not saved yet (%s); training continues, next try in "
                    "%.0f s",
                    step,
                    error,
                    retry,
                )
                self._put_back(step, arrays)
                time.sleep(retry)
                retry = min(2 * retry, _LONGEST_RETRY)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _put_back(self, step: int, arrays: dict[str, NDArray[Any]]) -> None:
        with self._changed:
            if self._waiting is None:
                self._waiting = (step, arrays)

    def _write(self, step: int, arrays: dict[str, NDArray[Any]]) -> None:
        write(self.store, self.run, step, arrays)
        # Those beyond this step were left by a run that was then resumed from an earlier step.
        steps = [each for each in steps_of(self.store, self.run) if each <= step]
        for old in steps[: -self.keep]:
            # The record first: a half-deleted checkpoint must not look complete.
            self.store.delete([checkpoint_record(self.run, old)])
            self.store.delete([checkpoint_arrays(self.run, old)])


def write(store: RunStore, run: str, step: int, arrays: Arrays) -> None:
    """Write one checkpoint: the arrays, then the record that makes it complete."""
    from safetensors.numpy import save

    # Not ascontiguousarray, which turns a scalar into an array of one.
    data = save({name: np.asarray(value, order="C") for name, value in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    store.put(checkpoint_arrays(run, step), data)
    record = codec.encode(_Checkpoint(step, digest), f"checkpoint {step} of run {run}")
    store.put(checkpoint_record(run, step), record)
