"""What a worker tells of one chunk in its job's trace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from inkmill.errors import InkmillError
from inkmill.records.messages import Message
from inkmill.traces import Attributes, Traces
from inkmill.worker.chunk.context import Context
from inkmill.worker.link import NO_ITEM, ChunkResult, StageTime


class ChunkTrace:
    """Collects the stages of a chunk; without traces, or for a job that is not traced, nothing."""

    def __init__(self, context: Context, message: Message) -> None:
        traces = context.traces
        self._traces: Traces | None = None
        if traces is not None and traces.traces(message.job):
            self._traces = traces
        self._message = message
        self._stages: list[StageTime] = []
        self._began = 0
        if self.is_on:
            self._began = time.time_ns()
            self._wait(context)

    @property
    def is_on(self) -> bool:
        return self._traces is not None

    def _wait(self, context: Context) -> None:
        """How long the chunk waited for a worker, by Redis's clock."""
        with suppress(InkmillError):  # the rest of the trace is worth having all the same
            waited = context.queue.plain.in_flight(self._message.job).get(self._message.chunk)
            if waited is not None:
                sent = self._began - round(waited * 1e9)
                self._stages.append(StageTime("wait", NO_ITEM, sent, self._began))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage that is this process's own."""
        began = time.time_ns() if self.is_on else 0
        yield
        if self.is_on:
            self._stages.append(StageTime(name, NO_ITEM, began, time.time_ns()))

    def finish(self, result: ChunkResult, attempt: int, version: str) -> None:
        """The chunk is done: send its spans."""
        if self._traces is None:
            return
        job, ended = self._message.job, time.time_ns()
        stages = sorted([*self._stages, *result.times], key=lambda each: each.began)
        began = min(self._began, *(each.began for each in stages))
        about: Attributes = {"inkmill.job": job, "inkmill.chunk": self._message.chunk}
        chunk = self._traces.span(
            job,
            "chunk",
            began,
            ended,
            {
                **about,
                "inkmill.attempt": attempt,
                "inkmill.model": version,
                "inkmill.rows": result.rows,
            },
        )
        for each in stages:
            attributes: Attributes = (
                about if each.item == NO_ITEM else {**about, "inkmill.item": each.item}
            )
            self._traces.span(job, each.stage, each.began, each.ended, attributes, chunk)
