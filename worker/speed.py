"""How fast this worker's engines read, by kind of work, for those who size chunks."""

from __future__ import annotations

import threading

from inkmill import names
from inkmill.records import sizing
from inkmill.records.jobs import Job
from inkmill.worker.link import ChunkResult

#: Engine's seconds of a kind of work below which nothing is reported: a few chunks.
_ENOUGH = 2.0


class EngineSpeeds:
    """Items and an engine's seconds since the last report. Called from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, float]] = {}

    def add(self, job: Job, result: ChunkResult) -> None:
        """A chunk was read. A small one does not count: it is slower for each item.

        The seconds are those of the stages, so that waiting for other chunks is none of it.
        """
        seconds = sum(result.stages.values())
        if result.rows < sizing.bounds(bool(job.form_hash)).least or seconds <= 0:
            return
        kind = names.kind_of_work(job.options.model, job.form_hash)
        with self._lock:
            items, before = self._seen.get(kind, (0, 0.0))
            self._seen[kind] = items + result.rows, before + seconds

    def take(self) -> dict[str, float]:
        """Items per second of one engine, of each kind that was read for long enough."""
        with self._lock:
            known = {kind: seen for kind, seen in self._seen.items() if seen[1] >= _ENOUGH}
            for kind in known:
                del self._seen[kind]
        return {kind: items / seconds for kind, (items, seconds) in known.items()}
