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
from inkmill.trainer.runs import checkpoints, queued
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
    queue.send_trainings(each.run for each in found if each.state == queued.WAITING)
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
    begun, told, alone = time.monotonic(), "", True
    found = dict[str, QueuedRun | None]()
    while True:
        # What is over is not asked for again.
        for run in runs:
            before = found.get(run)
            if run not in found or (before is not None and before.is_open):
                held = queued.read(how.store, run)
                found[run] = held[0] if held is not None else None
        words = _words(list(found.values()))
        if words != told:
            how.announce(words)
        told = words
        if not any(each is not None and each.is_open for each in found.values()):
            break
        if alone and any(each is not None and each.trainer for each in found.values()):
            alone = False
        if alone and time.monotonic() - begun > _ALONE_SECONDS:
            alone = False
            how.announce(
                "no trainer has taken one yet: start `inkmill trainer` on a machine with the data"
            )
        time.sleep(how.poll)
    _check_results(found)


def _check_results(found: Mapping[str, QueuedRun | None]) -> None:
    """Raise NotFinished for runs that are over without a result."""
    lost = [
        f"{run}: {_end(record)}"
        for run, record in found.items()
        if record is None or record.state != queued.DONE
    ]
    if lost:
        raise NotFinished(
            f"{len(lost)} of {len(found)} runs have no result; submit again to repeat them:\n  "
            + "\n  ".join(lost)
        )


def _end(record: QueuedRun | None) -> str:
    return "withdrawn" if record is None else f"{record.state}: {record.last_line}"


def _words(found: Sequence[QueuedRun | None]) -> str:
    """Counts by state, and what each running training said last."""
    counts = Counter(each.state if each is not None else "withdrawn" for each in found)
    words = ", ".join(f"{count} {state}" for state, count in counts.items())
    running = (each for each in found if each is not None and each.state == queued.RUNNING)
    return words + "".join(f"\n  {each.run}: {each.last_line or 'begins'}" for each in running)
