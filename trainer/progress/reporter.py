"""Reports of a running training: a progress bar or lines, a log of JSON lines, TensorBoard."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inkmill.trainer.measure import live
from inkmill.trainer.progress.readings import Validated, Weights

#: Steps between two reports: the tutorial prints its training accuracy every 100 steps.
EVERY = 100


@dataclass(frozen=True, slots=True)
class Tick:
    """Figures of the last steps. Rates are per second, of the model or of one process.

    ``accuracy`` is that of the batch at this step, before the step and without dropout.
    """

    step: int
    loss: float
    accuracy: float
    learning_rate: float
    images_rate: float
    step_time: float
    augment_rate: float
    waited: float


class Reporter:
    """Writes ticks to the terminal (standard error), log.jsonl and TensorBoard."""

    def __init__(self, folder: Path, steps: int, start: int) -> None:
        self._steps, self._start = steps, start
        self._console = Console(stderr=True)
        self._folder = folder
        self._stack = ExitStack()
        self._log: TextIO | None = None
        self._bar: Progress | None = None
        self._begun = time.time()
        self._said = ""

    def __enter__(self) -> Reporter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = self._stack.enter_context(
            (self._folder / "log.jsonl").open("a", encoding="utf-8")
        )
        self._board = tf.summary.create_file_writer(str(self._folder / "tensorboard"))
        self._stack.callback(self._board.close)
        if self._console.is_terminal:
            self._bar = self._stack.enter_context(self._progress())
            self._task = self._bar.add_task("training", total=self._steps, completed=self._start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )

    def say(self, words: str) -> None:
        """Print a line for people; it is logged too."""
        self._console.print(words, highlight=False, markup=False, soft_wrap=True)
        self._write({"says": words})

    def tick(self, tick: Tick) -> None:
        """Report figures of the last steps."""
        live.show(
            step=tick.step,
            steps=self._steps,
            loss=tick.loss,
            accuracy=tick.accuracy,
            images_per_second=tick.images_rate,
            augmented_per_second=tick.augment_rate,
            waited=tick.waited,
        )
        self._write(
            {
                "step": tick.step,
                "loss": round(tick.loss, 6),
                "accuracy": round(tick.accuracy, 6),
                "learning_rate": tick.learning_rate,
                "images_a_second": round(tick.images_rate, 1),
                "seconds_a_step": round(tick.step_time, 6),
                "augmented_a_second": round(tick.augment_rate, 1),
                "seconds_waited": round(tick.waited, 3),
            }
        )
        with self._board.as_default(step=tick.step):
            tf.summary.scalar("loss", tick.loss)
            tf.summary.scalar("accuracy", tick.accuracy)
            tf.summary.scalar("learning rate", tick.learning_rate)
            tf.summary.scalar("images a second", tick.images_rate)
        rate = f"{tick.images_rate:.0f} images/s"
        words = f"loss {tick.loss:.4f}  training accuracy {tick.accuracy:.2%}  {self._said}{rate}"
        if self._bar is not None:
            self._bar.update(self._task, completed=tick.step, description=words)
        else:
            left = (self._steps - tick.step) * tick.step_time
            line = f"step {tick.step} of {self._steps}  {words}  {left / 60:.1f} min left"
            self._console.print(line, highlight=False, soft_wrap=True)

    def validated(self, step: int, found: Validated, weights: Weights) -> None:
        """Report figures of the validation part; TensorBoard gets histograms and mistakes too."""
        self._write(
            {
                "step": step,
                "validation_loss": round(found.loss, 6),
                "validation_accuracy": round(found.accuracy, 6),
                f"by_{found.by}": {name: round(each, 4) for name, each in found.shares.items()},
            }
        )
        with self._board.as_default(step=step):
            tf.summary.scalar("validation/loss", found.loss)
            tf.summary.scalar("validation/accuracy", found.accuracy)
            for name, share in found.shares.items():
                tf.summary.scalar(f"validation by {found.by}/{name}", share)
            for name, value in weights.items():
                tf.summary.histogram(name, value)
            if len(found.misread):
                tf.summary.image(
                    "misread", found.misread[..., None], max_outputs=len(found.misread)
                )
        said = f"validation loss {found.loss:.4f} accuracy {found.accuracy:.2%}"
        if self._bar is not None:
            self._said = f"{said}  "  # the bar shows it until the next one
        else:
            line = f"step {step} of {self._steps}  {said}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def draw(self) -> None:
        """Draw the learning curves of all steps so far into learning-curves.png."""
        from inkmill.trainer.measure.plots import learning_curves

        learning_curves(self._folder / "log.jsonl", self._folder / "learning-curves.png")

    def _write(self, record: dict[str, Any]) -> None:
        assert self._log is not None
        record = {"seconds": round(time.time() - self._begun, 2), **record}
        self._log.write(json.dumps(record) + "\n")
        self._log.flush()
