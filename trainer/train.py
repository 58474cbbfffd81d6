"""A training from data to a model, as its table of contents."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from inkmill.errors import NotFinished, UsageError
from inkmill.trainer import checkpoints, devices, material, sources
from inkmill.trainer.checkpoints import Checkpoints
from inkmill.trainer.config import Config
from inkmill.trainer.feed import Feed
from inkmill.trainer.finish import Finished, finish
from inkmill.trainer.folder import RunStore
from inkmill.trainer.learner import Learner
from inkmill.trainer.progress import EVERY, Reporter, Tick
from inkmill.trainer.samples import Dataset, Sample, check_classes, duplicates
from inkmill.trainer.split import Parts, split

#: Seconds that the last checkpoint may take: preempted machines give about 30.
_LAST_SAVE = 25.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is carried out; nothing in here changes the weights but ``devices``."""

    folder: Path
    data: Path | None = None
    processes: int | None = None
    devices: Sequence[str] = ()
    #: Stop after this step as if preempted; None runs to the end.
    stop_after: int | None = None


def train(config: Config, store: RunStore, run: str, options: Options) -> Finished:
    """Train from the beginning. Raises UsageError if the run exists already."""
    prepared = _prepare(config, options)
    checkpoints.begin(store, run, config, prepared.digest)
    return _carry_out(config, store, run, options, prepared)


def resume(store: RunStore, run: str, options: Options) -> Finished:
    """Go on with a run from its newest checkpoint, to the same weights as an unbroken one.

    Raises NotFound where there is no such run, UsageError where the data are others now.
    """
    config, digest = checkpoints.read_run(store, run)
    prepared = _prepare(config, options)
    if prepared.digest != digest:
        raise UsageError(
            f"run {run} was begun with other training data (digest {digest[:12]}, now "
            f"{prepared.digest[:12]}): give it the same --data, or begin a new run"
        )
    return _carry_out(config, store, run, options, prepared)


@dataclass(frozen=True, slots=True)
class _Prepared:
    dataset: Dataset
    parts: Parts
    digest: str


def _prepare(config: Config, options: Options) -> _Prepared:
    dataset = sources.load(config, options.data)
    check_classes(dataset.samples, config.classes)
    parts = split(dataset.samples, config)
    return _Prepared(dataset, parts, Dataset(parts.train).digest())


def _carry_out(
    config: Config, store: RunStore, run: str, options: Options, prepared: _Prepared
) -> Finished:
    found = checkpoints.latest(store, run)
    start, arrays = found if found else (0, None)
    options.folder.mkdir(parents=True, exist_ok=True)
    with Reporter(options.folder, config.training.steps, start) as reporter:
        _describe_data(reporter, config, prepared)
        made, problems = material.prepare(prepared.parts.train, config)
        for problem in problems:
            reporter.say(f"not used: {problem.where}: {problem.reason}")
        chosen = devices.choose(config, options.devices)
        reporter.say(chosen.words)
        if start:
            reporter.say(f"run {run} goes on from step {start}")
        learner = Learner(config, chosen.strategy, chosen.precision, arrays)
        with Feed(config, made, options.processes) as feed:
            facts = _loop(config, learner, feed, reporter, Loop(store, run, start, options))
        if "seconds" in facts:
            reporter.say(
                f"{config.training.steps - start} steps in {facts['seconds']:.0f} s: "
                f"{facts['steps_a_second']:.2f} a second; {_about_feed(feed)}"
            )
        tests = _by_source(prepared.parts.test)
        finished = finish(
            config,
            learner.weights(),
            prepared.parts.validation,
            tests,
            made,
            {"metrics": facts, "data": _data_facts(config, prepared)},
        )
        for name, measured in finished.tests.items():
            low, high = measured.share.interval
            reporter.say(
                f"{name}: {measured.share.accuracy:.2%} of {measured.share.total} test images "
                f"read right (95 % interval {low:.2%} to {high:.2%})"
            )
    return finished


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a loop begins and where it saves."""

    store: RunStore
    run: str
    start: int
    options: Options


def _loop(
    config: Config, learner: Learner, feed: Feed, reporter: Reporter, loop: Loop
) -> dict[str, Any]:
    """Run the steps; save checkpoints; stop, saved, when told to."""
    training, step = config.training, loop.start
    saver = Checkpoints(loop.store, loop.run, config.checkpoints.keep)
    begun = time.perf_counter()
    with _told_to_stop() as told:
        meter = _Meter(reporter, feed, training.batch)
        for crops, labels in _dataset(learner, feed, loop.start, training.steps):
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
        saved = saver.close(_LAST_SAVE)
    if not saved:
        # The store is out: keep the last state where it can be found.
        checkpoints_folder = loop.options.folder / "unsaved"
        _save_aside(checkpoints_folder, loop.run, step, learner)
        reporter.say(
            f"the store does not answer: the checkpoint of step {step} lies in {checkpoints_folder}"
        )
    if step < training.steps:
        raise NotFinished(
            f"run {loop.run} stopped at step {step} of {training.steps}; "
            f"go on with: inkmill train --resume {loop.run}"
        )
    done = step - loop.start
    if not done:
        return {"steps": training.steps}
    return {
        "steps": training.steps,
        "seconds": round(seconds, 1),
        "steps_a_second": round(done / seconds, 3),
    }


def _save_aside(folder: Path, run: str, step: int, learner: Learner) -> None:
    from inkmill.trainer.folder import FolderStore

    checkpoints.write(FolderStore(folder), run, step, learner.arrays())


def _dataset(learner: Learner, feed: Feed, start: int, steps: int) -> Any:
    """Batches as tensors, fetched ahead, and shared out where there are several devices."""
    size = learner.config.input_size
    batch = learner.config.training.batch
    dataset = tf.data.Dataset.from_generator(
        lambda: feed.batches(start, steps),
        output_signature=(
            tf.TensorSpec((batch, size, size), tf.uint8),
            tf.TensorSpec((batch,), tf.int32),
        ),
    ).prefetch(2)
    if learner.strategy.num_replicas_in_sync == 1:
        return dataset
    options = tf.data.Options()
    # One generator for all: there are no files that devices could divide among them.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    split_up = dataset.with_options(options)
    return learner.strategy.experimental_distribute_dataset(split_up)


class _Meter:
    """Collects what steps return, without waiting for the device, until a tick."""

    def __init__(self, reporter: Reporter, feed: Feed, batch: int) -> None:
        self._reporter, self._feed, self._batch = reporter, feed, batch
        self._losses: list[Any] = []
        self._rights: list[Any] = []
        self._since = time.perf_counter()
        self._waited = 0.0

    def add(self, loss: Any, right: Any) -> None:
        self._losses.append(loss)
        self._rights.append(right)

    def tick(self, step: int) -> None:
        count = len(self._losses)
        loss = sum(float(each) for each in self._losses) / count
        accuracy = sum(int(each) for each in self._rights) / (count * self._batch)
        now = time.perf_counter()
        seconds = now - self._since
        self._reporter.tick(
            Tick(
                step,
                loss,
                accuracy,
                count * self._batch / seconds,
                seconds / count,
                self._feed.made_rate,
                self._feed.waited - self._waited,
            )
        )
        self._waited, self._since = self._feed.waited, now
        self._losses, self._rights = [], []


@contextmanager
def _told_to_stop() -> Any:
    """An event that SIGTERM and Ctrl-C set: the step in hand is finished, then saved."""
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


def _describe_data(reporter: Reporter, config: Config, prepared: _Prepared) -> None:
    parts = prepared.parts.named()
    reporter.say("samples: " + ", ".join(f"{len(each)} {name}" for name, each in parts.items()))
    for kind, counts in prepared.dataset.counts().items():
        if counts:
            reporter.say(f"by {kind}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    for problem in prepared.dataset.problems:
        reporter.say(f"not used: {problem.where}: {problem.reason}")
    same = duplicates(parts)
    for first, second in same[:10]:
        reporter.say(f"the same image in two parts: {first.where} and {second.where}")
    if len(same) > 10:
        reporter.say(f"and {len(same) - 10} more images are in two parts")
    amount = config.augmentation
    if amount.flip_horizontal or amount.flip_vertical:
        reporter.say("warning: flips change digits: a mirrored 2 is no 2, an upturned 6 is a 9")


def _about_feed(feed: Feed) -> str:
    if not feed.processes:
        return f"crops made at {feed.made_rate:.0f} a second in the same process"
    total = feed.made_rate * feed.processes
    return (
        f"augmentation made {total:.0f} crops a second in {feed.processes} processes, each used "
        f"{feed.config.training.echo} times; the model waited {feed.waited:.1f} s for them"
    )


def _by_source(samples: Sequence[Sample]) -> Mapping[str, Sequence[Sample]]:
    result: dict[str, list[Sample]] = {}
    for sample in samples:
        result.setdefault(sample.source, []).append(sample)
    return result


def _data_facts(config: Config, prepared: _Prepared) -> list[dict[str, Any]]:
    """Each source for the manifest: name, licence, how many samples of it, their digest."""
    facts = []
    for source in config.sources:
        name = source.name or source.kind
        members = [sample for sample in prepared.parts.train if sample.source == name]
        facts.append(
            {
                "name": name,
                "kind": source.kind,
                "licence": source.licence,
                "samples": len(members),
                "groups": len({sample.group for sample in members if sample.group}),
                "sha256": Dataset(members).digest(),
                "not_used": sum(1 for each in prepared.dataset.problems if name in each.where),
            }
        )
    return facts
