"""Collects figures of a training's steps between two reports."""

from __future__ import annotations

import math
import time
from typing import Any

from inkmill.errors import UsageError
from inkmill.trainer.feed import Feed
from inkmill.trainer.progress.reporter import Reporter, Tick


class Meter:
    """Collects the losses of steps, without waiting for the device, until a tick."""

    def __init__(self, reporter: Reporter, feed: Feed, batch: int) -> None:
        self._reporter, self._feed, self._batch = reporter, feed, batch
        self._losses: list[Any] = []
        self._since = time.perf_counter()
        self._waited = 0.0

    def add(self, loss: Any) -> None:
        self._losses.append(loss)

    def check(self, run: str, step: int) -> None:
        """Raise UsageError if a loss since the last tick is no number any more."""
        # CTC says infinity for a strip that is too narrow for its text, and learns nothing of it.
        if any(math.isnan(float(loss)) for loss in self._losses):
            raise UsageError(
                f"run {run} diverged: the loss is no number since a step before {step}: start a "
                "new run with a lower training.learning_rate or a longer warmup"
            )

    def tick(self, step: int, loss: Any, right: Any, rate: float) -> None:
        """Report the losses since the last tick, and how a batch was read.

        ``loss`` and ``right`` are those of the batch at this step, without dropout; ``rate`` is the
        learning rate.
        """
        count = len(self._losses)
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        self._reporter.tick(
            Tick(
                step=step,
                loss=sum(map(float, self._losses)) / count if count else float(loss),
                accuracy=int(right) / self._batch,
                learning_rate=rate,
                images_rate=count * self._batch / seconds,
                step_time=seconds / count if count else 0.0,
                augment_rate=self._feed.made_rate,
                waited=self._feed.waited - self._waited,
            )
        )
        self._waited, self._since = self._feed.waited, now
        self._losses = []
