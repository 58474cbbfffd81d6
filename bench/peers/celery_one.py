"""Celery as most write it: one image a task; image and result in S3, the model in the worker.

The same durability as Inkmill's: acknowledged late, the result written before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from celery import Celery

from inkmill.backends.store import S3Store, open_store
from inkmill.settings import Settings

if TYPE_CHECKING:
    from bench.peers.model import DigitModel

settings = Settings.load()
app = Celery("one", broker=settings.redis_url.removesuffix("/0") + "/1")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)
#: Input and result of one image.
INPUT, RESULT = "one/in/{}", "one/out/{}"


@cache
def store() -> S3Store:
    return open_store(settings)


@cache
def model() -> DigitModel:
    from bench.peers.model import DigitModel

    return DigitModel()


@app.task(name="one.read")  # type: ignore[untyped-decorator]
def read(number: str) -> None:
    data = store().get(INPUT.format(number)).data
    (digit,) = model().read([data])
    store().put(RESULT.format(number), json.dumps({"digit": digit}).encode())


def start_worker() -> subprocess.Popen[bytes]:
    """A worker with a process for each of two cores."""
    command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_one", "worker"]
    return subprocess.Popen(
        [*command, "--pool", "prefork", "--concurrency", "2", "--loglevel", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def stop_worker(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def measure(seconds: float) -> dict[str, Any]:
    """Images a second from the first message to the last result; inputs lie in S3 before."""
    from bench.material import digit_files

    files = digit_files(2000)
    with ThreadPoolExecutor(8) as together:
        list(together.map(lambda n: store().put(INPUT.format(n), files[n]), range(len(files))))
    worker = start_worker()
    try:
        _round([f"{n}" for n in range(40)])  # both processes load the model
        rate = len(files) / 20 / _round([f"{n}" for n in range(100)])
        count = max(100, min(len(files), int(rate * seconds)))
        taken = _round([f"{n}" for n in range(count)])
    finally:
        stop_worker(worker)
    return {"rate": count / taken, "items": count, "seconds": taken}


def _round(numbers: list[str]) -> float:
    store().delete([RESULT.format(each) for each in numbers])
    started = time.perf_counter()
    for number in numbers:
        read.delay(number)
    while len(list(store().list(RESULT.format("")))) < len(numbers):
        time.sleep(0.2)
        if time.perf_counter() - started > 180:
            raise SystemExit("the worker gives no results")
    taken = time.perf_counter() - started
    store().delete([entry.key for entry in store().list(RESULT.format(""))])
    return taken


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(json.dumps(measure(float(sys.argv[1]))))
