"""inkmill train: from a config and data to a published model."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import say
from inkmill.cli.options import ANY_PATH

if TYPE_CHECKING:
    from inkmill.backends.store import Store
    from inkmill.models.manifest import Manifest
    from inkmill.trainer.config import Config
    from inkmill.trainer.run_store import RunStore
    from inkmill.trainer.train import AnyFinished, TrainingOptions

#: Used without a config: the recipe of the tutorial, on MNIST.
_TUTORIAL = {"sources": [{"kind": "mnist", "path": "mnist"}], "split": {"validation": 0.08}}

_FLAGS = {
    "steps": "training.steps",
    "batch": "training.batch",
    "learning_rate": "training.learning_rate",
    "keep": "training.keep",
    "seed": "training.seed",
    "precision": "training.precision",
    "checkpoint_every": "checkpoints.every",
    "hold_out": "split.hold_out",
}


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=ANY_PATH, help="Folder of the data.  [default: INKMILL_DATA]")
@click.option("--run", help="Name of the run.  [default: the config's name and the time]")
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

    Checkpoints go to the object store, or to the local folder if no store is configured.
    """
    from inkmill.monitor import monitored
    from inkmill.settings import Settings
    from inkmill.trainer.measure.live import REGISTRY

    with monitored(Settings.load().metrics_listen, REGISTRY):
        _train(config, options)


def _train(config: Path | None, options: dict[str, Any]) -> None:
    from inkmill.trainer import train as training

    store, runs = _stores()
    resumed = options["resume"]
    if resumed:
        _refuse_others(config, options)
    settings = None if resumed else _config(config, options)
    if settings is not None and options["folds"] is not None:
        _folds(settings, runs, options)
        return
    run = resumed or options["run"] or _new_run(settings)
    folder = options["out"] or Path("runs") / run
    if store is None:
        say(f"no object store is configured: checkpoints are in {Path('runs') / run}")
    how = _options(folder, options)
    if settings is None:
        finished = training.resume(runs, run, how)
    else:
        finished = training.train(settings, runs, run, how)
    _write(finished, folder / "model")
    say(f"model: {folder / 'model'}")
    if store is not None and options["publish"]:
        name = options["name"] or str(finished.files.manifest.config["name"])
        _publish(store, name, finished, options)
    else:
        click.echo(finished.files.manifest.version)


def _options(folder: Path, options: dict[str, Any]) -> TrainingOptions:
    from inkmill.trainer.train import TrainingOptions

    return TrainingOptions(
        folder=folder,
        data=options["data"],
        processes=options["processes"],
        devices=tuple(filter(None, (options["devices"] or "").split(","))),
    )


def _folds(config: Config, runs: RunStore, options: dict[str, Any]) -> None:
    """Train once per fold, continuing where an earlier call stopped; print a summary."""
    import json
    from dataclasses import replace

    from inkmill.trainer.checkpoints import has_begun
    from inkmill.trainer.cross_validation import fold_configs, summarise
    from inkmill.trainer.data import readers
    from inkmill.trainer.train import resume, train

    run = options["run"] or _new_run(config)
    samples = readers.load(config, options["data"]).samples
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
        how = _options((options["out"] or Path("runs") / run) / f"fold{number}", options)
        how = replace(how, resume_hint=f"the same command again, with --run {run}")
        finished = resume(runs, name, how) if name in begun else train(fold, runs, name, how)
        sets.append(finished.files.manifest.metrics["sets"])
    click.echo(json.dumps(summarise(sets), indent=2))


def _refuse_others(config: Path | None, options: dict[str, Any]) -> None:
    """A resumed run keeps its config: options that would change it must not be ignored."""
    given = ["CONFIG"] if config else []
    for name in (*_FLAGS, "run", "folds"):
        if options[name] is not None:
            given.append(f"--{name.replace('_', '-')}")
    given += ["--deterministic"] if options["deterministic"] else []
    given += ["--set"] if options["settings"] else []
    if given:
        raise click.UsageError(
            f"a resumed run keeps its name and config: leave out {', '.join(given)}"
        )


def _stores() -> tuple[Store | None, RunStore]:
    """The configured object store, if any, and the store of runs."""
    from inkmill.backends.store import open_store
    from inkmill.settings import Settings
    from inkmill.trainer.run_store import FolderStore

    settings = Settings.load()
    if not {"s3_endpoint", "s3_bucket"} & settings.model_fields_set:
        return None, FolderStore(Path())
    store = open_store(settings)
    return store, store


def _config(path: Path | None, options: dict[str, Any]) -> Config:
    from inkmill.trainer.config import Config

    overrides = {key: options[flag] for flag, key in _FLAGS.items() if options[flag] is not None}
    if options["hold_out"]:
        overrides["split.hold_out"] = options["hold_out"].split(",")
    if options["deterministic"]:
        overrides["training.deterministic"] = True
    for each in options["settings"]:
        overrides.update(_setting(each))
    if path is not None:
        return Config.load(path, overrides)
    return Config.load_values(_TUTORIAL, overrides, "command line")


def _setting(text: str) -> dict[str, Any]:
    """One --set: its value is read as TOML if possible, else as text."""
    import tomllib

    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.echo=2")
    try:
        return {key: tomllib.loads(f"value = {value}")["value"]}
    except tomllib.TOMLDecodeError:
        return {key: value}


def _new_run(config: Config | None) -> str:
    name = config.name if config is not None else "run"
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return re.sub(r"[^a-z0-9._-]", "-", f"{name}-{moment}".lower())


def _write(finished: AnyFinished, folder: Path) -> None:
    from inkmill.trainer.publish.card import write_card

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(finished.files.weights)
    (folder / "golden.safetensors").write_bytes(finished.files.golden)
    (folder / "manifest.json").write_bytes(finished.files.manifest.encode())
    write_card(finished.files.manifest, folder)


def _publish(store: Store, name: str, finished: AnyFinished, options: dict[str, Any]) -> None:
    from dataclasses import replace

    from inkmill.models.registry import Registry
    from inkmill.models.weights import ModelFiles
    from inkmill.trainer.publish.finish import measure_other
    from inkmill.trainer.publish.finish_strings import FinishedStrings, measure_other_strings
    from inkmill.trainer.publish.gate import gate

    registry = Registry(store, name)
    pointer = registry.current()
    files = finished.files
    if pointer is not None:
        manifest = replace(files.manifest, parents=(pointer.version,))
        files = ModelFiles(manifest, files.weights, files.golden)

    def measure(current: Manifest) -> list[dict[str, Any]]:
        other = registry.fetch(current.version)
        if isinstance(finished, FinishedStrings):
            return measure_other_strings(other, finished.tests, finished.files.manifest)
        return measure_other(other, finished.tests)

    check = None if options["force"] else gate(files.manifest, options["margin"], measure)
    version = registry.publish(files, gate=check)
    say(f"published as {name}")
    click.echo(version)
