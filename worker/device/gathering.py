"""Requests of several engines become one batch, by size and by delay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inkmill.worker.device.models import Predicts


@dataclass(slots=True, eq=False)
class Waiting:
    """Crops, uint8 (n, size, size), that wait to be read by a predictor; ``answer`` gets their
    probabilities. ``since`` is when they came (`time.monotonic`)."""

    predictor: Predicts
    crops: NDArray[np.uint8]
    answer: Future[NDArray[np.float32]] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


#: A GPU computes so many crops nearly as fast, each, as more: no need to wait for those.
_ENOUGH = 1024


class Gatherer:
    """Requests wait here until they are a batch.

    A batch has one predictor and at most ``most`` crops, unless a single request has more. The
    oldest request waits for others, for ``delay`` seconds at most, until there are enough crops or
    every engine has asked: each has one request at a time. While a batch is computed the next ones
    gather by themselves.
    """

    def __init__(self, most: int, delay: float, engines: Callable[[], int]) -> None:
        self._most = most
        self._delay = delay
        self._engines = engines
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()

    def put(self, request: Waiting) -> None:
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()

    def take(self, timeout: float) -> list[Waiting]:
        """The next batch, oldest request first; none if nobody asks for ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout):
                return []
            until = self._waiting[0].since + self._delay
            while not self._is_full() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = self._batch()
            self._waiting = [each for each in self._waiting if each not in batch]
            return batch

    def _is_full(self) -> bool:
        crops = sum(len(each.crops) for each in self._batch())
        return crops >= min(_ENOUGH, self._most) or len(self._waiting) >= self._engines()

    def _batch(self) -> list[Waiting]:
        """The oldest request, and those after it that fit into its batch."""
        batch: list[Waiting] = []
        crops = 0
        for each in self._waiting:
            if each.predictor is not self._waiting[0].predictor:
                continue
            crops += len(each.crops)
            if batch and crops > self._most:
                break
            batch.append(each)
        return batch
