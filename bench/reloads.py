"""R: new model versions while A runs: nothing fails, no chunk mixes versions, memory is flat."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

from bench import pipeline
from bench.frame import keep, say, watching
from bench.material import digit_items
from inkmill import names
from inkmill.models import pretrained
from inkmill.models.registry import Registry
from inkmill.models.weights import ModelFiles
from inkmill.records import rows
from inkmill.records.jobs import FOLLOW, Options

#: A version is published so often (seconds); 200 of them take ten minutes.
EVERY = 3.0


def main(seconds: float, repeats: int) -> None:
    """The same job with and without reloads, for as long as all repeats of A together."""
    with pipeline.servers(model_poll_interval=1.0) as running:
        record = pipeline.upload(running, "bench-r", digit_items(60_000))
        options = dataclasses.replace(Options(), policy=FOLLOW, chunk_size=2048)
        record = dataclasses.replace(record, options=options, version="")
        running.store.put(names.job_record(record.job), record.encode())
        with pipeline.worker(running, 2) as watched:
            pipeline.run(running, record, watched)
            calm = _rounds(running, record, watched, seconds)
            with watching(watched) as seen, _Publisher(running) as publisher:
                busy = _rounds(running, record, watched, seconds * repeats)
        figures = {
            "calm": calm["rate"],
            "reloading": busy["rate"],
            "seconds": busy["seconds"],
            "reloads": publisher.count,
            "versions_seen": len(busy["versions"]),
            "mixed": busy["mixed"],
            "memory": {name: _growth(line) for name, line in seen.memory.items()},
        }
        say(str(figures))
        keep("R", figures)


class _Publisher:
    """Publishes a version every few seconds: the shipped weights under another manifest."""

    def __init__(self, running: pipeline.Servers) -> None:
        self._registry = Registry(running.store, running.settings.model)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.count = 0

    def __enter__(self) -> _Publisher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        files = pretrained.load()
        while not self._stop.wait(EVERY):
            manifest = dataclasses.replace(files.manifest, created=f"bench {time.time_ns()}")
            self._registry.publish(ModelFiles(manifest, files.weights, files.golden))
            self.count += 1


def _rounds(
    running: pipeline.Servers, record: Any, watched: dict[str, int], seconds: float
) -> dict[str, Any]:
    """Run the job again and again; its rate, and the versions that its chunks were read with."""
    began, items, busy = time.perf_counter(), 0, 0.0
    versions: set[str] = set()
    mixed = 0
    while time.perf_counter() - began < seconds:
        run = pipeline.run(running, record, watched)
        items, busy = items + run["items"], busy + run["seconds"]
        for entry in running.store.list(names.results(record.job)):
            found = {row.model for row in rows.decode(running.store.get(entry.key).data)}
            mixed += len(found) > 1
            versions |= found
    return {"rate": items / busy, "seconds": busy, "versions": versions, "mixed": mixed}


def _growth(line: list[tuple[float, int]]) -> float:
    end = line[-1][0]
    first = max(size for moment, size in line if moment <= end / 10)
    return max(size for _, size in line) / first - 1
