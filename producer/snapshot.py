"""The whole queue as a person watches it: what `inkmill top` shows.

`overview` says which jobs are open and how far they are. A snapshot adds what moves: rates and the
time left, which chunks each worker holds, and which version of each model is in use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from inkmill.backends import model_index
from inkmill.backends.queue.workers import Presence
from inkmill.errors import InkmillError, Unreachable
from inkmill.names import PRIORITIES
from inkmill.producer.connection import Connection
from inkmill.producer.overview import OpenJob, Overview, overview
from inkmill.producer.pace import JobPaces, Pace


@dataclass(frozen=True, slots=True)
class QueueState:
    """What is left to do in one priority.

    Attributes:
        priority: "high", "normal" or "low".
        jobs: Open jobs.
        items: Items without rows.
        waiting: Chunks without rows that are not in flight.
        in_flight: Chunks that are queued or being read.
        oldest: Seconds since the oldest of the jobs was submitted; 0 without one.
    """

    priority: str
    jobs: int
    items: int
    waiting: int
    in_flight: int
    oldest: float


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A live worker.

    Attributes:
        name: Its host and process, as host:process.
        slots: Chunks that it holds at most.
        held: Chunks that it holds, by the name of their job.
        rate: Items per second that it read in the last minute.
    """

    name: str
    slots: int
    held: Mapping[str, int]
    rate: float


@dataclass(frozen=True, slots=True)
class JobState:
    """An open job.

    Attributes:
        id: The job's id.
        job: Its name, or its id.
        priority: "high", "normal" or "low".
        form: Name of the template, or templates; empty for digit images.
        sealed: Whether it is submitted as a whole.
        items: Its items; 0 while it is being submitted.
        items_left: Items without rows.
        done: Share of its chunks that have rows, 0 to 1.
        in_flight: Chunks that are queued or being read.
        statuses: Rows so far by status.
        rate: Rows per second in the last minute.
        seconds_left: Seconds until it is finished at that rate; None where there is none yet.
    """

    id: str
    job: str
    priority: str
    form: str
    sealed: bool
    items: int
    items_left: int
    done: float
    in_flight: int
    statuses: Mapping[str, int]
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ModelState:
    """The latest version of a model; ``age`` is the seconds since it was promoted, None where the
    pointer does not say when."""

    name: str
    version: str
    age: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The queue at one moment.

    Attributes:
        taken: When it was taken (seconds since the epoch).
        redis: Whether Redis answered; without it, workers and what is in flight are not known.
        queues: One line for each priority.
        workers: Live workers, by name.
        jobs: Open jobs: the order of their priorities, then the oldest first.
        models: The models that open jobs use, and the configured one.
        set_aside: Entries of Redis that are not Inkmill's and are kept.
        seconds_left: Seconds until all open jobs are finished; None where no rate is known yet.
    """

    taken: float
    redis: bool
    queues: tuple[QueueState, ...]
    workers: tuple[WorkerState, ...]
    jobs: tuple[JobState, ...]
    models: tuple[ModelState, ...]
    set_aside: int
    seconds_left: float | None


class Sampler:
    """Takes snapshots; rates come from the last of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pace = Pace()
        self._paces = JobPaces()

    def take(self) -> Snapshot:
        """The queue now. Raises Unreachable or StoreDenied; Redis is not needed."""
        found = overview(self._connection)
        self._pace.add(found)
        self._paces.add(found)
        ranks = {priority: rank for rank, priority in enumerate(PRIORITIES)}
        ordered = sorted(found.jobs, key=lambda job: (ranks[job.priority], job.created))
        workers = tuple(self._workers(found)) if found.redis else ()
        return Snapshot(
            taken=found.taken,
            redis=found.redis,
            queues=tuple(_queue(found, priority) for priority in PRIORITIES),
            workers=workers,
            jobs=tuple(map(self._job, ordered)),
            models=tuple(model_states(self._connection, found)),
            set_aside=found.set_aside,
            seconds_left=self._pace.seconds_left(found),
        )

    def _job(self, job: OpenJob) -> JobState:
        rate = self._paces.rate(job)
        return JobState(
            id=job.id,
            job=job.job,
            priority=job.priority,
            form=job.form,
            sealed=job.sealed,
            items=job.items,
            items_left=job.items_left,
            done=(job.chunks - job.left) / job.chunks if job.chunks else 0.0,
            in_flight=job.in_flight,
            statuses=job.statuses,
            rate=rate,
            seconds_left=job.items_left / rate if rate and job.sealed else None,
        )

    def _workers(self, found: Overview) -> Iterator[WorkerState]:
        queue, labels = self._connection.queue, {job.id: job.job for job in found.jobs}
        reports: Mapping[str, Presence] = {}
        held: defaultdict[str, Counter[str]] = defaultdict(Counter)
        try:
            reports = queue.presences()
            for delivery in queue.in_hand():
                held[delivery.worker][labels.get(delivery.job, delivery.job)] += 1
        except Unreachable:
            return  # it went away since the overview
        for name, report in sorted(reports.items()):
            yield WorkerState(name, report.slots, dict(held[report.process]), report.rate)


def model_states(connection: Connection, found: Overview) -> Iterator[ModelState]:
    """The models that open jobs use, and the configured one. Raises Unreachable or StoreDenied."""
    configured = connection.settings.model
    for name in dict.fromkeys([configured, *sorted(job.model for job in found.jobs)]):
        if (state := _model_state(connection, name, found.taken)) is not None:
            yield state


def _model_state(connection: Connection, name: str, now: float) -> ModelState | None:
    """The latest version of a model; None where none was published or its pointer is damaged."""
    try:
        pointer = model_index.latest(connection.store, name)
    except InkmillError as error:
        if error.exit_code == Unreachable.exit_code:
            raise
        return None
    try:
        promoted = datetime.fromisoformat(pointer.promoted).timestamp()
    except (ValueError, OverflowError):
        return ModelState(name, pointer.version, None)
    return ModelState(name, pointer.version, max(0.0, now - promoted))


def _queue(found: Overview, priority: str) -> QueueState:
    mine = [job for job in found.jobs if job.priority == priority]
    in_flight = sum(min(job.in_flight, job.left) for job in mine)
    return QueueState(
        priority=priority,
        jobs=len(mine),
        items=sum(job.items_left for job in mine),
        waiting=sum(job.left for job in mine) - in_flight,
        in_flight=in_flight,
        oldest=max((found.taken - job.created for job in mine), default=0.0),
    )
