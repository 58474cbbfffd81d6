"""Trainings that trainers carry out: submitted and waited for here, carried out there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, say
from inkmill.cli.servers import connection, run_stores
from inkmill.cli.training import finished as finished_files
from inkmill.cli.training_config import Request, data_of
from inkmill.errors import NotFinished, UsageError

if TYPE_CHECKING:
    from inkmill.backends.store import Store
    from inkmill.trainer.loop import TrainingOptions
    from inkmill.trainer.runs.queued import QueuedRun
    from inkmill.trainer.sweeps.trials import Trial

#: Options of `inkmill train` that say how this machine trains.
_OF_THIS_MACHINE = ("resume", "folds", "devices", "processes")


def check_options(options: Mapping[str, Any]) -> None:
    """Raise click.UsageError for options that trainers could not follow."""
    given = [f"--{name}" for name in _OF_THIS_MACHINE if options[name] is not None]
    if given:
        raise click.UsageError(f"{', '.join(given)}: not with --submit, as trainers decide on it")
    jobs = [place for kind, place in data_of(options["data"])[1] if kind == "job"]
    if jobs:
        raise click.UsageError(
            f"--data job:{jobs[0]}: not with --submit, as its images are written to this machine: "
            "train here, or ask for the training at the desk"
        )


def submit(request: Request, run: str, options: Mapping[str, Any], where: str) -> None:
    """Submit a training, or the trials of a sweep; with --wait, until they are finished."""
    from inkmill.trainer.queue import submitting
    from inkmill.trainer.sweeps.trials import trials_of

    store = _store()
    trials: Sequence[Trial] = ()
    if request.sweep is not None:
        trials = trials_of(request.config, request.sweep, run, where)
        asked = submitting.trials_as_runs(trials, run)
    else:
        asked = [_single(request, run, options)]
    found = submitting.submit(asked, store, connection().queue, request.parent)
    open_ = sum(each.is_open for each in found)
    say(f"{run}: {many(len(asked), 'run')} submitted, {open_} of them not finished yet")
    place = options["out"] or Path("runs") / run
    if not options["wait"]:
        again = f"inkmill runs sweep {run}" if trials else f"inkmill runs show {run}"
        say(f"`inkmill runs list` shows how far they are, `{again}` what came of it")
        click.echo(run)
        return
    try:
        submitting.wait([each.run for each in asked], submitting.Waiting(store, say))
    except NotFinished:
        if trials:
            show_table(trials, place)
        raise
    if trials:
        show_table(trials, place)
    else:
        _fetch(store, run, place / "model")


def _single(request: Request, run: str, options: Mapping[str, Any]) -> QueuedRun:
    from inkmill.trainer.runs.queued import QueuedRun

    name = options["name"] or request.config.name
    return QueuedRun(
        run=run,
        config=request.config.model_dump(mode="json"),
        publish=name if options["publish"] else "",
        margin=options["margin"],
        force=options["force"],
    )


def _store() -> Store:
    store, _ = run_stores()
    if store is None:
        raise UsageError(
            "--submit: trainers find runs in the object store: set INKMILL_S3_ENDPOINT and "
            "INKMILL_S3_BUCKET, and INKMILL_REDIS_URL"
        )
    return store


def show_table(trials: Sequence[Trial], place: Path) -> None:
    """Rank the finished trials of a sweep; write table and plot to a folder, print them as JSON."""
    from inkmill.trainer.sweeps.table import ranked, write_table
    from inkmill.trainer.sweeps.work import as_values

    rows = ranked(run_stores()[1], trials)
    done = sum(len(row.losses) for row in rows)
    if done < len(trials):
        say(f"{len(trials) - done} of {len(trials)} trials are not finished yet")
    if rows:
        write_table(rows, place)
        say(f"table: {place / 'sweep.md'}; the best: {', '.join(rows[0].runs)}")
    click.echo(json.dumps(as_values(rows), indent=2))


def _fetch(store: Store, run: str, folder: Path) -> None:
    """Write the model that a trainer made to a folder, and print its version."""
    from inkmill.trainer.runs.snapshot import model_of

    files = model_of(store, run)
    finished_files.write(files, folder)
    say(f"model: {folder}")
    click.echo(files.manifest.version)


def carry_out(run: str, how: TrainingOptions) -> None:
    """Train a submitted run, or resume it, and publish its model; in a process of its own.

    The process saves a checkpoint and ends when its standard input does.
    """
    from inkmill.trainer import train as training
    from inkmill.trainer.fine_tuning import kept
    from inkmill.trainer.runs import queued
    from inkmill.trainer.runs.checkpoints import has_begun

    stop_at_eof()
    store = _store()
    found = queued.read(store, run)
    if found is None:
        raise UsageError(f"run {run} was not submitted, or is withdrawn")
    record, config = found[0], found[0].parsed()
    if has_begun(store, run, config):
        finished = training.resume(store, run, how)
    else:
        finished = training.train(config, store, run, how, kept(store, run, config))
    if record.publish:
        finished_files.publish(
            store, record.publish, finished, margin=record.margin, force=record.force
        )
    click.echo(finished.files.manifest.version)


def stop_at_eof() -> None:
    """Have this process sent SIGTERM at the end of its standard input: its trainer is gone."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
