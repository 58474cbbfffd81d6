"""Runs on their way to trainers: recorded, sent, and waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inkmill.backends.queue import Queue
from inkmill.backends.store import Store
from inkmill.errors import NotFinished, UsageError
from inkmill.trainer import fine_tuning
from inkmill.trainer.fine_tuning import Parent
from inkmill.trainer.runs import checkpoints, listing, queued
from inkmill.trainer.runs.listing import Run
from inkmill.trainer.runs.queued import Ledger, QueuedRun
from inkmill.trainer.sweeps.trials import Trial

#: Between two looks at runs that are waited for (seconds).
_POLL_SECONDS = 2.0
#: Nobody took a run for so long: perhaps there is no trainer (seconds).
_ALONE_SECONDS = 30.0


def trials_as_runs(trials: Sequence[Trial], sweep: str) -> list[QueuedRun]:
    """The records of a sweep's trials."""
    return [
        QueuedRun(
            run=trial.run,
            config=trial.config.model_dump(mode="json"),
            sweep=sweep,
            number=trial.number,
            values={**trial.values},
        )
        for trial in trials
    ]


def as_trials(records: Mapping[str, QueuedRun]) -> list[Trial]:
    """The trials that were submitted as these records."""
    return [
        Trial(run, each.number, each.values, each.config["training"]["seed"], each.parsed())
        for run, each in records.items()
    ]


def submit(
    asked: Sequence[QueuedRun], store: Store, queue: Queue, parent: Parent | None = None
) -> list[QueuedRun]:
    """Record runs and send them; ``parent`` is the model that all of them begin with.

    What was submitted before goes on as it is, and what failed is tried again. Returns the records
    as they are now. Raises UsageError if a run of the same name has another config, or was begun
    without trainers; nothing is recorded then.
    """
    for each in asked:
        there = queued.read(store, each.run)
        if there is None:
            _refuse_begun(store, each)
        else:
            queued.check_same(there[0], each)
    ledger, found = Ledger(store, 0.0), []
    for each in asked:
        if parent is not None:
            fine_tuning.keep(store, each.run, parent)
        found.append(ledger.submit(each))
        if found[-1].state == queued.WAITING:
            queue.send_training(each.run)
    return found


def _refuse_begun(store: Store, asked: QueuedRun) -> None:
    if checkpoints.has_begun(store, asked.run, asked.parsed()):
        raise UsageError(
            f"run {asked.run} was begun without trainers: continue it without --submit, or choose "
            "another --run"
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """How runs are waited for: ``announce`` is told of each change."""

    store: Store
    announce: Callable[[str], None]
    poll: float = _POLL_SECONDS


def wait(runs: Sequence[str], how: Waiting) -> None:
    """Wait until trainers are done with all of these runs.

    Raises NotFinished if one failed or was withdrawn, once nothing more is to come of the others.
    """
    begun, told, lonely = time.monotonic(), "", False
    while True:
        found = [_show(how.store, run) for run in runs]
        words = _words(found)
        if words != told:
            how.announce(words)
        told = words
        if not any(each is not None and _is_open(each) for each in found):
            break
        taken = any(each is not None and each.queued and each.queued.trainer for each in found)
        if not taken and not lonely and time.monotonic() - begun > _ALONE_SECONDS:
            lonely = True
            how.announce(
                "no trainer has taken one yet: start `inkmill trainer` on a machine with the data"
            )
        time.sleep(how.poll)
    lost = [
        f"{run}: {each.state if each is not None else 'withdrawn'}"
        for run, each in zip(runs, found, strict=True)
        if each is None or each.result is None
    ]
    if lost:
        raise NotFinished(
            f"{len(lost)} of {len(runs)} runs have no result; submit again to repeat them:\n  "
            + "\n  ".join(lost)
        )


def _show(store: Store, run: str) -> Run | None:
    return listing.show(store, run) if queued.read(store, run) is not None else None


def _is_open(run: Run) -> bool:
    return run.queued is not None and run.queued.is_open


def _words(found: Sequence[Run | None]) -> str:
    """Counts by state, and how far the running ones are."""
    counts = Counter(each.queued.state if each and each.queued else "withdrawn" for each in found)
    words = ", ".join(f"{count} {state}" for state, count in counts.items())
    running = [
        f"\n  {each.name}: {each.state}: {each.queued.last_line}".rstrip(": ")
        for each in found
        if each is not None and each.queued is not None and each.queued.state == queued.RUNNING
    ]
    return words + "".join(running)
