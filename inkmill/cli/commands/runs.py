"""inkmill runs: the runs of trainings, their checkpoints and results."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, say, table
from inkmill.cli.options import FOLDER, json_option
from inkmill.cli.servers import run_stores

if TYPE_CHECKING:
    from inkmill.trainer.runs.listing import Run

#: Characters of a state in a table; `inkmill runs show` has all of them.
_WIDEST = 60

run_argument = click.argument("run")


@click.group()
def runs() -> None:
    """List, show and delete runs of trainings."""


@runs.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all runs: how far they are, and what a finished one reads of its first test set."""
    from inkmill.trainer.runs import listing

    found = list(listing.runs(run_stores()[1]))
    if as_json:
        for each in found:
            click.echo(json.dumps(_record(each)))
        return
    if not found:
        say("there are no runs yet: `inkmill train` begins one")
        return
    lines = [
        (each.name, each.state[:_WIDEST], _accuracy(each), _clock(each.changed)) for each in found
    ]
    table([("RUN", "STATE", "TEST", "CHANGED"), *lines])


@runs.command()
@run_argument
def show(run: str) -> None:
    """Print RUN as JSON: config, steps of its checkpoints, result."""
    from inkmill.trainer.runs import listing

    found = listing.show(run_stores()[1], run)
    record = {**_record(found), "config": found.config.model_dump(mode="json")}
    click.echo(json.dumps(record, indent=2, ensure_ascii=False))


@runs.command()
@click.argument("sweep")
@click.option("--out", type=FOLDER, help="Local folder.  [default: runs/SWEEP]")
def sweep(sweep: str, out: Path | None) -> None:
    """Rank the trials of SWEEP that trainers have finished: table, plot, and JSON.

    SWEEP is what `inkmill train --run SWEEP --submit` named it.
    """
    from inkmill.cli.training.submitted import show_table
    from inkmill.errors import NotFound
    from inkmill.trainer.queue.submitting import as_trials
    from inkmill.trainer.runs import queued

    found = queued.of_sweep(run_stores()[1], sweep)
    if not found:
        raise NotFound(f"no trial of a sweep {sweep} was submitted: inkmill runs list shows all")
    show_table(as_trials(found), out or Path("runs") / sweep)


@runs.command()
@run_argument
def delete(run: str) -> None:
    """Delete RUN: its checkpoints and result, and without an object store its folder's files.

    A submitted one is withdrawn: a trainer that works on it stops. Published models stay.
    """
    from inkmill.trainer.runs import listing

    number = listing.delete(run_stores()[1], run)
    say(f"run {run}: {many(number, 'file')} deleted")


@runs.command()
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    help="Days since the run was finished.",
)
def prune(days: float) -> None:
    """Delete all runs that were finished some days ago. Unfinished ones stay."""
    from inkmill.trainer.runs import listing

    store = run_stores()[1]
    for each in listing.expired(store, days):
        listing.delete(store, each.name)
        click.echo(each.name)


def _record(run: Run) -> dict[str, Any]:
    record = asdict(run)
    del record["config"]
    if run.queued is not None:
        record["queued"] = {name: record["queued"][name] for name in ("state", "trainer", "log")}
    return {**record, "state": run.state}


def _accuracy(run: Run) -> str:
    return "" if run.accuracy is None else f"{run.accuracy:.2%}"


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
