"""How a job stands: the store says what is done, Redis how it is going."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inkmill import names, reconcile
from inkmill.errors import Corrupt, NotFinished, Unreachable
from inkmill.jobs import Job
from inkmill.producer.connection import Connection, connect
from inkmill.producer.overlap import overlapped
from inkmill.producer.revisions import find_job
from inkmill.queue import Progress

if TYPE_CHECKING:
    from inkmill.settings import Settings

log = logging.getLogger(__name__)

UPLOADING, RUNNING, FINISHED, CANCELLED = "uploading", "running", "finished", "cancelled"
#: Seconds between two looks of `wait`: short at first, for small jobs.
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands. Times are seconds since the epoch, 0.0 for not yet.

    ``state`` is uploading (the submit runs, or was interrupted), running, finished or
    cancelled. ``chunks`` and ``items`` are what lies in the store so far while uploading (items
    then 0). ``rows`` and the counts are exact once finished and a hint before.
    """

    job: str
    state: str
    created: float
    finished: float
    items: int
    rows: int
    chunks: int
    chunks_done: int
    in_flight: int
    statuses: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    form: str = ""
    model: str = ""
    version: str = ""
    policy: str = ""
    priority: str = ""

    @property
    def errors(self) -> int:
        """Rows in error."""
        return self.statuses.get("error", 0)


def status(
    job: str, *, settings: Settings | None = None, connection: Connection | None = None
) -> JobStatus:
    """How a job stands. Raises NotFound, Unreachable or StoreDenied (for the store alone)."""
    connection = connection or connect(settings)
    return _look(connection, reconcile.load_job(connection.store, job))


def _look(connection: Connection, record: Job) -> JobStatus:
    job = record.job
    summary = reconcile.load_summary(connection.store, job)
    if summary is not None:
        cancelled = reconcile.is_cancelled(connection.store, job)
        return _status(
            record,
            CANCELLED if cancelled else FINISHED,
            finished=summary.finished,
            rows=summary.rows,
            chunks_done=summary.chunks,
            statuses=summary.statuses,
            codes=summary.codes,
        )
    standing = reconcile.standing(connection.store, record)
    try:
        progress = connection.queue.progress(job)
        in_flight = len(connection.queue.in_flight(job))
    except Unreachable:  # the store says enough
        progress, in_flight = Progress(0, 0, {}, {}), 0
    return _status(
        record,
        RUNNING if record.sealed else UPLOADING,
        rows=progress.rows,
        chunks=len(standing.written),
        chunks_done=len(standing.done),
        in_flight=in_flight,
        statuses=dict(progress.statuses),
        codes=dict(progress.codes),
    )


def _status(record: Job, state: str, **counts: object) -> JobStatus:
    """A status from the record and what was counted."""
    values: dict[str, object] = {"finished": 0.0, "chunks": record.chunks, "in_flight": 0, **counts}
    return JobStatus(
        job=record.job,
        state=state,
        created=record.created,
        items=record.items,
        form=record.form_name,
        model=record.options.model,
        version=record.version,
        policy=record.options.policy,
        priority=record.options.priority,
        **values,  # type: ignore[arg-type]
    )


def jobs(
    *, settings: Settings | None = None, connection: Connection | None = None
) -> Iterator[JobStatus]:
    """Every job in the store, by id."""
    connection = connection or connect(settings)

    def look(job: str) -> JobStatus | None:
        try:
            record = find_job(connection.store, job)
            return _look(connection, record) if record is not None else None
        except Corrupt as error:
            log.warning("job %s is passed over: %s", job, error)
            return None

    ids = (
        folder.removeprefix(names.JOBS).rstrip("/")
        for folder in connection.store.folders(names.JOBS)
    )
    yield from filter(None, overlapped(look, ids, threads=8, ahead=32))


def wait(
    job: str,
    *,
    timeout: float | None = None,
    settings: Settings | None = None,
    connection: Connection | None = None,
    progress: Callable[[JobStatus], None] | None = None,
) -> JobStatus:
    """Wait until every item of the job has its row; returns how it ended.

    While it waits it reconciles, so that a chunk lost by Redis is sent again; servers that are
    away for a while are waited for. Raises NotFinished after ``timeout`` seconds, NotFound, or
    Unreachable if the store does not answer the first look.
    """
    connection = connection or connect(settings)
    interval = connection.settings.reconcile_interval
    now = status(job, connection=connection)
    pauses, swept, away = _pauses(timeout), time.monotonic(), False
    while now.state not in (FINISHED, CANCELLED):
        if progress is not None:
            progress(now)
        pause = next(pauses, None)
        if pause is None:
            raise NotFinished(
                f"job {job} is not finished after {timeout:g} seconds: {now.chunks_done} of "
                f"{now.chunks} chunks are done; it goes on without you"
            )
        time.sleep(pause)
        try:
            if time.monotonic() - swept > interval:
                swept = time.monotonic()
                reconcile.sweep(connection.store, connection.queue, interval)
            now = _glance(connection, now)
        except Unreachable as error:
            if not away:
                log.warning("waiting for the servers: %s", error)
            away = True
        else:
            away = False
    if progress is not None:
        progress(now)
    return now


def _pauses(timeout: float | None) -> Iterator[float]:
    """Seconds between two looks; ends when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_LOOK
    while True:
        left = pause if deadline is None else min(pause, deadline - time.monotonic())
        if left <= 0:
            return
        yield left
        pause = min(pause * 1.5, _LONGEST_LOOK)


def _glance(connection: Connection, before: JobStatus) -> JobStatus:
    """A cheap look: the summary, else the counts in Redis; a full one when those are complete."""
    if reconcile.load_summary(connection.store, before.job) is not None:
        return status(before.job, connection=connection)
    counts = connection.queue.progress(before.job)
    if before.state == UPLOADING or counts.chunks >= before.chunks:
        record = reconcile.load_job(connection.store, before.job)
        if reconcile.standing(connection.store, record).finished:
            reconcile.finish(connection.store, connection.queue, record)
        return _look(connection, record)
    return replace(
        before,
        rows=counts.rows,
        chunks_done=counts.chunks,
        statuses=dict(counts.statuses),
        codes=dict(counts.codes),
    )
