"""A sweep on the command line: trials begun, resumed or left to others, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkmill.cli.display import many, say

if TYPE_CHECKING:
    from inkmill.trainer.runs.storage import RunStore
    from inkmill.trainer.sweeps.trials import Trial

#: Carries out a trial: a new run, or (with True) one that was begun.
CarryOut = Callable[["Trial", bool], None]


def carry_out(
    trials: Sequence[Trial], store: RunStore, folder: Path, how: CarryOut, *, join: bool
) -> list[dict[str, Any]]:
    """Carry out the trials that are not finished, and write the table after each.

    With ``join``, those that were begun are left to others. Returns the ranked combinations as
    JSON values. Raises UsageError if a run of a trial's name has another config.
    """
    from inkmill.trainer.runs import listing
    from inkmill.trainer.runs.checkpoints import has_begun
    from inkmill.trainer.sweeps.table import ranked

    # Compare all configs before the first training.
    for trial in trials:
        has_begun(store, trial.run, trial.config)
    for place, trial in enumerate(trials, 1):
        # Looked up again each time: others may work on the same sweep.
        begun = has_begun(store, trial.run, trial.config)
        if begun and (join or listing.show(store, trial.run).result is not None):
            continue
        say(f"trial {place} of {len(trials)}: {trial.run}: {_words(trial)}")
        how(trial, begun)
        _write(store, trials, folder)
    rows = ranked(store, trials)
    done = sum(len(row.losses) for row in rows)
    if done < len(trials):
        say(f"{many(len(trials) - done, 'trial')} of {len(trials)} are not finished yet")
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


def _write(store: RunStore, trials: Sequence[Trial], folder: Path) -> None:
    from inkmill.trainer.sweeps.table import ranked, write_table

    if rows := ranked(store, trials):
        write_table(rows, folder)


def _words(trial: Trial) -> str:
    return ", ".join(f"{key} = {value}" for key, value in trial.values.items())
