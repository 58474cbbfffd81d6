"""A training from data to a model, step by step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from inkmill.errors import NotFinished, UsageError
from inkmill.models import training_images
from inkmill.trainer import devices
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.feed import Feed
from inkmill.trainer.learner import Learner
from inkmill.trainer.meter import Meter
from inkmill.trainer.preparation import Prepared, prepare
from inkmill.trainer.publish.finish import Finished, finish
from inkmill.trainer.publish.finish_strings import FinishedStrings, finish_strings
from inkmill.trainer.reporter import EVERY, Reporter
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.checkpoints import Checkpoint, CheckpointSaver
from inkmill.trainer.runs.storage import FolderStore, RunStore
from inkmill.trainer.strings.material import MOST_SYMBOLS, StringMaterial
from inkmill.trainer.summaries import data_facts, describe_feed

#: Seconds for the last checkpoint: preempted machines get about 30.
_LAST_SAVE = 25.0
#: A signal that ended a process which makes crops reaches this one within so many seconds.
_TOLD_TOO = 2.0


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a run is carried out; only ``devices`` may change the weights."""

    folder: Path
    data: Path | None = None
    processes: int | None = None
    devices: Sequence[str] = ()
    #: Stop after this step as if preempted; None runs to the end.
    stop_after: int | None = None
    #: How to resume a stopped run, in words; by default with ``--resume``.
    resume_hint: str = ""


#: A finished model of either kind.
AnyFinished = Finished | FinishedStrings


def train(config: Config, store: RunStore, run: str, options: TrainingOptions) -> AnyFinished:
    """Train from the beginning. Raises UsageError if the run already exists."""
    prepared = prepare(config, options.data)
    prepared.check(config)
    checkpoints.begin(store, run, config, prepared.digest)
    return _carry_out(config, store, run, options, prepared, checkpoints.latest(store, run))


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
    found = checkpoints.latest(store, run)
    aside = _unsaved(options)
    if checkpoints.is_of(aside, run, config, digest):
        # The same config and data: take the later checkpoint of the two.
        found = max(found, checkpoints.latest(aside, run), key=lambda each: each[0] if each else -1)
    return _carry_out(config, store, run, options, prepared, found)


def _unsaved(options: TrainingOptions) -> FolderStore:
    """Where the last checkpoint is if the store was down when the run was stopped."""
    return FolderStore(options.folder / "unsaved")


def _carry_out(
    config: Config,
    store: RunStore,
    run: str,
    options: TrainingOptions,
    prepared: Prepared,
    found: Checkpoint | None,
) -> AnyFinished:
    start, arrays = found if found else (0, None)
    # Before the reporter, whose TensorBoard writer starts TensorFlow: GPUs are set up before.
    chosen = devices.choose(config, options.devices)
    with Reporter(options.folder, config.training.steps, start) as reporter:
        for line in prepared.describe(config):
            reporter.say(line)
        reporter.say(chosen.words)
        if start:
            reporter.say(f"run {run} resumes at step {start}")
        learner = Learner(config, chosen.strategy, chosen.precision, arrays)
        with Feed(config, prepared.material, options.processes) as feed:
            loop = Loop(store, run, prepared.digest, start, options)
            facts = _loop(config, learner, feed, reporter, loop)
        if "seconds" in facts:
            reporter.say(
                f"{config.training.steps - start} steps in {facts['seconds']:.0f} s: "
                f"{facts['steps_a_second']:.2f} a second; {describe_feed(feed)}"
            )
        finished = _finished(config, learner, prepared, facts)
        for name, measured in finished.tests.items():
            low, high = measured.share.interval
            what = "strips" if config.reads_strips else "images"
            reporter.say(
                f"{name}: {measured.share.accuracy:.2%} of {measured.share.total} test {what} "
                f"read correctly (95 % interval {low:.2%} to {high:.2%})"
            )
    return finished


def _finished(
    config: Config,
    learner: Learner,
    prepared: Prepared,
    facts: Mapping[str, Any],
) -> AnyFinished:
    parts, made = prepared.parts, prepared.material
    # Those that the temperature is fitted on are no test of its confidence either.
    used = training_images.encode(each.digest for each in (*parts.train, *parts.validation))
    known = {
        "metrics": facts,
        "data": data_facts(config, prepared.dataset, parts),
        "trained_on": used,
    }
    if isinstance(made, StringMaterial):
        return finish_strings(
            config, learner.weights(), parts.validation, _by_source(parts.test), known
        )
    return finish(
        config,
        learner.weights(),
        parts.validation,
        _by_source(parts.test),
        made,
        known,
    )


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a loop starts and where it saves; ``data`` is the digest of the training data."""

    store: RunStore
    run: str
    data: str
    start: int
    options: TrainingOptions


def _loop(
    config: Config, learner: Learner, feed: Feed, reporter: Reporter, loop: Loop
) -> dict[str, Any]:
    """Run the steps and save checkpoints; on a signal, save and stop."""
    training, step = config.training, loop.start
    saver = CheckpointSaver(loop.store, loop.run, config.checkpoints.keep)
    begun = time.perf_counter()
    with _told_to_stop() as told:
        meter = Meter(reporter, feed, training.batch)
        batches = dataset_of(learner, feed, loop.start, training.steps)
        for crops, labels in _until_told(batches, told):
            meter.add(*learner.step(crops, labels, step))
            step += 1
            if step % EVERY == 0 or step == training.steps:
                meter.tick(step)
            if step % config.checkpoints.every == 0 and step < training.steps:
                saver.save(step, learner.arrays())
            if told.is_set() or step == loop.options.stop_after:
                break
        seconds = time.perf_counter() - begun
        if loop.start < training.steps:
            saver.save(step, learner.arrays())
        if not saver.close(_LAST_SAVE):
            _save_aside(config, reporter, loop, step, learner)
    if step < training.steps:
        raise NotFinished(
            f"run {loop.run} stopped at step {step} of {training.steps}; resume with: "
            + (loop.options.resume_hint or f"inkmill train --resume {loop.run}")
        )
    done = step - loop.start
    if not done:
        return {"steps": training.steps}
    return {
        "steps": training.steps,
        "seconds": round(seconds, 1),
        "steps_a_second": round(done / seconds, 3),
    }


def _until_told(batches: Any, told: threading.Event) -> Iterator[Any]:
    """Batches, until they end or their makers are stopped too.

    A machine that shuts down signals all processes, in any order.
    """
    upcoming = iter(batches)
    while True:
        try:
            batch = next(upcoming)
        except StopIteration:
            return
        except tf.errors.OpError:
            if told.wait(_TOLD_TOO):
                return
            raise
        yield batch


def _save_aside(
    config: Config, reporter: Reporter, loop: Loop, step: int, learner: Learner
) -> None:
    """The store is down: save the last state where ``resume`` looks for it."""
    aside = _unsaved(loop.options)
    checkpoints.write_run(aside, loop.run, config, loop.data)
    checkpoints.write(aside, loop.run, step, learner.arrays())
    reporter.say(
        f"the store does not answer: the checkpoint of step {step} was saved in {aside.root}; "
        "resume in this folder to use it"
    )


def dataset_of(learner: Learner, feed: Feed, start: int, steps: int) -> Any:
    """Batches as tensors, prefetched, and distributed if there are several devices."""
    config, batch = learner.config, learner.config.training.batch
    strips = config.reads_strips
    # Strips of one batch are as wide as the widest of them.
    shape = (batch, config.input_size, None if strips else config.input_size)
    dataset = tf.data.Dataset.from_generator(
        lambda: feed.batches(start, steps),
        output_signature=(
            tf.TensorSpec(shape, tf.uint8),
            tf.TensorSpec((batch, MOST_SYMBOLS) if strips else (batch,), tf.int32),
        ),
    ).prefetch(2)
    if learner.strategy.num_replicas_in_sync == 1:
        return dataset
    options = tf.data.Options()
    # One generator for all devices: there are no files to divide among them.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    split_up = dataset.with_options(options)
    return learner.strategy.experimental_distribute_dataset(split_up)


@contextmanager
def _told_to_stop() -> Any:
    """An event that SIGTERM and Ctrl-C set: the current step is finished, then saved."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {
        number: signal.signal(number, lambda *_: told.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _by_source(samples: Sequence[Sample]) -> Mapping[str, Sequence[Sample]]:
    result: dict[str, list[Sample]] = {}
    for sample in samples:
        result.setdefault(sample.source, []).append(sample)
    return result
