"""inkmill evaluate: measure a model on labelled data."""

from __future__ import annotations

import json
from pathlib import Path

import click

from inkmill.cli.display import say
from inkmill.cli.labelled_data import load, sources_of
from inkmill.cli.model_argument import HELP, find_model
from inkmill.cli.options import ANY_PATH, model_name_option


@click.command(epilog=f"MODEL is {HELP}.")
@click.argument("model", default="shipped")
@click.option(
    "--data",
    "data",
    multiple=True,
    metavar="KIND:PATH",
    help="Labelled data, such as mnist:mnist, folder:digits or table:labels.csv (repeatable).",
)
@click.option("--config", type=ANY_PATH, help="Training config whose sources to use instead.")
@click.option(
    "--part",
    type=click.Choice(["test", "validation", "train", "all"]),
    help="Part of the data.  [default: test for MNIST and configs, all for other data]",
)
@click.option("--out", type=ANY_PATH, help="Folder for the report and its pictures.")
@click.option(
    "--robust",
    default=1000,
    show_default=True,
    metavar="N",
    help="Images for measuring robustness; 0 skips it.",
)
@click.option("--precision", default="float32", show_default=True, help="Precision to read with.")
@model_name_option
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
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
    from inkmill.models.predictor import Predictor
    from inkmill.trainer.measure import evaluate as evaluation

    files = find_model(model, name)
    if part is None and config is not None:
        # The model may have been trained on the other samples.
        part = "test"
    labelled = load(sources_of(data, config, files.manifest.classes), part)
    predictor = Predictor(files.manifest, files.weights, precision=precision)
    found = evaluation.evaluate(predictor, labelled, robust)
    if out is not None:
        evaluation.write_report(found, out)
        say(f"report: {out}")
    if as_json:
        click.echo(json.dumps(found.figures(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation.summary(found)))
