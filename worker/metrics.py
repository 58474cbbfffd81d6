"""What a worker's main process counts for Prometheus, and how it says that it is well.

The counters live as long as the process, in a registry of their own. Counting costs microseconds a
chunk and needs no server, so it is always on; `serve` offers the figures where a setting says so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inkmill.errors import InkmillError

if TYPE_CHECKING:
    from inkmill.records.jobs import Job
    from inkmill.worker.link import ChunkResult

REGISTRY = CollectorRegistry()

#: A worker whose housekeeping has not come round for so long hangs (seconds). One that waits for a
#: Redis that is away does not: each of its requests gives up before.
_HANGS_SECONDS = 180.0
#: A worker that has not reported to Redis for so long is not ready (seconds).
_SILENT_SECONDS = 30.0
#: Attempts from this one on are counted together.
_MORE_ATTEMPTS = 4
#: The rate that a worker reports is that of so many seconds.
_RATE_SECONDS = 60.0
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)

CHUNKS = Counter(
    "inkmill_worker_chunks",
    "Chunks by outcome: read, others_first, dropped (no such job), put_off, returned.",
    ["outcome"],
    registry=REGISTRY,
)
SUSPECTED = Counter(
    "inkmill_worker_suspected_chunks",
    "Chunks read item by item, since workers died of them before.",
    registry=REGISTRY,
)
CHUNK_SECONDS = Histogram(
    "inkmill_worker_chunk_seconds",
    "Seconds from message to rows in the store.",
    registry=REGISTRY,
    buckets=_SECONDS,
)
ENGINE_SECONDS = Histogram(
    "inkmill_worker_engine_seconds",
    "Seconds that an engine took for a chunk.",
    registry=REGISTRY,
    buckets=_SECONDS,
)
STAGE_SECONDS = Histogram(
    "inkmill_worker_stage_seconds",
    "Seconds of a chunk in each stage: fetch, decode, locate, cut, predict, rules, write.",
    ["stage"],
    registry=REGISTRY,
    buckets=_SECONDS,
)
BATCH_CROPS = Histogram(
    "inkmill_worker_batch_crops",
    "Crops in one forward pass.",
    registry=REGISTRY,
    buckets=(1, 4, 16, 64, 256, 512, 1024),
)
ATTEMPTS = Counter(
    "inkmill_worker_attempts",
    "Attempts at chunks that began here, by which attempt it was: 1, 2, 3, or more.",
    ["attempt"],
    registry=REGISTRY,
)
HOUSEKEEPING_ERRORS = Counter(
    "inkmill_worker_housekeeping_errors",
    "Rounds of the worker's housekeeping that failed, by task.",
    ["task"],
    registry=REGISTRY,
)
ITEMS = Counter(
    "inkmill_worker_items",
    "Items by template, model and status; review over all is the review rate.",
    ["form", "model", "status"],
    registry=REGISTRY,
)
CODES = Counter("inkmill_worker_codes", "Items by code.", ["code"], registry=REGISTRY)
CROPS = Counter("inkmill_worker_crops", "Crops that the network read.", registry=REGISTRY)
ENGINES = Gauge("inkmill_worker_engines", "Engines that run now.", registry=REGISTRY)
ENGINES_MISSING = Gauge(
    "inkmill_worker_engines_missing",
    "Engines that the host refuses to start, or that end before they are ready.",
    registry=REGISTRY,
)
ENGINE_RESTARTS = Counter(
    "inkmill_worker_engine_restarts", "Engines that died or hung.", registry=REGISTRY
)
DEVICES = Gauge(
    "inkmill_worker_devices",
    "Devices (GPUs) whose predictor process serves now.",
    registry=REGISTRY,
)
DEVICES_MISSING = Gauge(
    "inkmill_worker_devices_missing",
    "Devices that were lost, cannot be used, or whose predictor process cannot be started.",
    registry=REGISTRY,
)
DEVICE_RESTARTS = Counter(
    "inkmill_worker_device_restarts",
    "Predictor processes of devices that died or hung.",
    registry=REGISTRY,
)
DEVICE_REQUESTS = Counter(
    "inkmill_worker_device_requests", "Requests of engines to devices.", registry=REGISTRY
)
DEVICE_BATCHES = Counter(
    "inkmill_worker_device_batches",
    "Batches that devices computed, each of one or several requests.",
    registry=REGISTRY,
)
DEVICE_CROPS = Counter("inkmill_worker_device_crops", "Crops that devices read.", registry=REGISTRY)
WAITS = Counter(
    "inkmill_worker_waits",
    "Requests to the store or to Redis that failed and are sent again, by server and error.",
    ["server", "error"],
    registry=REGISTRY,
)
NOTICES = Counter(
    "inkmill_worker_notices",
    "Notices of jobs' ends, by outcome of an attempt: delivered, failed, given_up.",
    ["outcome"],
    registry=REGISTRY,
)
MODEL = Gauge(
    "inkmill_worker_model_since_seconds",
    "When a model version was taken into use here (seconds since the epoch).",
    ["model", "version"],
    registry=REGISTRY,
)


class Rate:
    """Items per second over the last minute, for what a worker reports to Redis."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seen: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def add(self, items: int) -> None:
        with self._lock:
            self._seen.append((self._clock(), items))

    def read(self) -> float:
        """The rate now; of a worker that has run for less than a minute, since its start."""
        with self._lock:
            now = self._clock()
            while self._seen and now - self._seen[0][0] > _RATE_SECONDS:
                self._seen.popleft()
            span = min(_RATE_SECONDS, now - self._began)
            return sum(items for _, items in self._seen) / span if span > 0 else 0.0


RATE = Rate()


def count_result(job: Job, result: ChunkResult) -> None:
    """Count the rows of a chunk that were written here."""
    for status, number in result.statuses.items():
        ITEMS.labels(job.form_name, job.options.model, str(status)).inc(number)
    for code, number in result.codes.items():
        CODES.labels(str(code)).inc(number)
    RATE.add(result.rows)
    CROPS.inc(result.crops)
    ENGINE_SECONDS.observe(result.seconds)
    for stage, seconds in result.stages.items():
        STAGE_SECONDS.labels(stage).observe(seconds)
    for crops in result.batches:
        BATCH_CROPS.observe(crops)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measure a stage of a chunk that is not an engine's."""
    began = time.monotonic()
    yield
    STAGE_SECONDS.labels(name).observe(time.monotonic() - began)


def count_attempt(number: int) -> None:
    """The ``number``-th attempt at a chunk, from 1, begins."""
    ATTEMPTS.labels(str(number) if number < _MORE_ATTEMPTS else "more").inc()


def use_model(name: str, version: str, before: str) -> None:
    """A version is in use from now on, instead of ``before`` (empty: none)."""
    if before:
        MODEL.remove(name, before)
    MODEL.labels(name, version).set(time.time())


class Wellbeing:
    """When the worker's housekeeping came round last, and when its report reached Redis."""

    def __init__(self) -> None:
        self._round = self._report = -_HANGS_SECONDS

    def came_round(self) -> None:
        self._round = time.monotonic()

    def reported(self) -> None:
        self._report = time.monotonic()

    def alive(self) -> None:
        """Raises InkmillError if the process hangs. Needs no server."""
        silent = time.monotonic() - self._round
        if silent > _HANGS_SECONDS:
            raise InkmillError(f"housekeeping has not come round for {silent:.0f} s")

    def ready(self) -> None:
        """Raises InkmillError if Redis has not heard of this worker lately."""
        self.alive()
        silent = time.monotonic() - self._report
        if silent > _SILENT_SECONDS:
            raise InkmillError(f"this worker has not reported to Redis for {silent:.0f} s")
