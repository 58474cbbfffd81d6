"""inkmill predict: read single digits, or numbers, on this machine, without servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.labelled_data import load_unseen, sources_of
from inkmill.cli.model_argument import HELP, find_model
from inkmill.cli.options import json_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inkmill.models.predictor import Predictor
    from inkmill.models.weights import ModelFiles
    from inkmill.trainer.data.samples import Sample


@click.command(epilog=f"MODEL is {HELP}.")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option("--random", "at_random", is_flag=True, help="Read a random image of the test data.")
@click.option(
    "--data",
    default="mnist:mnist",
    show_default=True,
    metavar="KIND:PATH",
    help="Test data for --random.",
)
@click.option(
    "--string", is_flag=True, help="Read each image as a number of several digits, without cells."
)
@click.option("--seed", type=int, help="For --random: choose the same image again.")
@click.option("--model", default="shipped", show_default=True, help="Model to read with.")
@click.option("--picture/--no-picture", default=True, help="Show the image as the model sees it.")
@json_option
def predict(
    images: tuple[Path, ...],
    at_random: bool,
    data: str,
    string: bool,
    seed: int | None,
    model: str,
    picture: bool,
    as_json: bool,
) -> None:
    """Read the digit in each of IMAGES, or in a random test image; with --string, the number."""
    if at_random == bool(images):
        raise click.UsageError("give either images or --random")
    from inkmill.models.quiet import load_tensorflow

    load_tensorflow()
    if string:
        _strings(images, model, picture, as_json)
        return
    from inkmill.models.predictor import Predictor

    files = find_model(model)
    predictor = Predictor(files.manifest, files.weights, shapes=(1, 64))
    samples = [_random(files, data, seed)] if at_random else _read(images)
    for sample, problem in samples:
        record = _reading(predictor, sample, problem)
        crop = record.pop("crop")
        if as_json:
            click.echo(json.dumps(record))
            continue
        if picture and crop is not None:
            from inkmill.trainer.measure.contact_sheets import as_text

            click.echo(as_text(crop))
        click.echo(_words(record, at_random))
    if any(problem for _, problem in samples):
        click.get_current_context().exit(3)


def _strings(images: tuple[Path, ...], model: str, picture: bool, as_json: bool) -> None:
    from inkmill.cli.strip_reading import predict_strings

    if not images:
        raise click.UsageError("--string reads images: leave out --random")
    if not predict_strings(images, model, picture, as_json):
        click.get_current_context().exit(3)


def _random(files: ModelFiles, data: str, seed: int | None) -> tuple[Sample, str]:
    """An image that the model was not trained on."""
    import random

    dataset, _ = load_unseen(files, sources_of([data], None, files.manifest.classes), None)
    # An image to look at, so a predictable generator does.
    return random.Random(seed).choice(dataset.samples), ""  # noqa: S311


def _read(images: tuple[Path, ...]) -> list[tuple[Sample | None, str]]:
    from inkmill.errors import ItemError
    from inkmill.trainer.data.labelled_files import read_image
    from inkmill.trainer.data.samples import Sample

    result: list[tuple[Any, str]] = []
    for path in images:
        try:
            result.append((Sample(read_image(path), "", "image", str(path)), ""))
        except ItemError as error:
            result.append((None, f"{path}: {error.code}: {error.message}"))
        except OSError as error:
            result.append((None, f"{path}: cannot be read ({error.strerror})"))
    return result


def _reading(predictor: Predictor, sample: Sample | None, problem: str) -> dict[str, Any]:
    from inkmill.forms.cut.normalise import normalise

    if sample is None:
        return {"image": problem.split(":", 1)[0], "error": problem, "crop": None}
    manifest = predictor.manifest
    crop: NDArray[Any] | None = normalise(sample.image, manifest.input_size, manifest.filters)
    record: dict[str, Any] = {"image": sample.where, "correct": sample.label, "crop": crop}
    if crop is None:
        return {**record, "predicted": "blank", "confidence": 1.0, "runner_up": ""}
    probabilities = predictor.predict(crop[None])[0]
    first, second = probabilities.argsort()[::-1][:2]
    return {
        **record,
        "predicted": manifest.classes[first],
        "confidence": round(float(probabilities[first]), 4),
        "runner_up": manifest.classes[second],
    }


def _words(record: dict[str, Any], labelled: bool) -> str:
    if "error" in record:
        return str(record["error"])
    confidence = f"(confidence {record['confidence']:.3f})"
    if labelled:
        return f"correct: {record['correct']}, predicted: {record['predicted']} {confidence}"
    return f"{record['image']}: {record['predicted']} {confidence}"
