"""D and E: a job of a million images through `inkmill submit`, small jobs behind it, a kill.

The job is read by one worker with two engines while the producer still uploads. Every second a
job of one image arrives behind it. At 99 % the worker is killed with kill -9, `inkmill resume`
takes over, and the finished job is exported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import pipeline
from bench.frame import keep, percentile, say, watching
from bench.material import digit_files
from inkmill import names
from inkmill.errors import NotFound
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.identity import resolve
from inkmill.lifecycle.lookup import load_job
from inkmill.local.workers import LocalWorkers
from inkmill.producer import Connection, submit

JOB = "bench-d"
#: A small job arrives so often (seconds).
_EVERY = 1.0


def main(_: float, __: int, rounds: int = 17) -> None:
    """``rounds`` times MNIST's 60,000 images: 17 make a million."""
    # What a killed worker held is delivered again after this time, which the resume waits for.
    servers = pipeline.servers(visibility_timeout=60.0)
    with servers as running, tempfile.TemporaryDirectory(prefix="bench-d-") as folder:
        images = _folder(Path(folder), rounds)
        total = rounds * len(digit_files())
        settings = running.settings.model_copy(update={"engines": 2})
        started = time.perf_counter()
        with LocalWorkers(settings, 1, running.folder / "worker.log") as workers:
            workers.wait_ready(180)
            figures = _first_part(running, workers, images, total)
        figures |= _resumed(running, total)
        figures["seconds"] = time.perf_counter() - started
        figures |= _objects(running)
        figures["exports"] = {kind: _export(running, kind) for kind in ("csv", "parquet")}
        keep("D", figures)


def _folder(folder: Path, rounds: int) -> Path:
    """As many links to one folder of files as there are rounds: each file has many sources."""
    files = folder / "files"
    files.mkdir()
    for number, data in enumerate(digit_files()):
        (files / f"{number:05d}.png").write_bytes(data)
    images = folder / "images"
    images.mkdir()
    for number in range(rounds):
        (images / f"{number:02d}").symlink_to(files)
    return images


def _rows_so_far(running: pipeline.Servers) -> int:
    """Rows that Redis counted; 0 before the submit has its name."""
    try:
        return running.queue.progress(resolve(running.store, JOB)).rows
    except NotFound:
        return 0


def _first_part(
    running: pipeline.Servers, workers: LocalWorkers, images: Path, total: int
) -> dict[str, Any]:
    """Submit, read up to 99 %, and kill the worker: memory and small jobs on the way."""
    worker = workers.processes[0]
    watched = {**pipeline.pids(worker.pid), **running.pids}
    redis_bytes: list[int] = []
    with _small_jobs(running, images) as small, watching(watched) as seen:
        begun = time.perf_counter()
        producer = _submit(running, images)
        done = 0
        while done < 0.99 * total:
            last, done = done, _rows_so_far(running)
            if done < last:
                raise SystemExit("bench: the job ended before it was killed: take more rounds")
            redis_bytes.append(int(running.queue.client.info("memory")["used_memory"]))
            producer.look()
            workers.check()
            time.sleep(0.05)
        taken = time.perf_counter() - begun
        for pid in pipeline.pids(worker.pid).values():
            os.kill(pid, signal.SIGKILL)
        worker.wait()
    say(f"killed at {done} rows after {taken:.0f} s; the producer took {producer.seconds:.0f} s")
    return {
        "items": total,
        "rate": done / taken,
        "producer": {"seconds": producer.seconds, "memory": producer.memory},
        "redis_memory": max(redis_bytes),
        "memory": {name: _growth(line) for name, line in seen.memory.items()},
        "cpu": {name: round(value, 1) for name, value in seen.seconds.items()},
        "small": {
            "jobs": len(small),
            "p50": percentile(small, 0.5),
            "p95": percentile(small, 0.95),
            "longest": max(small),
        },
    }


def _growth(line: list[tuple[float, int]]) -> dict[str, float]:
    """Most memory, and growth from the end of the first tenth to the end."""
    end = line[-1][0]
    first = max(size for moment, size in line if moment <= end / 10)
    most = max(size for _, size in line)
    return {"most": most, "growth": most / first - 1}


@dataclass
class _Producer:
    """`inkmill submit` as a program, watched."""

    process: subprocess.Popen[bytes]
    begun: float = field(default_factory=time.perf_counter)
    memory: int = 0
    seconds: float = 0.0

    def look(self) -> None:
        if self.seconds:
            return
        if (code := self.process.poll()) is not None:
            self.seconds = time.perf_counter() - self.begun
            if code:
                raise SystemExit(f"bench: inkmill submit ended with {code}")
            return
        self.memory = max(self.memory, psutil.Process(self.process.pid).memory_info().rss)


def _submit(running: pipeline.Servers, images: Path) -> _Producer:
    # The folders are links, which lead out of the one that is submitted.
    return _Producer(_inkmill(running, "submit", str(images), "--follow-symlinks", "--name", JOB))


def _inkmill(running: pipeline.Servers, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "inkmill.cli.main", *arguments],
        env={**os.environ, **running.settings.environment()},
        stdout=subprocess.DEVNULL,
        stderr=(running.folder / "inkmill.log").open("ab"),
    )


@contextmanager
def _small_jobs(running: pipeline.Servers, images: Path) -> Iterator[list[float]]:
    """Jobs of one image, one each second; gives the time until each one's result lay there."""
    waits: list[float] = []
    stop = threading.Event()
    connection = Connection(running.settings, running.store, running.queue)
    image = images / "00" / "00000.png"

    def one() -> None:
        begun = time.perf_counter()
        key = names.result(submit(image, connection=connection), 0)
        while running.store.head(key) is None and not stop.is_set():
            time.sleep(0.02)
        if not stop.is_set():
            waits.append(time.perf_counter() - begun)

    def work() -> None:
        stop.wait(5.0)  # the large job is under way
        while not stop.wait(_EVERY):
            threading.Thread(target=one, daemon=True).start()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


def _resumed(running: pipeline.Servers, total: int) -> dict[str, Any]:
    """Another worker and `inkmill resume`: what is read again, and whether all rows are there."""
    record = load_job(running.store, JOB)
    missing = reconcile.standing(running.store, record).left
    with pipeline.worker(running, 2):
        begun = time.perf_counter()
        code = _inkmill(running, "resume", JOB).wait()
        summary = pipeline.wait(running, record)
    if code or summary.rows != total or summary.statuses.get("error"):
        raise SystemExit(f"bench: resume ended with {code}, {summary}")
    taken = time.perf_counter() - begun
    say(f"resumed: {missing} of {record.chunks} chunks were read again, {taken:.1f} s")
    return {"chunks": record.chunks, "read_again": missing / record.chunks, "resume": taken}


def _objects(running: pipeline.Servers) -> dict[str, Any]:
    """All that lies below the job; besides its record and its summary, by chunk."""
    record = load_job(running.store, JOB)
    count = sum(1 for _ in running.store.list(names.job_root(record.job)))
    return {"objects": count, "objects_per_chunk": (count - 2) / record.chunks}


def _export(running: pipeline.Servers, kind: str) -> dict[str, float]:
    """`inkmill results`: seconds, and the most memory it held."""
    path = running.folder / f"rows.{kind}"
    begun, memory = time.perf_counter(), 0
    process = _inkmill(running, "results", JOB, "-o", str(path))
    while process.poll() is None:
        memory = max(memory, psutil.Process(process.pid).memory_info().rss)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"bench: the export ended with {process.returncode}")
    seconds = time.perf_counter() - begun
    say(f"{kind}: {seconds:.0f} s, {memory >> 20} MiB, {path.stat().st_size >> 20} MiB written")
    return {"seconds": seconds, "memory": memory, "bytes": path.stat().st_size}
