"""inkmill evaluate: measure a model on labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import say
from inkmill.cli.labelled_data import load_unseen, sources_of
from inkmill.cli.model_argument import HELP, find_model
from inkmill.cli.options import ANY_PATH, model_name_option

if TYPE_CHECKING:
    from inkmill.models.weights import ModelFiles
    from inkmill.trainer.data.samples import Dataset


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
@click.option(
    "--digits-only",
    is_flag=True,
    help="For a model of strips: compare digits only, not separators and closing dashes.",
)
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
    digits_only: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on labelled data: accuracy, calibration, robustness, mistakes.

    A model of strips (--name strips) is measured on strips with their text, such as
    strips:table.csv.
    """
    from inkmill.models.quiet import load_tensorflow

    load_tensorflow()
    from inkmill.models.predictor import Predictor
    from inkmill.trainer.measure import evaluate as evaluation

    files = find_model(model, name)
    if files.manifest.reads_strips:
        labelled = _strips(files, data, config, part)
        _measure_strips(files, labelled, digits_only=digits_only, out=out, as_json=as_json)
        return
    if part is None and config is not None:
        # The model may have been trained on the other samples.
        part = "test"
    labelled, seen = load_unseen(files, sources_of(data, config, files.manifest.classes), part)
    predictor = Predictor(files.manifest, files.weights, precision=precision, golden=files.golden)
    found = evaluation.evaluate(predictor, labelled, robust, left_out=seen)
    if out is not None:
        evaluation.write_report(found, out)
        say(f"report: {out}")
    if as_json:
        click.echo(json.dumps(found.figures(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation.summary(found)))


def _strips(
    files: ModelFiles, data: tuple[str, ...], config: Path | None, part: str | None
) -> Dataset:
    """The labelled strips to measure on. Raises UsageError."""
    from inkmill.trainer.data.samples import Dataset

    if not data and config is None:
        raise click.UsageError(
            "a model of strips is measured on strips: give --data strips:TABLE or --config"
        )
    part = part or ("test" if config is not None else None)
    sources = sources_of(data, config, files.manifest.classes, strips=True)
    labelled, _ = load_unseen(files, sources, part)
    # A config also has single characters, of which strings are composed; they are no strips.
    return Dataset([sample for sample in labelled.samples if sample.whole], labelled.problems)


def _measure_strips(
    files: ModelFiles, labelled: Dataset, *, digits_only: bool, out: Path | None, as_json: bool
) -> None:
    from inkmill.models.strips import StripReader
    from inkmill.trainer.measure import evaluate_strings as evaluation

    reader = StripReader(files.manifest, files.weights)
    found = evaluation.evaluate_strings(reader, labelled, digits_only=digits_only)
    if out is not None:
        evaluation.write_string_report(found, out)
        say(f"report: {out}")
    if as_json:
        click.echo(json.dumps(found.figures(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation.summary(found)))
