"""F: many workers whose engines take a fixed time: what queue, store and bookkeeping carry.

Real workers (Celery, Redis, S3) on this one host, each with one engine that is a stub: it
sleeps instead of computing and answers rows that were made before. So processors are needed
for the bookkeeping only, and it can be seen how it grows with the number of workers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import pipeline
from bench.frame import keep, say, watching
from bench.material import digit_items
from inkmill import names
from inkmill.records import rows
from inkmill.records.chunks import Chunk, ChunkTable
from inkmill.records.jobs import Job
from inkmill.records.rows import Counts
from inkmill.worker.link import ChunkResult, ModelPayload, Task
from inkmill.worker.pool import EnginePool
from inkmill.worker.pool.pool import Files

#: Seconds that a stub takes for a chunk, and how long each number of workers is measured.
CHUNK_SECONDS, MEASURED = 0.5, 20.0
WORKERS = (1, 4, 16, 64)
_ITEMS, _JOB = 256, "bench-f"


class Stub(EnginePool):
    """An engine that takes a fixed time for each chunk, one after another."""

    def __init__(self) -> None:
        self._one = threading.Lock()

    def wait_ready(self, timeout: float = 0.0) -> None:
        """It is."""

    def load(self, _files: ModelPayload) -> str:
        return "float32"

    def read(self, task: Task, _files: Files) -> ChunkResult:
        table = ChunkTable.decode(task.data)
        data = rows.encode_columns({**table.identity(), "status": ["ok"] * len(table)}, len(table))
        with self._one:
            time.sleep(CHUNK_SECONDS)
        counts = Counts.of({"ok": len(table)}, {})
        return ChunkResult(data, counts.rows, counts.statuses, counts.codes, {})

    def stop(self) -> None:
        """There is nothing to stop."""


def worker() -> int:
    """A worker with a stub for its engine."""
    from inkmill.worker import service
    from inkmill.worker.app import serve

    service.EnginePool = lambda *_, **__: Stub()  # type: ignore[attr-defined, assignment]
    return serve()


def main(_: float, __: int) -> None:
    """Each number of workers for some seconds, on one long job."""
    sizes = [each for each in WORKERS if each <= int(os.environ.get("BENCH_WORKERS", "64"))]
    with pipeline.servers(engines=1) as running:
        record = _job(running, int(max(sizes) * (MEASURED + 5) / CHUNK_SECONDS))
        runs = [_measure(running, record, size) for size in sizes]
        keep("F", {"chunk_seconds": CHUNK_SECONDS, "items": _ITEMS, "runs": runs})


def _job(running: pipeline.Servers, chunks: int) -> Job:
    """A sealed job of so many chunks; all hold the same small images."""
    items = tuple(digit_items(_ITEMS))

    def put(number: int) -> None:
        chunk = Chunk(_JOB, number, items)
        running.store.put(names.chunk(_JOB, number), chunk.encode())

    with ThreadPoolExecutor(4) as together:
        list(together.map(put, range(chunks)))
    record = Job(_JOB, time.time(), version=running.version).seal([_ITEMS] * chunks, "")
    running.store.put(names.job_record(_JOB), record.encode())
    return record


def _measure(running: pipeline.Servers, record: Job, count: int) -> dict[str, Any]:
    pipeline.forget(running, _JOB)
    running.queue.client.flushall()
    command = [sys.executable, "-c", "from bench.many import worker; raise SystemExit(worker())"]
    log = (running.folder / "many.log").open("ab")
    workers = [
        subprocess.Popen(
            command,
            env={**os.environ, **running.settings.environment()},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    try:
        while len(running.queue.workers()) < count:
            if any(each.poll() is not None for each in workers):
                raise SystemExit("bench: a worker ended: see many.log")
            time.sleep(0.5)
        found = _rate(running, record, {f"worker {n}": each.pid for n, each in enumerate(workers)})
    finally:
        for each in workers:
            each.kill()
        for each in workers:
            each.wait()
    say(f"{count} workers: {found}")
    return {"workers": count, **found}


def _rate(running: pipeline.Servers, record: Job, pids: dict[str, int]) -> dict[str, Any]:
    """Chunks a second, once it runs; and milliseconds of CPU that a chunk costs everyone."""
    queue = running.queue
    running.store.put(names.open_marker(_JOB), b"")
    queue.offer(_JOB, range(record.chunks))
    queue.feed(_JOB, record.options.priority)
    time.sleep(3.0)
    with watching({**pids, **running.pids}) as seen:
        before, began = queue.progress(_JOB).chunks, time.perf_counter()
        time.sleep(MEASURED)
        done, taken = queue.progress(_JOB).chunks - before, time.perf_counter() - began
    cpu = {name: value / done * 1e3 for name, value in seen.seconds.items()}
    return {
        "rate": done / taken,
        "ideal": len(pids) / CHUNK_SECONDS,
        "worker_ms": sum(value for name, value in cpu.items() if name.startswith("worker")),
        "redis_ms": cpu["redis"],
        "s3_ms": cpu["s3"],
    }
