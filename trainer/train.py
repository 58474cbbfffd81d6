"""A training from data to a model, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inkmill import names
from inkmill.errors import PreconditionFailed, Unreachable, UsageError
from inkmill.models import training_images
from inkmill.trainer import devices, fine_tuning
from inkmill.trainer.config import Config
from inkmill.trainer.crops.balance import loss_weights
from inkmill.trainer.crops.material import Material
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.data.split import Parts
from inkmill.trainer.feed import Feed
from inkmill.trainer.fine_tuning import Parent
from inkmill.trainer.learner import Learner
from inkmill.trainer.loop import Loop, TrainingOptions, run_steps
from inkmill.trainer.preparation import Prepared, prepare
from inkmill.trainer.progress.reporter import Reporter
from inkmill.trainer.progress.validation import Validator
from inkmill.trainer.publish.finish import Finished, finish, measure_other
from inkmill.trainer.publish.finish_strings import (
    FinishedStrings,
    finish_strings,
    measure_other_strings,
)
from inkmill.trainer.runs import checkpoints, stored_models
from inkmill.trainer.runs.checkpoints import Checkpoint
from inkmill.trainer.runs.storage import RunStore
from inkmill.trainer.strings.material import StringMaterial
from inkmill.trainer.summaries import data_facts, describe_feed

#: A finished model of either kind.
AnyFinished = Finished | FinishedStrings


def train(
    config: Config,
    store: RunStore,
    run: str,
    options: TrainingOptions,
    parent: Parent | None = None,
) -> AnyFinished:
    """Train from the beginning, or from the weights of ``parent``.

    Raises UsageError if the run already exists, or if the parent is another network.
    """
    weights = parent.weights(config) if parent is not None else None
    prepared = prepare(config, options.data)
    prepared.check(config)
    checkpoints.begin(store, run, config, prepared.digest)
    store.put(checkpoints.run_images(run), _images(prepared.parts))
    if parent is not None:
        fine_tuning.keep(store, run, parent)
    start = Start(parent, weights, checkpoints.latest(store, run))
    return _carry_out(config, store, run, options, prepared, start)


def resume(store: RunStore, run: str, options: TrainingOptions) -> AnyFinished:
    """Resume a run from its newest checkpoint; the weights will be those of an unbroken run.

    Raises NotFound if there is no such run, UsageError if the data have changed.
    """
    config, digest = checkpoints.read_run(store, run)
    prepared = prepare(config, options.data)
    if prepared.digest != digest:
        raise UsageError(
            f"run {run} was started with other training data (digest {digest[:12]}, now "
            f"{prepared.digest[:12]}): pass the same --data, or start a new run"
        )
    # It may have been killed right after its record was written.
    store.put(checkpoints.run_images(run), _images(prepared.parts))
    found = checkpoints.latest(store, run)
    if checkpoints.is_of(options.unsaved, run, config, digest):
        # The same config and data: take the later checkpoint of the two.
        aside = checkpoints.latest(options.unsaved, run)
        found = max(found, aside, key=lambda each: each[0] if each else -1)
    parent = fine_tuning.kept(store, run, config)
    weights = parent.weights(config) if parent is not None else None
    return _carry_out(config, store, run, options, prepared, Start(parent, weights, found))


@dataclass(frozen=True, slots=True)
class Start:
    """What a training begins with: a model's weights, and a checkpoint that goes before them."""

    parent: Parent | None
    weights: Mapping[str, Any] | None
    checkpoint: Checkpoint | None


def _carry_out(
    config: Config,
    store: RunStore,
    run: str,
    options: TrainingOptions,
    prepared: Prepared,
    start: Start,
) -> AnyFinished:
    step, arrays = start.checkpoint if start.checkpoint else (0, None)
    # Before the reporter, whose TensorBoard writer starts TensorFlow: GPUs are set up before.
    chosen = devices.choose(config, options.devices)
    with Reporter(options.folder, config.training.steps, step) as reporter:
        for line in prepared.describe(config):
            reporter.say(line)
        parts = _tested(prepared.parts, start.parent, reporter)
        reporter.say(chosen.words)
        if step:
            reporter.say(f"run {run} resumes at step {step}")
        learner = Learner(
            config,
            chosen.strategy,
            chosen.precision,
            arrays,
            weights=start.weights,
            class_weights=_weights_of_classes(config, prepared.material),
        )
        validator = _validator(config, parts, learner, arrays or {})
        with Feed(config, prepared.material, options.processes) as feed:
            loop = Loop(store, run, prepared.digest, step, options)
            facts = run_steps(learner, validator, feed, reporter, loop)
        _say_speed(reporter, config, facts, step, feed)
        best = validator.best(learner.weights()) if validator else learner.weights()
        data = data_facts(config, prepared.dataset, parts)
        finished = _finished(config, best, parts, prepared.material, (facts, data))
        _say_tests(reporter, finished, config)
        if start.parent is not None:
            finished = _compared(finished, start.parent, reporter)
        reporter.draw()
        _say_finished(store, run, finished, reporter)
    return finished


def _tested(parts: Parts, parent: Parent | None, reporter: Reporter) -> Parts:
    """Parts whose test samples are unknown to the model that a training begins with."""
    if parent is None:
        return parts
    kept, known = parent.without_known(parts)
    if known:
        reporter.say(
            f"{known} test images are not used: the model to begin with was trained on them"
        )
    return kept


def _validator(
    config: Config, parts: Parts, learner: Learner, arrays: Mapping[str, Any]
) -> Validator | None:
    """What measures the validation part; None if there is nothing to measure.

    Raises UsageError if the training depends on it nevertheless.
    """
    found = Validator(config, parts.validation, learner.weights())
    found.restore(arrays)
    if not found.is_empty:
        return found
    if config.validation.keeps_best or config.training.schedule == "plateau":
        raise UsageError(
            "patience, best and the schedule plateau need images for validation, and there are "
            "none: set validation in [split] above 0, or leave them out"
        )
    return None


def _weights_of_classes(config: Config, made: Material | StringMaterial) -> Any:
    """How much the loss of each class counts; None for strips, and if all count alike."""
    return None if isinstance(made, StringMaterial) else loss_weights(config, made)


def _say_speed(
    reporter: Reporter, config: Config, facts: Mapping[str, Any], start: int, feed: Feed
) -> None:
    if "seconds" not in facts:
        return
    if facts["steps"] < config.training.steps:
        at = facts["best"]["step"]
        reporter.say(f"stopped early: the validation loss has not fallen since step {at}")
    reporter.say(
        f"{facts['steps'] - start} steps in {facts['seconds']:.0f} s: "
        f"{facts['steps_a_second']:.2f} a second; {describe_feed(feed)}"
    )


def _say_tests(reporter: Reporter, finished: AnyFinished, config: Config) -> None:
    what = "strips" if config.reads_strips else "images"
    decided = finished.files.manifest.metrics.get("first_stage", {})
    for name, measured in finished.tests.items():
        low, high = measured.share.interval
        reporter.say(
            f"{name}: {measured.share.accuracy:.2%} of {measured.share.total} test {what} "
            f"read correctly (95 % interval {low:.2%} to {high:.2%})"
        )
        if name in decided:
            reporter.say(
                f"{name}: the first stage decided {decided[name]['decided']} of them, "
                f"{decided[name]['wrong']} wrongly"
            )


def _compared(finished: AnyFinished, parent: Parent, reporter: Reporter) -> AnyFinished:
    """The finished model beside the one it began with, on all test sets."""
    if isinstance(finished, FinishedStrings):
        before = measure_other_strings(parent.files, finished.tests, finished.files.manifest)
    else:
        before = measure_other(parent.files, finished.tests)
    for line in fine_tuning.comparison(before, finished.files.manifest.metrics["sets"]):
        reporter.say(line)
    return replace(finished, files=fine_tuning.with_parent(finished.files, parent, before))


def _finished(
    config: Config,
    weights: Mapping[str, Any],
    parts: Parts,
    made: Material | StringMaterial,
    facts: tuple[Mapping[str, Any], list[dict[str, Any]]],
) -> AnyFinished:
    known = {"metrics": facts[0], "data": facts[1], "trained_on": _images(parts)}
    tests = _by_source(parts.test)
    if isinstance(made, StringMaterial):
        return finish_strings(config, weights, parts.validation, tests, known)
    return finish(config, weights, parts.validation, tests, made, known)


def _say_finished(store: RunStore, run: str, finished: AnyFinished, reporter: Reporter) -> None:
    manifest = finished.files.manifest
    try:
        stored_models.write(store, names.run_model(run, manifest.version), finished.files)
        checkpoints.write_result(store, run, manifest.version, manifest.metrics)
    except PreconditionFailed:
        reporter.say(f"run {run} had a result already, which counts")
    except Unreachable as error:
        # The model is more than the note that there is one.
        reporter.say(f"the run's result could not be stored: {error}")


def _images(parts: Parts) -> bytes:
    """The list of images that are no test of a model any more."""
    # Those that the temperature is fitted on are no test of its confidence either.
    return training_images.encode(each.digest for each in (*parts.train, *parts.validation))


def _by_source(samples: Sequence[Sample]) -> Mapping[str, Sequence[Sample]]:
    result: dict[str, list[Sample]] = {}
    for sample in samples:
        result.setdefault(sample.source, []).append(sample)
    return result
