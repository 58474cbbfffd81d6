"""The queue as metrics for Prometheus: the backlog that an autoscaler needs, ages, rates.

`QueueMetrics` looks at the queue whenever it is asked. Names end in their unit, as Prometheus's
conventions ask for.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from inkmill.errors import InkmillError
from inkmill.names import PRIORITIES
from inkmill.producer.connection import Connection
from inkmill.producer.overview import OpenJob, Overview, overview
from inkmill.producer.pace import Pace
from inkmill.producer.snapshot import model_states

#: A look is answered again from memory for so long (seconds): several may ask at once.
_FRESH_SECONDS = 2.0


class QueueMetrics:
    """A collector for Prometheus's registry: each scrape looks at the queue.

    A store that is away makes ``inkmill_store_up`` 0, and the rest is left out.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._last: Overview | None = None
        self._pace = Pace()

    def look(self) -> Overview:
        """The queue now, or as it was a moment ago. Raises Unreachable, StoreDenied."""
        with self._lock:
            last = self._last
            if last is None or not 0 <= time.time() - last.taken < _FRESH_SECONDS:
                last = self._last = overview(self._connection)
                self._pace.add(last)
            return last

    def _models(self, found: Overview) -> Metric:
        """When the latest version of each model in use was promoted: its age follows from it."""
        promoted = GaugeMetricFamily(
            "inkmill_model_promoted_timestamp_seconds",
            "When the latest version of a model was promoted (seconds since the epoch).",
            labels=["model", "version"],
        )
        with suppress(InkmillError):  # the store is away since the look
            for state in model_states(self._connection, found):
                if state.age is not None:
                    promoted.add_metric([state.name, state.version], found.taken - state.age)
        return promoted

    def backlog(self) -> dict[str, Any]:
        """What an autoscaler asks for, as JSON: chunks and items left, workers, seconds left."""
        found = self.look()
        return {
            "chunks": found.chunks_left,
            "items": sum(job.items_left for job in found.jobs),
            "in_flight": sum(job.in_flight for job in found.jobs),
            "jobs": len(found.jobs),
            "workers": len(found.workers),
            "slots": sum(found.workers.values()),
            "seconds_left": self._pace.seconds_left(found),
        }

    def collect(self) -> Iterator[Metric]:
        """The metrics, for a registry."""
        try:
            found = self.look()
        except InkmillError:
            yield _gauge("inkmill_store_up", "1 if the object store answers.", 0)
            return
        yield _gauge("inkmill_store_up", "1 if the object store answers.", 1)
        yield _gauge("inkmill_redis_up", "1 if Redis answers.", int(found.redis))
        yield from _backlog(found)
        yield from _ages(found)
        yield from _rows(found)
        yield _gauge("inkmill_workers", "Workers that reported lately.", len(found.workers))
        slots = sum(found.workers.values())
        yield _gauge("inkmill_worker_slots", "Chunks that all workers hold at once.", slots)
        aside = "Entries of Redis that were set aside because they are not Inkmill's."
        yield _gauge("inkmill_set_aside_entries", aside, found.set_aside)
        ever = CounterMetricFamily(
            "inkmill_set_aside", "Entries of Redis that were ever set aside."
        )
        ever.add_metric([], found.ever_aside)
        yield ever
        yield self._models(found)
        if (left := self._pace.seconds_left(found)) is not None:
            words = "Seconds until all open jobs are finished, at the rate of the last minutes."
            yield _gauge("inkmill_drain_seconds", words, left)


def registry(metrics: QueueMetrics) -> CollectorRegistry:
    """A registry of the queue's metrics alone."""
    result = CollectorRegistry()
    result.register(metrics)
    return result


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _backlog(found: Overview) -> Iterator[Metric]:
    chunks = GaugeMetricFamily(
        "inkmill_chunks",
        "Chunks without rows, of all open jobs: in flight, or waiting to be sent.",
        labels=["priority", "state"],
    )
    items = GaugeMetricFamily(
        "inkmill_items", "Items without rows, of all open jobs.", labels=["priority"]
    )
    jobs = GaugeMetricFamily("inkmill_open_jobs", "Open jobs.", labels=["priority"])
    messages = GaugeMetricFamily(
        "inkmill_messages",
        "Messages in Redis that no worker took yet: a part of the chunks in flight.",
        labels=["priority"],
    )
    for priority in PRIORITIES:
        mine = [job for job in found.jobs if job.priority == priority]
        flight = sum(min(job.in_flight, job.left) for job in mine)
        chunks.add_metric([priority, "in_flight"], flight)
        chunks.add_metric([priority, "waiting"], sum(job.left for job in mine) - flight)
        items.add_metric([priority], sum(job.items_left for job in mine))
        jobs.add_metric([priority], len(mine))
        if priority in found.messages:
            messages.add_metric([priority], found.messages[priority])
    yield from (chunks, items, jobs, messages)


def _ages(found: Overview) -> Iterator[Metric]:
    oldest = max((found.taken - job.created for job in found.jobs if job.sealed), default=0.0)
    yield _gauge("inkmill_oldest_job_seconds", "Age of the oldest open job.", max(0.0, oldest))
    sent = max((job.oldest for job in found.jobs), default=0.0)
    words = "Seconds since the chunk was sent that has been in flight for the longest time."
    yield _gauge("inkmill_oldest_chunk_seconds", words, sent)


def _rows(found: Overview) -> Iterator[Metric]:
    rows = GaugeMetricFamily(
        "inkmill_open_job_rows",
        "Rows so far of open jobs, by template, model and status.",
        labels=["form", "model", "status"],
    )
    codes = GaugeMetricFamily(
        "inkmill_open_job_codes", "Rows so far of open jobs, by code.", labels=["code"]
    )
    by_status: Counter[tuple[str, str, str]] = Counter()
    by_code: Counter[str] = Counter()
    for job in found.jobs:
        _add(job, by_status, by_code)
    for labels, count in sorted(by_status.items()):
        rows.add_metric(labels, count)
    for code, count in sorted(by_code.items()):
        codes.add_metric([code], count)
    yield from (rows, codes)


def _add(job: OpenJob, by_status: Counter[tuple[str, str, str]], by_code: Counter[str]) -> None:
    for status, count in job.statuses.items():
        by_status[job.form, job.model, status] += count
    by_code.update(job.codes)
