"""inkmill train: from a config and data to a published model."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import say
from inkmill.cli.options import ANY_PATH
from inkmill.cli.training_config import FLAGS, Request, data_of, new_run, request_of

if TYPE_CHECKING:
    from inkmill.trainer.loop import TrainingOptions
    from inkmill.trainer.runs.storage import RunStore
    from inkmill.trainer.train import AnyFinished


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data",
    multiple=True,
    metavar="FOLDER|KIND:PATH",
    help="Folder of the data, or a source: folder:digits, job:JOB (repeatable).  "
    "[default: INKMILL_DATA]",
)
@click.option("--from", "parent", metavar="MODEL", help="Begin with the weights of this model.")
@click.option("--run", help="Name of the run.  [default: the config's file name and the time]")
@click.option("--resume", metavar="RUN", help="Continue a run from its newest checkpoint.")
@click.option("--out", type=ANY_PATH, help="Local folder.  [default: runs/RUN]")
@click.option("--steps", type=int, help="Number of steps, one batch each.")
@click.option("--batch", type=int, help="Samples per batch.")
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option("--keep", type=float, help="Share of units that dropout keeps.")
@click.option("--seed", type=int, help="Seed of all random choices.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Precision of the computation.",
)
@click.option("--deterministic", is_flag=True, help="Produce bit-identical weights; slower.")
@click.option(
    "--hold-out", metavar="LIST", help="Writers to use for testing only, separated by commas."
)
@click.option("--checkpoint-every", type=int, help="Steps between two checkpoints.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set any other key of the config (repeatable).",
)
@click.option(
    "--folds",
    type=int,
    metavar="N",
    help="Train N times, each time leaving other writers out for testing.",
)
@click.option(
    "--fold-by",
    type=click.Choice(["writer", "site"]),
    default="writer",
    show_default=True,
    help="What --folds keeps together: a writer's samples, or all writers of a site.",
)
@click.option(
    "--submit", is_flag=True, help="Have the trainers of the cluster carry it out, by the queue."
)
@click.option("--wait", is_flag=True, help="With --submit: wait until it is finished.")
@click.option(
    "--devices", metavar="LIST", help="Devices, such as GPU:0,GPU:1.  [default: all GPUs]"
)
@click.option(
    "--processes", type=int, help="Processes that augment images.  [default: one less than cores]"
)
@click.option("--name", help="Name to publish under.  [default: the config's]")
@click.option("--publish/--no-publish", default=True, help="Publish the model when done.")
@click.option(
    "--margin", default=0.002, show_default=True, help="Largest loss of accuracy to accept."
)
@click.option(
    "--force", is_flag=True, help="Publish even if it is worse than the version served now."
)
def train(config: Path | None, **options: Any) -> None:
    """Train a model as described by CONFIG, a TOML file; without it, the tutorial's, on MNIST.

    With a table [sweep] in it, train a model for each combination of its values, and rank them.

    With --from, begin with a model's weights: new images are learnt, and the images that it was
    trained on are rehearsed as far as they are in the folder of the data.

    Checkpoints go to the object store, or to the local folder if no store is configured.

    With --submit, nothing is trained here: `inkmill trainer` takes it from the queue where it runs.
    """
    from inkmill.monitor import monitored
    from inkmill.settings import Settings
    from inkmill.trainer.measure.live import REGISTRY

    with monitored(Settings.load().metrics_listen, REGISTRY):
        _train(config, options)


def _train(config: Path | None, options: dict[str, Any]) -> None:
    from inkmill.cli.servers import run_stores
    from inkmill.cli.training import finished as finished_files
    from inkmill.cli.training import submitted
    from inkmill.models.quiet import load_tensorflow
    from inkmill.trainer.runs.queued import refuse_submitted

    if options["submit"]:
        submitted.check_options(options)
    elif options["wait"]:
        raise click.UsageError("--wait: only with --submit; without it, training is waited for")
    store, runs = run_stores()
    if options["resume"]:
        _refuse_others(config, options)
        run, request = options["resume"], None
    else:
        run = options["run"] or new_run(config, options)
        request = request_of(config, options, run)
    if options["submit"]:
        assert request is not None
        submitted.submit(request, run, options, str(config))
        return
    if request is None or request.sweep is None:
        refuse_submitted(runs, run)
    if request is not None and request.sweep is not None:
        if options["folds"] is not None:
            raise click.UsageError("--folds: not with a table [sweep]; leave out one of the two")
        load_tensorflow()
        _sweep(request, runs, run, options, str(config))
        return
    if request is not None and options["folds"] is not None:
        load_tensorflow()
        _folds(request, runs, run, options)
        return
    folder = options["out"] or Path("runs") / run
    if store is None:
        say(f"no object store is configured: checkpoints are in {Path('runs') / run}")
    load_tensorflow()
    finished = _trained(runs, run, request, _options(folder, request, options))
    finished_files.write(finished.files, folder / "model")
    say(f"model: {folder / 'model'}")
    version = finished.files.manifest.version
    if store is not None and options["publish"] and not _is_part(run):
        name = options["name"] or str(finished.files.manifest.config["name"])
        how = {"margin": options["margin"], "force": options["force"]}
        version = finished_files.publish(store, name, finished, **how)
    click.echo(version)


def _trained(
    runs: RunStore, run: str, request: Request | None, how: TrainingOptions
) -> AnyFinished:
    """A new run, or without a request one that is resumed."""
    from inkmill.trainer import train as training

    if request is None:
        return training.resume(runs, run, how)
    return training.train(request.config, runs, run, how, request.parent)


def _is_part(run: str) -> bool:
    """Whether a run is one of a cross-validation or a sweep: its model is never served by itself.

    That of a fold lacks writers, and that of a trial is one of many.
    """
    return re.search(r"-(fold\d+|trial\d+-s\d+)$", run) is not None


def _options(folder: Path, request: Request | None, options: dict[str, Any]) -> TrainingOptions:
    from inkmill.trainer.loop import TrainingOptions

    return TrainingOptions(
        folder=folder,
        data=request.folder if request is not None else data_of(options["data"])[0],
        processes=options["processes"],
        devices=tuple(filter(None, (options["devices"] or "").split(","))),
    )


def _folds(request: Request, runs: RunStore, run: str, options: dict[str, Any]) -> None:
    """Train once per fold, continuing where an earlier call stopped; print a summary."""
    import json

    from inkmill.trainer.cross_validation import fold_configs, summarise
    from inkmill.trainer.data import readers
    from inkmill.trainer.runs.checkpoints import has_begun
    from inkmill.trainer.train import resume, train

    config = request.config
    samples = readers.load(config, request.folder).samples
    folds = {
        f"{run}-fold{number}": fold
        for number, fold in enumerate(
            fold_configs(samples, config, options["folds"], options["fold_by"]), 1
        )
    }
    # Compare all configs before the first training: a fold takes hours.
    begun = {name for name, fold in folds.items() if has_begun(runs, name, fold)}
    sets = []
    for number, (name, fold) in enumerate(folds.items(), 1):
        folder = (options["out"] or Path("runs") / run) / f"fold{number}"
        how = _options(folder, request, options)
        how = replace(how, resume_hint=f"the same command again, with --run {run}")
        if name in begun:
            finished = resume(runs, name, how)
        else:
            finished = train(fold, runs, name, how, request.parent)
        sets.append(finished.files.manifest.metrics["sets"])
    click.echo(json.dumps(summarise(sets), indent=2))


def _sweep(request: Request, runs: RunStore, run: str, options: dict[str, Any], where: str) -> None:
    """Train all combinations of a sweep, continuing where an earlier call stopped."""
    import json

    from inkmill.cli.training import finished as finished_files
    from inkmill.trainer.sweeps import work
    from inkmill.trainer.sweeps.trials import Trial, trials_of
    from inkmill.trainer.train import resume, train

    assert request.sweep is not None
    if not options["run"]:
        say(f"the sweep's name is {run}: give --run {run} to continue it")
    trials = trials_of(request.config, request.sweep, run, where)
    place = options["out"] or Path("runs") / run

    def carry_out(trial: Trial, begun: bool) -> None:
        folder = place / trial.run
        how = _options(folder, request, options)
        how = replace(how, resume_hint=f"the same command again, with --run {run}")
        if begun:
            finished = resume(runs, trial.run, how)
        else:
            finished = train(trial.config, runs, trial.run, how, request.parent)
        finished_files.write(finished.files, folder / "model")

    found = work.carry_out(trials, runs, place, work.How(carry_out, say))
    if found:
        say(f"table: {place / 'sweep.md'}; the best: {', '.join(found[0]['runs'])}")
    click.echo(json.dumps(found, indent=2))


def _refuse_others(config: Path | None, options: dict[str, Any]) -> None:
    """A resumed run keeps its config: options that would change it must not be ignored."""
    given = ["CONFIG"] if config else []
    for name in (*FLAGS, "run", "folds", "parent"):
        if options[name] is not None:
            given.append("--from" if name == "parent" else f"--{name.replace('_', '-')}")
    given += ["--deterministic"] if options["deterministic"] else []
    given += ["--set"] if options["settings"] else []
    given += [f"--data {kind}:{place}" for kind, place in data_of(options["data"])[1]]
    if given:
        raise click.UsageError(
            f"a resumed run keeps its name and config: leave out {', '.join(given)}"
        )
