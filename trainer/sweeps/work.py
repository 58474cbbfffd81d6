"""The work of a sweep on one machine: trials begun or resumed, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkmill.trainer.runs import listing
from inkmill.trainer.runs.checkpoints import has_begun
from inkmill.trainer.runs.queued import refuse_submitted
from inkmill.trainer.runs.storage import RunStore
from inkmill.trainer.sweeps.table import Ranked, ranked, write_table
from inkmill.trainer.sweeps.trials import Trial


@dataclass(frozen=True, slots=True)
class How:
    """How trials are carried out.

    ``train`` carries out one: a new run, or (with True) one that was begun. ``announce`` is told
    what goes on.
    """

    train: Callable[[Trial, bool], None]
    announce: Callable[[str], None]


def carry_out(
    trials: Sequence[Trial], store: RunStore, folder: Path, how: How
) -> list[dict[str, Any]]:
    """Carry out the trials that are not finished, and write the table after each.

    Returns the ranked combinations as JSON values. Raises UsageError if a run of a trial's name
    has another config, or was submitted to trainers and is not over.
    """
    # Look at all of them before the first training.
    for trial in trials:
        has_begun(store, trial.run, trial.config)
        refuse_submitted(store, trial.run)
    for place, trial in enumerate(trials, 1):
        begun = has_begun(store, trial.run, trial.config)
        if begun and listing.show(store, trial.run).result is not None:
            continue
        how.announce(f"trial {place} of {len(trials)}: {trial.run}: {_words(trial)}")
        how.train(trial, begun)
        if rows := ranked(store, trials):
            write_table(rows, folder)
    return as_values(ranked(store, trials))


def as_values(rows: Sequence[Ranked]) -> list[dict[str, Any]]:
    """Ranked combinations as JSON values."""
    return [
        {
            **row.values,
            "validation_loss": round(row.loss, 6),
            "losses": [round(each, 6) for each in row.losses],
            "test_accuracy": list(row.accuracy),
            "runs": list(row.runs),
        }
        for row in rows
    ]


def _words(trial: Trial) -> str:
    return ", ".join(f"{key} = {value}" for key, value in trial.values.items())
