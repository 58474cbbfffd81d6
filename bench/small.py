"""C: jobs of one image from twenty producers: how many a second, and how soon each is read.

A producer has its result when it has fetched the row: Inkmill's by `wait` and `results`; the
Celery task's by looking in S3 for its object, since Redis may forget what it is told. As a third
side, Inkmill's result is looked for in the same way.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import psutil

from bench import pipeline
from bench.frame import keep, percentile, say, watching
from inkmill.backends.store import Store

#: Twenty producers, as they stand behind a web form: in a few processes.
PROCESSES, THREADS = 4, 5
#: A producer that looks for its object does so this often (seconds).
_LOOK = 0.02
#: The sides, in turn. All workers run the whole time; those whose turn it is not do nothing.
_SIDES = ("Inkmill", "Inkmill, looked for in S3", "Celery, one image a task")

#: Sends one image and returns when its result was fetched.
Ask = Callable[[Path], None]


def main(seconds: float, repeats: int) -> None:
    """Saturation, then the waiting time at half of it, for each side; then all again."""
    seconds = min(seconds, 20.0)
    with pipeline.servers() as running, tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "digit.png"
        from bench.material import digit_files

        image.write_bytes(digit_files(1)[0])
        # For this process and those it starts: the Celery task has no other way to learn them.
        os.environ.update(running.settings.environment())
        from bench.peers import celery_one

        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in _SIDES}
        with pipeline.worker(running, 1) as watched:
            task = celery_one.start_worker()
            try:
                for number in range(repeats):
                    for side in _SIDES:
                        say(f"{side}, {number + 1} of {repeats}")
                        workers = _family(task.pid) if side.startswith("Celery") else watched
                        runs[side].append(
                            _measure(side, image, seconds, {**workers, **running.pids})
                        )
                        done = {name: each for name, each in runs.items() if each}
                        keep("C", {"seconds": seconds, "runs": done})
            finally:
                celery_one.stop_worker(task)


def _family(pid: int) -> dict[str, int]:
    """A worker's process and its children."""
    children = enumerate(psutil.Process(pid).children(), 1)
    return {"worker": pid, **{f"child {number}": child.pid for number, child in children}}


def _measure(side: str, image: Path, seconds: float, watched: Mapping[str, int]) -> dict[str, Any]:
    load = os.getloadavg()[0]
    _produce(side, image, 3.0, 0.0)
    with watching(watched) as seen:
        waits, used = _produce(side, image, seconds, 0.0)
    rate = len(waits) / seconds
    cpu = {"producers": used, **seen.seconds}
    half, _ = _produce(side, image, seconds, PROCESSES * THREADS / (rate / 2))
    found = {
        "saturation": rate,
        "p50_saturated": percentile(waits, 0.5),
        "half_rate": len(half) / seconds,
        "p50": percentile(half, 0.5),
        "p95": percentile(half, 0.95),
        "p99": percentile(half, 0.99),
        "cpu_ms_per_job": {name: value / len(waits) * 1e3 for name, value in cpu.items()},
        "load_before": round(load, 2),
    }
    say(f"  {found}")
    return found


def _produce(side: str, image: Path, seconds: float, interval: float) -> tuple[list[float], float]:
    """Waiting times of all producers, and the processor time that they used.

    Each begins one job an ``interval``, or the next as soon as it has a result (0).
    """
    context = multiprocessing.get_context("spawn")
    pipes, running = [], []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        arguments = (side, image, seconds, interval, number, theirs)
        running.append(context.Process(target=_producers, args=arguments))
        running[-1].start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    told = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join()
    return [wait for waits, _ in told for wait in waits], sum(used for _, used in told)


def _producers(
    side: str,
    image: Path,
    seconds: float,
    interval: float,
    number: int,
    pipe: Pipe,
) -> None:
    ask = _celery(number) if side.startswith("Celery") else _inkmill(side != _SIDES[0])
    # Behind a web form stands a process that lives: what its first job imports, Celery for one,
    # is not what a job costs.
    ask(image)
    pipe.send("ready")
    pipe.recv()
    waits: list[float] = []
    used, until = time.process_time(), time.perf_counter() + seconds

    def work(place: int) -> None:
        # Spread over the interval, so that the producers do not march in step.
        due = time.perf_counter() + interval * (number * THREADS + place) / (PROCESSES * THREADS)
        while due < until and (now := time.perf_counter()) < until:
            if now < due:
                time.sleep(due - now)
            begun = time.perf_counter()
            ask(image)
            waits.append(time.perf_counter() - begun)
            due = due + interval if interval else time.perf_counter()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send((waits, time.process_time() - used))


def _inkmill(looking: bool) -> Ask:
    from inkmill import names
    from inkmill.producer import connect, results, submit, wait

    connection = connect()

    def ask(image: Path) -> None:
        job = submit(image, connection=connection)
        if looking:
            _look_for(connection.store, names.result(job, 0))
            return
        wait(job, connection=connection)
        (row,) = results(job, connection=connection)
        assert row.digit, row

    return ask


def _celery(number: int) -> Ask:
    import itertools

    from bench.peers import celery_one

    store = celery_one.store()
    numbers = itertools.count()

    def ask(image: Path) -> None:
        name = f"{number}-{time.time_ns()}-{next(numbers)}"
        store.put(celery_one.INPUT.format(name), image.read_bytes())
        celery_one.read.delay(name)
        _look_for(store, celery_one.RESULT.format(name))

    return ask


def _look_for(store: Store, key: str) -> None:
    """Look for an object until it is there, and fetch it."""
    while store.head(key) is None:
        time.sleep(_LOOK)
    store.get(key)
