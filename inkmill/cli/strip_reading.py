"""What `inkmill predict --string` prints: the strings that a strip may say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inkmill.models.strips import Hypothesis

#: As many strings are shown in words; JSON has all.
_SHOWN = 3


def predict_strings(images: tuple[Path, ...], model: str, picture: bool, as_json: bool) -> bool:
    """Read the number on each image and print it; returns whether every image could be read.

    Raises UsageError, NotFound or ModelError for a model that cannot be used.
    """
    from inkmill.cli.model_argument import find_model
    from inkmill.models.strips import MODEL, StripReader

    files = find_model(model, MODEL)
    shapes = ((1, 128), (1, 256), (1, 640))
    reader = StripReader(files.manifest, files.weights, shapes=shapes)
    complete = True
    for path, strip, problem in _strips(images):
        if problem:
            complete = False
            click.echo(json.dumps({"image": str(path), "error": problem}) if as_json else problem)
            continue
        found = reader.read([strip])[0] if strip is not None else []
        if as_json:
            click.echo(json.dumps(_record(path, found)))
            continue
        if picture and strip is not None:
            from inkmill.trainer.measure.contact_sheets import as_text

            click.echo(as_text(strip))
        click.echo(_words(path, found))
    return complete


def _strips(images: tuple[Path, ...]) -> Iterator[tuple[Path, NDArray[Any] | None, str]]:
    """Each image as a normalised strip, None without ink; or what is wrong with it."""
    from inkmill.errors import ItemError
    from inkmill.forms.cut.strip import normalise_strip
    from inkmill.trainer.data.labelled_files import read_image

    for path in images:
        try:
            yield path, normalise_strip(read_image(path)), ""
        except ItemError as error:
            yield path, None, f"{path}: {error.code}: {error.message}"
        except OSError as error:
            yield path, None, f"{path}: cannot be read ({error.strerror})"


def _record(path: Path, found: list[Hypothesis]) -> dict[str, Any]:
    strings = [{"text": each.text, "probability": round(each.probability, 6)} for each in found]
    return {"image": str(path), "strings": strings}


def _words(path: Path, found: list[Hypothesis]) -> str:
    if not found:
        return f"{path}: no number"
    first, *others = found[:_SHOWN]
    also = ", ".join(f"{each.text} {each.probability:.3f}" for each in others)
    rest = 1 - sum(each.probability for each in found)
    words = f"{path}: {first.text} (probability {first.probability:.3f}"
    return words + (f"; {also}" if also else "") + f"; none of these {max(0.0, rest):.3f})"
