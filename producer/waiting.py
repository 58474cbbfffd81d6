"""Waiting for a job: woken by its end, by looks at Redis, and now and then by one at the store."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from inkmill.errors import BadHint, NotFinished, Unreachable
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.summary import has_one_chunk, load_summary
from inkmill.producer.connection import Connection, connect
from inkmill.producer.status import (
    CANCELLED,
    FEW_ROWS,
    FINISHED,
    RUNNING,
    UPLOADING,
    JobStatus,
    ended,
    look,
    status_of,
)
from inkmill.records.jobs import Job

if TYPE_CHECKING:
    from inkmill.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two looks, which the job's end cuts short.
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 0.5
#: While Redis knows of chunks in flight, the store is asked only after so many seconds.
_STORE_SECONDS = 2.0


def wait(
    job: str,
    *,
    timeout: float | None = None,
    settings: Settings | None = None,
    connection: Connection | None = None,
    progress: Callable[[JobStatus], None] | None = None,
) -> JobStatus:
    """Wait until every item of a job has its row.

    Meanwhile, chunks that Redis lost are sent again, and servers that are temporarily unreachable
    are waited for. Any number of programs may wait for the same job.

    Args:
        job: The job's name or id.
        timeout: Seconds to wait at most; None waits for as long as it takes.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
        progress: Called with a `JobStatus` at each look, about twice per second.

    Returns:
        The final `JobStatus`, with exact counts. A cancelled job has ended, too: see ``state``.

    Raises:
        NotFinished: ``timeout`` passed, or passed while S3 did not answer. The job continues.
        NotFound: There is no such job, or it was deleted meanwhile.
        SettingsError: A setting is wrong.
        StoreDenied: S3 refuses the request.

    Example:
        ended = wait(job, timeout=600)
        if ended.errors:
            print(f"{ended.errors} of {ended.rows} rows are in error:", ended.codes)
    """
    connection = connection or connect(settings)
    deadline = math.inf if timeout is None else time.monotonic() + timeout

    def begin() -> tuple[Job, JobStatus]:
        record = connection.jobs.get(job)
        return record, _on_its_way(connection, record) or look(connection, record, FEW_ROWS)

    record, now = _patiently(begin, job, deadline)
    pauses, looks, away = _pauses(deadline), _Looks(connection, record), False
    while now.state not in (FINISHED, CANCELLED):
        if progress is not None:
            progress(now)
        if (pause := next(pauses, None)) is None:
            raise NotFinished(
                f"job {job} is not finished after {timeout:g} seconds: {now.chunks_done} of "
                f"{now.chunks} chunks are done; the job continues"
            )
        try:
            now = looks.again(now, pause)
            away = False
        except (Unreachable, BadHint) as error:
            log.log(logging.DEBUG if away else logging.WARNING, "waiting for: %s", error)
            away = True
    if progress is not None:
        progress(now)
    if not now.settled:
        # Whoever waited for a long job can wait for its rows to be counted, too.
        rows = now.rows
        now = _patiently(
            lambda: look(connection, read_record(connection.store, record.job), rows), job, deadline
        )
    return now


def _patiently(request: Callable[[], T], job: str, deadline: float) -> T:
    """The answer to a request, which is repeated while a server is away, until the deadline.

    Raises NotFinished after it.
    """
    away = False
    for pause in _pauses(deadline, least=1):
        try:
            return request()
        except Unreachable as error:
            log.log(logging.DEBUG if away else logging.WARNING, "waiting for: %s", error)
            away, last = True, error
        time.sleep(pause)
    raise NotFinished(f"job {job} was waited for, but its state is not known: {last}") from last


def _on_its_way(connection: Connection, record: Job) -> JobStatus | None:
    """A small job that was just sent: Redis knows it, the store need not be asked."""
    try:
        if has_one_chunk(record) and connection.queue.busy(record.job):
            return status_of(record, RUNNING, rows=0, chunks_done=0, in_flight=1)
    except (Unreachable, BadHint):
        pass  # the store says enough
    return None


class _Looks:
    """Looks at a job again and again: at Redis mostly, at the store now and then."""

    def __init__(self, connection: Connection, record: Job) -> None:
        self._connection = connection
        self._record = record
        self._swept = self._looked = time.monotonic()

    def again(self, before: JobStatus, pause: float) -> JobStatus:
        """The job after a pause, or as soon as it ends; what got lost is sent again."""
        store, queue = self._connection.store, self._connection.queue
        if self._told(before.id, pause):
            return self._glance(before)
        interval = self._connection.settings.reconcile_interval
        if time.monotonic() - self._swept > interval:
            self._swept = time.monotonic()
            reconcile.sweep(store, queue, interval)
        if time.monotonic() - self._looked < _STORE_SECONDS and queue.busy(before.id):
            return _hint(self._connection, before)
        return self._glance(before)

    def _told(self, job: str, pause: float) -> bool:
        """Whether the job's end was told within the pause."""
        try:
            return self._connection.queue.wait_end(job, pause)
        except (Unreachable, BadHint):  # or so full that it refuses this
            time.sleep(pause)
            return False

    def _glance(self, before: JobStatus) -> JobStatus:
        """A cheap look: the summary, else the counts in Redis; a full one if they are complete."""
        self._looked = time.monotonic()
        connection, record = self._connection, self._record
        if (summary := load_summary(connection.store, record)) is not None:
            if not record.sealed:  # its counts were not known before
                record = read_record(connection.store, record.job)
            return ended(connection, record, summary, FEW_ROWS)
        # Raises NotFound if the job was deleted meanwhile.
        self._record = record = read_record(connection.store, record.job)
        now = _hint(connection, before)
        if before.state == UPLOADING or now.chunks_done >= before.chunks:
            if reconcile.standing(connection.store, record).finished:
                reconcile.finish(connection.store, connection.queue, record)
            return look(connection, record)
        return now


def _pauses(deadline: float, least: int = 0) -> Iterator[float]:
    """Seconds between two looks; ends with the deadline, but gives ``least`` pauses at least."""
    pause = _FIRST_LOOK
    for number in count():
        left = min(pause, deadline - time.monotonic())
        if left <= 0 and number >= least:
            return
        yield max(left, 0.0)
        pause = min(pause * 1.5, _LONGEST_LOOK)


def _hint(connection: Connection, before: JobStatus) -> JobStatus:
    """The counts in Redis, without a look at the store."""
    counts = connection.queue.progress(before.id)
    return replace(
        before,
        rows=counts.rows,
        chunks_done=counts.chunks,
        statuses=dict(counts.statuses),
        codes=dict(counts.codes),
    )
