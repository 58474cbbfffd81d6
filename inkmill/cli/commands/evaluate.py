"""`inkmill evaluate`: any model on any labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.model_argument import HELP

if TYPE_CHECKING:
    from inkmill.trainer.config import Config
    from inkmill.trainer.data.samples import Dataset


@click.command(epilog=f"MODEL is {HELP}.")
@click.argument("model", default="shipped")
@click.option(
    "--data",
    "data",
    multiple=True,
    metavar="KIND:PATH",
    help="Labelled data, as mnist:mnist, folder:digits or table:labels.csv. May be repeated.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Its sources instead of --data.")
@click.option(
    "--part",
    type=click.Choice(["test", "validation", "train", "all"]),
    help="Which part. [default: test of MNIST and of configs, all of other data]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report and pictures.")
@click.option("--robust", default=1000, show_default=True, help="Images for robustness; 0: none.")
@click.option("--precision", default="float32", show_default=True)
@click.option("--name", default=None, help="Model name in the store. [default: setting]")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
def evaluate(
    model: str,
    data: tuple[str, ...],
    config: Path | None,
    part: str | None,
    out: Path | None,
    robust: int,
    precision: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on labelled data: accuracy, calibration, robustness, mistakes."""
    from inkmill.cli.model_argument import find_model
    from inkmill.models.predictor import Predictor
    from inkmill.trainer.measure import evaluate as evaluation

    files = find_model(model, name)
    if part is None and config is not None:
        # Its other samples are what a model was trained on.
        part = "test"
    labelled = _labelled(_config(data, config, files.manifest.classes), part)
    predictor = Predictor(files.manifest, files.weights, precision=precision)
    found = evaluation.evaluate(predictor, labelled, robust)
    if out is not None:
        evaluation.write_report(found, out)
        click.echo(f"the report lies in {out}", err=True)
    if as_json:
        click.echo(json.dumps(found.figures(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation.summary(found)))


def _config(data: tuple[str, ...], path: Path | None, classes: tuple[str, ...]) -> Config:
    from inkmill.trainer.config import Config

    if path is not None:
        return Config.load(path)
    sources = []
    for each in data or ("mnist:mnist",):
        kind, colon, place = each.partition(":")
        if not colon:
            raise click.UsageError(f"--data {each}: write KIND:PATH, as mnist:mnist")
        # Of one kind there may be several: each is reported by what was given for it.
        several = sum(other.startswith(f"{kind}:") for other in data) > 1
        sources.append({"kind": kind, "path": place, "name": each if several else ""})
    digits = [each for each in classes if len(each) == 1]
    return Config.parse({"sources": sources, "classes": digits}, "--data")


def _labelled(config: Config, part: str | None) -> Dataset:
    from inkmill.errors import UsageError
    from inkmill.trainer.data import sources
    from inkmill.trainer.data.samples import TEST, Dataset
    from inkmill.trainer.data.split import split

    dataset = sources.load(config)
    if part is None:
        # What was never divided is all for testing; MNIST's training images never are.
        if not any(sample.part for sample in dataset.samples):
            return dataset
        tested = [sample for sample in dataset.samples if sample.part in ("", TEST)]
        return Dataset(tested, dataset.problems)
    if part == "all":
        return dataset
    chosen = list(split(dataset.samples, config).named()[part])
    if not chosen:
        raise UsageError(f"the part {part} has no sample: name another by --part")
    return Dataset(chosen, dataset.problems)
