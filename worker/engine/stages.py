"""What an engine does with a chunk, stage by stage, and how long each takes.

Measured always, since it costs a fraction of a microsecond for each item. When each stage began and
ended is kept only for a chunk whose job is traced.
"""

from __future__ import annotations

import time

from inkmill.worker.link import NO_ITEM, StageTime

#: Stages of pages that are kept for one chunk: a bound for its trace.
_MOST_KEPT = 400


class Stages:
    """A stopwatch for one chunk. ``times`` are the stages of a chunk that is traced."""

    def __init__(self, *, traced: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._traced = traced
        # From this process's steady clock to nanoseconds since the epoch.
        self._epoch = time.time_ns() - time.perf_counter_ns()
        self._pages: list[StageTime] = []
        self._whole: dict[str, StageTime] = {}

    def add(self, stage: str, began: float, item: int = NO_ITEM, share: float = 1.0) -> float:
        """A stage that began then (`time.perf_counter`) ends now; returns the time.

        ``item`` is the number of the page that it was about. ``share`` is the part of the time that
        is this chunk's, where several chunks had it together.
        """
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + share * (now - began)
        if self._traced:
            self._keep(StageTime(stage, item, self._wall(began), self._wall(now)))
        return now

    def _keep(self, this: StageTime) -> None:
        if this.item != NO_ITEM:
            if len(self._pages) < _MOST_KEPT:
                self._pages.append(this)
            return
        # Of digit images there are thousands: from the first one to the last.
        first = self._whole.get(this.stage, this)
        self._whole[this.stage] = StageTime(this.stage, NO_ITEM, first.began, this.ended)

    def _wall(self, moment: float) -> int:
        return self._epoch + round(moment * 1e9)

    @property
    def times(self) -> list[StageTime]:
        return [*self._pages, *self._whole.values()]
