"""The config of a training, from a file, a model to begin with, sources and options."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from inkmill.cli.display import many, say

if TYPE_CHECKING:
    from inkmill.trainer.config import Config
    from inkmill.trainer.fine_tuning import Parent

#: Used without a config: the recipe of the tutorial, on MNIST, as in configs/tutorial.toml.
TUTORIAL: dict[str, Any] = {
    "name": "tutorial",
    "sources": [{"kind": "mnist", "path": "mnist", "licence": "none given by the authors"}],
    "split": {"validation": 5000, "stratify": False},
    "training": {"epsilon": 1e-8},
    "checkpoints": {"every": 100, "keep": 5},
}

#: Options that set a key of the config.
FLAGS = {
    "steps": "training.steps",
    "batch": "training.batch",
    "learning_rate": "training.learning_rate",
    "keep": "training.keep",
    "seed": "training.seed",
    "precision": "training.precision",
    "checkpoint_every": "checkpoints.every",
    "hold_out": "split.hold_out",
}
#: The kind of data that is not in files: the values that people verified in a job.
_JOB = "job"


@dataclass(frozen=True, slots=True)
class Request:
    """What a training is asked for: its config, the data's folder, the model to begin with.

    ``sweep`` is the table of that name, for several trainings with other values.
    """

    config: Config
    folder: Path | None
    parent: Parent | None
    sweep: Mapping[str, Any] | None = None


def request_of(path: Path | None, options: Mapping[str, Any], run: str) -> Request:
    """The training that options describe. Raises UsageError.

    Verified values of jobs are written to a folder below ``runs/RUN``.
    """
    from inkmill.cli.model_argument import find_model
    from inkmill.trainer.config import Config
    from inkmill.trainer.fine_tuning import Parent

    folder, given = data_of(options["data"])
    # --name says what to publish as; of the shipped models it also says which one is meant.
    which = options["name"] if options["parent"] == "shipped" else None
    parent = Parent(find_model(options["parent"], which)) if options["parent"] else None
    strips = parent is not None and parent.files.manifest.reads_strips
    sources = [_source(kind, place, run, strips=strips) for kind, place in given]
    overrides = _overrides(options)
    if parent is not None and path is None:
        values = _tuned(parent, sources, folder)
        return Request(Config.load_values(values, overrides, "command line"), folder, parent)
    values = _loaded(path) if path is not None else {**TUTORIAL}
    sweep = values.pop("sweep", None)
    if sources:
        values["sources"] = [*(values.get("sources", []) if path is not None else []), *sources]
    if parent is not None:
        values["parent"] = parent.files.manifest.version
    where = str(path) if path is not None else "command line"
    return Request(Config.load_values(values, overrides, where), folder, parent, sweep)


def data_of(texts: Sequence[str]) -> tuple[Path | None, list[tuple[str, str]]]:
    """The folder of the data, and the sources given as KIND:PATH. Raises click.UsageError."""
    from inkmill.trainer.settings.sources import Source

    kinds = (*get_args(Source.model_fields["kind"].annotation), _JOB)
    sources = [each.partition(":") for each in texts if each.partition(":")[0] in kinds]
    sources = [each for each in sources if each[1]]
    folders = [each for each in texts if each.partition(":") not in sources]
    if len(folders) > 1:
        raise click.UsageError(
            f"--data {' --data '.join(folders)}: give one folder; sources are KIND:PATH with one "
            f"of the kinds {', '.join(kinds)}"
        )
    folder = Path(folders[0]) if folders else None
    return folder, [(kind, place) for kind, _, place in sources]


def _source(kind: str, place: str, run: str, *, strips: bool) -> dict[str, Any]:
    """A source as a config has it; for ``strips``, of numbers without cells."""
    if kind != _JOB:
        return {"kind": kind, "path": place}
    from inkmill.cli.servers import connection
    from inkmill.errors import UsageError
    from inkmill.forms.cut.recut import strips_again
    from inkmill.people import training_data

    folder = Path("runs").absolute() / run / f"verified-{place}"
    made = training_data.write_verified(connection(), place, folder, strips_again)
    count, where = made.fields - made.strips, "in cells"
    if strips:
        count, where = made.strips, "without cells"
    if not count:
        raise UsageError(
            f"job {place} has no verified value {where}: review some fields first, or audit them"
        )
    say(f"job {place}: {many(count, 'verified field')} in {folder}")
    named = {"name": f"job {place}", "group_column": "document"}
    if strips:
        table = str(folder / training_data.STRIPS_TABLE)
        images = {"images": training_data.STRIPS, "label_column": "text"}
        return {"kind": "strips", "path": table, **named, **images}
    table = str(folder / training_data.TABLE)
    images = {"images": training_data.SCANS, "form": training_data.TEMPLATE}
    return {"kind": "form", "path": table, **named, **images}


def _tuned(parent: Parent, sources: list[dict[str, Any]], folder: Path | None) -> dict[str, Any]:
    """The values of a config that continues a model's training with more sources."""
    from inkmill.trainer.fine_tuning import config_from

    if not sources:
        raise click.UsageError(
            "--from continues a model with new images: give them with --data KIND:PATH or --data "
            "job:JOB, or a config that names them"
        )
    base = folder or Path(os.environ.get("INKMILL_DATA") or ".")
    values, missing = config_from(parent.files.manifest, sources, base)
    if missing:
        say(
            f"not rehearsed, as not below {base.absolute()}: {', '.join(missing)}; what only these "
            "teach may be forgotten"
        )
    return values


def _loaded(path: Path) -> dict[str, Any]:
    from inkmill.trainer.config import read_toml

    return read_toml(path)


def _overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    overrides = {key: options[flag] for flag, key in FLAGS.items() if options[flag] is not None}
    if options["hold_out"]:
        overrides["split.hold_out"] = options["hold_out"].split(",")
    if options["deterministic"]:
        overrides["training.deterministic"] = True
    for each in options["settings"]:
        overrides.update(_setting(each))
    return overrides


def _setting(text: str) -> dict[str, Any]:
    """One --set: its value is read as TOML if possible, else as text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.echo=2")
    try:
        return {key: tomllib.loads(f"value = {value}")["value"]}
    except tomllib.TOMLDecodeError:
        return {key: value}


def new_run(path: Path | None, options: Mapping[str, Any]) -> str:
    """A name for a run: that of its config, or "tuned", and the time."""
    name = "tuned" if options["parent"] and path is None else path.stem if path else "tutorial"
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return re.sub(r"[^a-z0-9._-]", "-", f"{name}-{moment}".lower())
