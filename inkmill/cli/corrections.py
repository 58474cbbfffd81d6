"""A model from a job's corrections: training set, training, old against new; nothing is served.

What `inkmill trainer` runs, in a process of its own, for each training that was asked for at the
desk.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkmill.cli.display import many, say
from inkmill.desk.training.asked import Outcome, PagesAgain, SetFigures, Training
from inkmill.errors import NotFinished, NotFound, UsageError

if TYPE_CHECKING:
    from inkmill.models.registry import Registry
    from inkmill.people.training_data import Written
    from inkmill.producer import Connection
    from inkmill.trainer.config import Config
    from inkmill.trainer.train import AnyFinished

#: The source of corrections in a config, and so the name of their test set.
CORRECTIONS = "corrections"


@dataclass(frozen=True, slots=True)
class How:
    """How corrections are trained with.

    ``config`` describes the other data, ``share`` is the corrections' share of the samples,
    ``sample`` how many pages of the job are read again, in at most ``wait`` seconds.
    """

    config: Path
    data: Path | None
    share: float
    sample: int
    wait: float


def carry_out(connection: Connection, training: Training, how: How, folder: Path) -> Outcome:
    """Train a model with the values that people entered in a job, and compare it.

    ``folder`` takes the training set and the run. Raises UsageError where there is nothing to train
    with or the config does not fit, and what training raises.
    """
    from inkmill.forms.cut.recut import strips_again
    from inkmill.people import training_data

    made = training_data.write_verified(connection, training.job, folder / "set", strips_again)
    say(f"training set: {made.fields:,} verified fields on {many(made.pages, 'page')}")
    config = with_corrections(how.config, folder / "set", made, how.share)
    finished = _train(connection, training, config, how, folder)
    settings = connection.settings
    name = settings.strips_model if config.reads_strips else settings.model
    registry = _registry(connection, name)
    current = registry.current()
    replaces = current.version if current is not None else ""
    version = _store(registry, finished, replaces)
    say(f"model {name} {version[:16]} is stored, and not served")
    sets = _compared(registry, finished, replaces)
    again, missing = _pages(connection, training, how, name=name, version=version)
    return Outcome(
        fields=made.strips if config.reads_strips else made.fields - made.strips,
        pages=made.pages,
        model=name,
        version=version,
        replaces=replaces,
        sets=tuple(sets),
        again=again,
        missing=missing,
    )


def with_corrections(path: Path, folder: Path, made: Written, share: float) -> Config:
    """A config to which the training set in a folder is added.

    The corrections' weight is such that ``share`` of the samples are theirs; documents are kept on
    one side of the split. Raises UsageError.
    """
    from inkmill.people import training_data
    from inkmill.trainer.config import Config

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        Config.load(path)  # says what is wrong with it
        raise
    base = Config.parse(values, str(path))
    samples = made.strips if base.reads_strips else made.fields - made.strips
    if not samples:
        what = "numbers without cells" if base.reads_strips else "digits in cells"
        raise UsageError(
            f"nobody has entered {what} in this job that could be trained with: {path} trains a "
            "model for those"
        )
    source: dict[str, Any] = {
        "kind": "form",
        "path": str(folder.resolve() / training_data.TABLE),
        "form": training_data.TEMPLATE,
        "images": training_data.SCANS,
    }
    if base.reads_strips:
        source = {
            "kind": "strips",
            "path": str(folder.resolve() / training_data.STRIPS_TABLE),
            "images": training_data.STRIPS,
            "label_column": "text",
        }
    weight = sum(each.weight for each in base.sources) * share / (1 - share)
    source |= {"name": CORRECTIONS, "group_column": "document", "weight": weight}
    values["sources"] = [*values["sources"], source]
    return Config.load_values(values, {"split.by": "group"}, str(path))


def _train(
    connection: Connection, training: Training, config: Config, how: How, folder: Path
) -> AnyFinished:
    from inkmill.trainer import train
    from inkmill.trainer.loop import TrainingOptions

    # Another trainer that takes over begins again: its run needs a name of its own.
    run = f"desk-{training.id}-{folder.name[-8:]}".lower().replace("_", "x")
    return train.train(config, connection.store, run, TrainingOptions(folder / "run", how.data))


def _registry(connection: Connection, name: str) -> Registry:
    from inkmill.models.registry import Registry

    return Registry(connection.store, name)


def _store(registry: Registry, finished: AnyFinished, replaces: str) -> str:

    files = finished.files
    if replaces:
        manifest = replace(files.manifest, parents=(replaces,))
        files = replace(files, manifest=manifest)
    return registry.publish(files, promote=False)


def _compared(registry: Registry, finished: AnyFinished, replaces: str) -> Sequence[SetFigures]:
    """Old and new on the new model's test sets."""
    from inkmill.trainer.publish.finish import measure_other
    from inkmill.trainer.publish.finish_strings import FinishedStrings, measure_other_strings

    old: Mapping[str, float] = {}
    if replaces:
        files = registry.fetch(replaces)
        if isinstance(finished, FinishedStrings):
            sets = measure_other_strings(files, finished.tests, finished.files.manifest)
        else:
            sets = measure_other(files, finished.tests)
        old = {each["name"]: float(each["accuracy"]) for each in sets}
    return [
        SetFigures(
            each["name"], each["samples"], old.get(each["name"], -1.0), float(each["accuracy"])
        )
        for each in finished.files.manifest.metrics["sets"]
    ]


def _pages(
    connection: Connection, training: Training, how: How, *, name: str, version: str
) -> tuple[PagesAgain | None, str]:
    """The job's pages read by the new model; or None, and why there is nothing to compare."""
    from inkmill import producer
    from inkmill.people import compare

    try:
        revision = compare.read_again(connection, training.job, version, how.sample, name=name)
        say(f"job {revision}: pages of {training.label}, read with the new model")
        producer.wait(revision, timeout=how.wait, connection=connection)
    except NotFinished as error:
        return None, f"{error}: start a worker, or wait longer with --wait"
    except (NotFound, UsageError) as error:
        return None, str(error)
    found = compare.compare(connection, training.job, revision)
    return (
        PagesAgain(
            revision=revision,
            pages=found.pages,
            accepted=found.accepted,
            changed=len(found.changed),
            doubted=found.doubted,
            gained=found.gained,
        ),
        "",
    )
