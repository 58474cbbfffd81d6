"""The steps of a training: batches in, figures and checkpoints out, until the end or a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from inkmill.errors import NotFinished
from inkmill.trainer.feed import Feed
from inkmill.trainer.learner import Learner, learning_rate
from inkmill.trainer.progress.meter import Meter
from inkmill.trainer.progress.reporter import EVERY, Reporter
from inkmill.trainer.progress.validation import Validator
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.checkpoints import CheckpointSaver
from inkmill.trainer.runs.storage import FolderStore, RunStore
from inkmill.trainer.strings.material import MOST_SYMBOLS

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

    @property
    def unsaved(self) -> FolderStore:
        """Where the last checkpoint is if the store was down when the run was stopped."""
        return FolderStore(self.folder / "unsaved")


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a loop starts and where it saves; ``data`` is the digest of the training data."""

    store: RunStore
    run: str
    data: str
    start: int
    options: TrainingOptions


def run_steps(
    learner: Learner, validator: Validator | None, feed: Feed, reporter: Reporter, loop: Loop
) -> dict[str, Any]:
    """Run the steps and save checkpoints; on a signal, save and stop. Returns facts for people.

    Raises NotFinished if it was stopped, UsageError if the loss is no number any more.
    """
    steps = _Steps(learner, validator, Meter(reporter, feed, learner.config.training.batch), loop)
    begun = time.perf_counter()
    total = learner.config.training.steps
    with _told_to_stop() as told:
        try:
            start = total if steps.is_enough else loop.start
            for crops, labels in _until_told(dataset_of(learner, feed, start, total), told):
                steps.take(crops, labels, reporter)
                if steps.is_enough or told.is_set() or steps.done == loop.options.stop_after:
                    break
            seconds = time.perf_counter() - begun
            if loop.start < total:
                steps.meter.check(loop.run, steps.done)
                steps.save()
        finally:
            saved = steps.saver.close(_LAST_SAVE)
        if not saved:
            _save_aside(steps, reporter, loop)
    if steps.done < total and not steps.is_enough:
        raise NotFinished(
            f"run {loop.run} stopped at step {steps.done} of {total}; resume with: "
            + (loop.options.resume_hint or f"inkmill train --resume {loop.run}")
        )
    count = steps.done - loop.start
    facts = {"steps": steps.done, **(validator.facts() if validator is not None else {})}
    if not count:
        return facts
    return {
        **facts,
        "seconds": round(seconds, 1),
        "steps_a_second": round(count / seconds, 3),
    }


class _Steps:
    """The steps of a loop: what is done before and after each."""

    def __init__(
        self, learner: Learner, validator: Validator | None, meter: Meter, loop: Loop
    ) -> None:
        self.learner, self.validator, self.meter, self._loop = learner, validator, meter, loop
        self.done = loop.start
        self.saver = CheckpointSaver(loop.store, loop.run, learner.config.checkpoints.keep)

    def take(self, crops: Any, labels: Any, reporter: Reporter) -> None:
        """One step on a batch, with the reports and the checkpoint that are due."""
        config, step = self.learner.config, self.done
        if step % EVERY == 0:
            self._tick(step, crops, labels)
        loss, _ = self.learner.step(crops, labels, step, self._factor)
        self.meter.add(loss)
        self.done = step + 1
        if self.done == config.training.steps:
            self._tick(self.done, crops, labels)
        if self.validator is not None and self._is_due(config.validation.every):
            weights = self.learner.weights()
            reporter.validated(self.done, self.validator.measure(self.done, weights), weights)
        if self.done % config.checkpoints.every == 0 and self.done < config.training.steps:
            self.meter.check(self._loop.run, self.done)
            self.save()

    def _is_due(self, every: int) -> bool:
        return self.done % every == 0 or self.done == self.learner.config.training.steps

    def _tick(self, step: int, crops: Any, labels: Any) -> None:
        self.meter.check(self._loop.run, step)
        rate = learning_rate(self.learner.config.training, step) * self._factor
        self.meter.tick(step, *self.learner.read(crops, labels), rate)

    @property
    def _factor(self) -> float:
        return self.validator.factor if self.validator is not None else 1.0

    @property
    def is_enough(self) -> bool:
        """Whether validation says that more steps do not help."""
        return self.validator is not None and self.validator.is_done

    def save(self) -> None:
        """Hand over a checkpoint of all that a resumed run needs."""
        self.saver.save(self.done, self.arrays())

    def arrays(self) -> dict[str, Any]:
        kept = self.validator.arrays() if self.validator is not None else {}
        return {**self.learner.arrays(), **kept}


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


def _save_aside(steps: _Steps, reporter: Reporter, loop: Loop) -> None:
    """The store is down: save the last state where ``resume`` looks for it."""
    aside = loop.options.unsaved
    checkpoints.write_run(aside, loop.run, steps.learner.config, loop.data)
    checkpoints.write(aside, loop.run, steps.done, steps.arrays())
    reporter.say(
        f"the store does not answer: the checkpoint of step {steps.done} was saved in "
        f"{aside.root}; resume in this folder to use it"
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
