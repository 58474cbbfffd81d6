"""C: jobs of one image from twenty producers: how many a second, and how soon each is read."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from bench import mill
from bench.frame import keep, percentile, say, watching
from inkmill.store import Store

#: Twenty producers, as they stand behind a web form: in a few processes.
PROCESSES, THREADS = 4, 5
#: A producer asks so often whether its result is there (seconds).
_LOOK = 0.02

#: Sends one image and returns the key of its result.
Send = Callable[[Path], str]


def main(seconds: float, _: int) -> None:
    """Saturation, then the waiting time at half of it; the same for one-image Celery tasks."""
    seconds = min(seconds, 20.0)
    with mill.servers() as running, tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "digit.png"
        from bench.material import digit_files

        image.write_bytes(digit_files(1)[0])
        figures: dict[str, Any] = {"seconds": seconds}
        # For this process and those it starts: the Celery task has no other way to learn them.
        os.environ.update(running.settings.environment())
        from bench.peers import celery_one

        with mill.worker(running, 1) as watched:
            figures["inkmill"] = _both(running, "inkmill", image, seconds, watched)
        worker = celery_one.start_worker()
        try:
            figures["celery"] = _both(running, "celery", image, seconds, {"worker": worker.pid})
        finally:
            celery_one.stop_worker(worker)
        keep("C", figures)


def _both(
    running: mill.Servers, kind: str, image: Path, seconds: float, watched: dict[str, int]
) -> dict[str, Any]:
    _produce(kind, image, 3.0, 0.0)
    with watching({**watched, **running.pids}) as seen:
        waits = _produce(kind, image, seconds, 0.0)
    rate = len(waits) / seconds
    cpu = {name: value / len(waits) * 1e3 for name, value in seen.seconds.items()}
    say(f"{kind}: {rate:.1f} jobs a second, ms of CPU a job: {cpu}")
    half = _produce(kind, image, seconds, PROCESSES * THREADS / (rate / 2))
    found = {
        "saturation": rate,
        "p50_saturated": percentile(waits, 0.5),
        "half_rate": len(half) / seconds,
        "p50": percentile(half, 0.5),
        "p95": percentile(half, 0.95),
        "p99": percentile(half, 0.99),
        "cpu_ms_per_job": cpu,
    }
    say(f"{kind}: {found}")
    return found


def _produce(kind: str, image: Path, seconds: float, interval: float) -> list[float]:
    """Waiting times of all producers; each begins one job an ``interval``, or at once (0)."""
    context = multiprocessing.get_context("spawn")
    pipes, running = [], []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        arguments = (kind, image, seconds, interval, number, theirs)
        running.append(context.Process(target=_producers, args=arguments))
        running[-1].start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    waits = [wait for pipe in pipes for wait in pipe.recv()]
    for process in running:
        process.join()
    return waits


def _producers(
    kind: str,
    image: Path,
    seconds: float,
    interval: float,
    number: int,
    pipe: Pipe,
) -> None:
    store, send = _inkmill() if kind == "inkmill" else _celery(number)
    pipe.send("ready")
    pipe.recv()
    waits: list[float] = []
    until = time.perf_counter() + seconds

    def work(place: int) -> None:
        # Spread over the interval, so that the producers do not march in step.
        due = time.perf_counter() + interval * (number * THREADS + place) / (PROCESSES * THREADS)
        while due < until and (now := time.perf_counter()) < until:
            if now < due:
                time.sleep(due - now)
            begun = time.perf_counter()
            key = send(image)
            while store.head(key) is None:
                time.sleep(_LOOK)
            waits.append(time.perf_counter() - begun)
            due = due + interval if interval else time.perf_counter()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(waits)


def _inkmill() -> tuple[Store, Send]:
    from inkmill import names
    from inkmill.producer import connect, submit

    connection = connect()
    return connection.store, lambda image: names.result(submit(image, connection=connection), 0)


def _celery(number: int) -> tuple[Store, Send]:
    import itertools

    from bench.peers import celery_one

    store = celery_one.store()
    numbers = itertools.count()

    def send(image: Path) -> str:
        name = f"{number}-{time.time_ns()}-{next(numbers)}"
        store.put(celery_one.INPUT.format(name), image.read_bytes())
        celery_one.read.delay(name)
        return celery_one.RESULT.format(name)

    return store, send
