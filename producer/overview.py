"""The whole queue at a glance: every open job's backlog, the workers, what was set aside.

The store says which jobs are open and how far they are; Redis, what is in flight. The length of
Redis's lists says neither: a job's window bounds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inkmill import names
from inkmill.backends.queue import Progress
from inkmill.errors import BadHint, Corrupt, NotFound, Unreachable, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import read_record
from inkmill.producer.connection import Connection
from inkmill.producer.overlap import overlapped

log = logging.getLogger(__name__)

#: Open jobs that are looked at together.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class OpenJob:
    """An open job's backlog.

    Attributes:
        id: The job's id.
        job: Its name, or its id.
        priority: "high", "normal" or "low".
        form: Name of the template, or templates; empty for digit images.
        model: Name of the model.
        sealed: Whether it is submitted as a whole.
        created: When it was submitted (seconds since the epoch).
        items: Its items; 0 while it is being submitted.
        chunks: Its chunks, so far.
        left: Chunks without rows.
        in_flight: Chunks that are queued or being read.
        oldest: Seconds since the chunk was sent that has been in flight for the longest time.
        statuses: Rows so far by status, as reported by workers.
        codes: Rows so far by code, as reported by workers.
    """

    id: str
    job: str
    priority: str
    form: str
    model: str
    sealed: bool
    created: float
    items: int
    chunks: int
    left: int
    in_flight: int = 0
    oldest: float = 0.0
    statuses: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows so far, as reported by workers."""
        return sum(self.statuses.values())

    @property
    def items_left(self) -> int:
        """Items without rows, by the share of chunks without rows; 0 while being submitted."""
        return round(self.items * self.left / self.chunks) if self.chunks else self.items


@dataclass(frozen=True, slots=True)
class Overview:
    """All open jobs, and the workers.

    Attributes:
        taken: When it was made (seconds since the epoch).
        jobs: The open jobs, in the order of their ids.
        workers: Live workers, with the chunks that each holds at once; empty without Redis.
        set_aside: Entries of Redis that were not ours and are kept.
        redis: Whether Redis answered.
        messages: Messages in Redis that no worker took yet, by priority; empty without Redis.
        ever_aside: Entries that were ever set aside.
    """

    taken: float
    jobs: tuple[OpenJob, ...]
    workers: Mapping[str, int]
    set_aside: int
    redis: bool
    messages: Mapping[str, int] = field(default_factory=dict)
    ever_aside: int = 0

    @property
    def chunks_left(self) -> int:
        """Chunks without rows, of all open jobs: the true backlog."""
        return sum(job.left for job in self.jobs)


def overview(connection: Connection) -> Overview:
    """Look at every open job.

    Costs one listing of the open jobs, and a few requests for each of them.

    Raises:
        Unreachable: S3 does not answer. Redis is not needed.
        StoreDenied: S3 refuses the request.
    """
    taken, queue, redis = time.time(), connection.queue, True
    workers, messages = dict[str, int](), dict[str, int]()
    kept = ever = 0
    try:
        workers, kept = queue.workers(), queue.aside()
        messages, ever = queue.lengths(), queue.ever_aside()
    except Unreachable as error:
        log.warning("%s: what is in flight is not known", error)
        redis = False
    except BadHint as error:
        log.warning("%s", error)

    def look(job: str) -> OpenJob | None:
        return _look(connection, job, redis)

    found = overlapped(look, _open_jobs(connection), threads=_THREADS, ahead=32)
    jobs = tuple(filter(None, found))
    return Overview(
        taken=taken,
        jobs=jobs,
        workers=workers,
        set_aside=kept,
        redis=redis,
        messages=messages,
        ever_aside=ever,
    )


def _open_jobs(connection: Connection) -> Iterator[str]:
    for entry in connection.store.list(names.OPEN):
        try:
            yield names.job_of(entry.key)
        except UsageError:
            log.warning("skipped %s: it is not an object of Inkmill", entry.key)


def _look(connection: Connection, job: str, redis: bool) -> OpenJob | None:
    """An open job; None if it is gone, or finished by now."""
    try:
        record = read_record(connection.store, job)
        standing = reconcile.standing(connection.store, record)
    except NotFound:
        return None
    except Corrupt as error:
        log.warning("skipped job %s: %s", job, error)
        return None
    if standing.finished:
        return None
    progress, flight = Progress(0, 0, {}, {}), dict[int, float]()
    try:
        if redis:
            progress, flight = connection.queue.progress(job), connection.queue.in_flight(job)
    except (Unreachable, BadHint) as error:
        log.debug("job %s: %s", job, error)
    return OpenJob(
        id=record.job,
        job=record.label,
        priority=record.options.priority,
        form=record.form_name,
        model=record.options.model,
        sealed=record.sealed,
        created=record.created,
        items=record.items,
        chunks=len(standing.written),
        left=standing.left,
        in_flight=len(flight),
        oldest=max(flight.values(), default=0.0),
        statuses=dict(progress.statuses),
        codes=dict(progress.codes),
    )
