"""Collects figures of a training's steps between two reports."""

from __future__ import annotations

import time
from typing import Any

from inkmill.trainer.feed import Feed
from inkmill.trainer.reporter import Reporter, Tick


class Meter:
    """Collects the results of steps, without waiting for the device, until a tick."""

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
