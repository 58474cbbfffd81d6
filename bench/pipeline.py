"""Inkmill on real servers: a local stack, one worker, jobs that are run again and again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.frame import say, watching
from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, delete_prefix, open_store
from inkmill.lifecycle.summary import load_summary
from inkmill.local.servers import Stack
from inkmill.local.workers import LocalWorkers
from inkmill.models import pretrained
from inkmill.models.registry import Registry
from inkmill.producer.inputs.pack import chunk_size, chunks
from inkmill.records.chunks import Chunk, combine
from inkmill.records.jobs import Job, Options
from inkmill.records.summary import Summary
from inkmill.settings import Settings
from inkmill.template.form import Form

#: A job that makes no progress for so long (seconds), beyond the visibility timeout, has failed.
_STUCK = 60.0


@dataclass
class Servers:
    """A running stack with the shipped model published."""

    stack: Stack
    settings: Settings
    store: S3Store
    queue: Queue
    version: str
    folder: Path

    @property
    def pids(self) -> dict[str, int]:
        return {"redis": self.stack.pid("redis"), "s3": self.stack.pid("s3")}


@contextmanager
def servers(**settings: Any) -> Iterator[Servers]:
    """Redis and SeaweedFS in a temporary folder; settings as given."""
    with tempfile.TemporaryDirectory(prefix="inkmill-bench-") as folder:
        base = Settings(log_format="json", **settings)
        with Stack(Path(folder), base) as stack:
            store = open_store(stack.settings)
            version = Registry(store, stack.settings.model).publish(pretrained.load())
            queue = Queue(stack.settings)
            yield Servers(stack, stack.settings, store, queue, version, Path(folder))


@contextmanager
def worker(running: Servers, engines: int) -> Iterator[dict[str, int]]:
    """One worker with so many engines, ready; gives its processes' ids by name."""
    settings = running.settings.model_copy(update={"engines": engines})
    running.queue.client.delete(names.WORKERS)
    with LocalWorkers(settings, 1, running.folder / "worker.log") as workers:
        workers.wait_ready(180)
        yield pids(workers.processes[0].pid)


def pids(parent: int) -> dict[str, int]:
    """The worker's process and its engines."""
    engines = [
        child
        for child in psutil.Process(parent).children(recursive=True)
        if "inkmill.worker.engine.main" in " ".join(child.cmdline())
    ]
    return {"worker": parent, **{f"engine {n}": each.pid for n, each in enumerate(engines, 1)}}


def upload(
    running: Servers, job: str, items: Iterator[Any], form: Form | None = None, speed: float = 0.0
) -> Job:
    """A sealed job whose chunks lie in the store, not yet sent; sized for engines that read
    ``speed`` items per second (0 for unknown)."""
    store = running.store
    record = Job(
        job,
        time.time(),
        Options(chunk_size=chunk_size(None, "auto", form is not None, speed)),
        version=running.version,
        form=form.to_text() if form else "",
        form_name=form.name if form else "",
        form_hash=form.hash if form else "",
    )
    started = time.perf_counter()

    def put(chunk: Chunk) -> tuple[int, str]:
        about = {"digest": chunk.digest, "items": str(len(chunk.items))}
        store.put(names.chunk(job, chunk.number), chunk.encode(), metadata=about)
        return len(chunk.items), chunk.digest

    with ThreadPoolExecutor(4) as together:
        done = list(together.map(put, chunks(job, items, record.options.chunk_size)))
    record = record.seal([size for size, _ in done], combine([each for _, each in done]))
    store.put(names.job_record(job), record.encode())
    say(f"{record.items} items in {record.chunks} chunks, {time.perf_counter() - started:.0f} s")
    return record


def run(running: Servers, record: Job, watched: dict[str, int]) -> dict[str, Any]:
    """Send a stored job and wait for its last row; its rate and what each process used."""
    job, store, queue = record.job, running.store, running.queue
    forget(running, job)
    store.put(names.open_marker(job), b"")
    with watching({**watched, **running.pids}) as seen:
        started = time.perf_counter()
        queue.offer(job, range(record.chunks))
        queue.feed(job, record.options.priority)
        summary = wait(running, record)
        taken = time.perf_counter() - started
    assert summary.rows == record.items, f"{record.items} items, {summary.rows} rows"
    assert not summary.statuses.get("error"), summary.codes
    return {
        "rate": record.items / taken,
        "items": record.items,
        "seconds": taken,
        "cpu": {name: round(value, 2) for name, value in seen.seconds.items()},
        "memory": {name: max(size for _, size in line) for name, line in seen.memory.items()},
    }


def side(
    running: Servers, record: Job, engines: int, first: Job | None = None
) -> Callable[[], dict[str, Any]]:
    """A side of a part: a worker with so many engines reads a stored job.

    It reads the ``first`` job before, if there is one: the bare loops, too, begin once all is
    loaded.
    """

    def once() -> dict[str, Any]:
        with worker(running, engines) as watched:
            if first is not None:
                run(running, first, watched)
            return run(running, record, watched)

    return once


def wait(running: Servers, record: Job) -> Summary:
    """The job's summary, once it is there."""
    last, since = -1, time.monotonic()
    while True:
        # Redis is asked, which costs nothing; the store only when all rows are counted.
        done = running.queue.progress(record.job).rows
        if done >= record.items or (done == 0 and last > 0) or time.monotonic() - since > 5:
            summary = load_summary(running.store, record)
            if summary is not None:
                return summary
        if done != last:
            last, since = done, time.monotonic()
        if time.monotonic() - since > running.settings.visibility_timeout + _STUCK:
            raise SystemExit(f"bench: job {record.job} stands still at {last} rows")
        time.sleep(0.05)


def forget(running: Servers, job: str) -> None:
    """Take a job's results away, so that it can run again."""
    delete_prefix(running.store, names.results(job))
    running.store.delete([names.job_summary(job)])
    running.queue.forget(job)
