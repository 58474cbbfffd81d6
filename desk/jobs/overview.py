"""The states of jobs and of the queue, as pages show them: read once a second at most.

However many people look at the list, the store and Redis are asked once; a finished job is looked
at again after half a minute, and its rows are counted beside (`inkmill.desk.jobs.counting`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request

from inkmill.backends.ttl_cache import TTLCache
from inkmill.desk.context import DeskContext
from inkmill.desk.jobs.counting import Counting
from inkmill.desk.jobs.submits import Submit, Submits
from inkmill.desk.web.access import context_of
from inkmill.errors import Corrupt
from inkmill.lifecycle.lookup import find_record, job_ids
from inkmill.producer import JobStatus
from inkmill.producer.overlap import overlapped
from inkmill.producer.overview import Overview, overview
from inkmill.producer.status import CANCELLED, FINISHED, look

log = logging.getLogger(__name__)

#: Jobs on one page of the list.
PAGE = 50
_NOW_SECONDS, _LIST_SECONDS, _ENDED_SECONDS = 1.0, 2.0, 30.0
_THREADS = 8
#: Names that jobs may have and addresses below /jobs do not.
_TAKEN = ("live", "new", "submits")


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list of jobs, the newest first, and how the whole queue stands."""

    jobs: tuple[JobStatus, ...]
    page: int
    pages: int
    total: int
    queue: Overview

    @property
    def oldest(self) -> float:
        """When the oldest open job was submitted (seconds since the epoch); 0 without one."""
        return min((job.created for job in self.queue.jobs), default=0.0)

    @property
    def in_flight(self) -> int:
        """Chunks that are queued or being read."""
        return sum(job.in_flight for job in self.queue.jobs)


class Overviews:
    """The caches of one server."""

    def __init__(self, context: DeskContext) -> None:
        self._connection = context.connection
        self._ids = TTLCache(_LIST_SECONDS, lambda _: self._read_ids())
        self._now = TTLCache(_NOW_SECONDS, self._look)
        self._ended = TTLCache(_ENDED_SECONDS, self._look)
        submits = Submits(context.store)
        self._submits = TTLCache(_NOW_SECONDS, lambda _: submits.unfinished())
        self.counting = Counting(context.connection, self._ended.forget)
        self._queue = TTLCache(_NOW_SECONDS, lambda _: overview(context.connection))

    def listing(self, page: int) -> Listing:
        """One page of the list, from 1. Raises Unreachable or StoreDenied."""
        ids = self._ids.get("")
        pages = max(1, -(-len(ids) // PAGE))
        page = min(max(page, 1), pages)
        wanted = ids[(page - 1) * PAGE : page * PAGE]
        found = overlapped(self.status, wanted, threads=_THREADS, ahead=PAGE)
        return Listing(tuple(filter(None, found)), page, pages, len(ids), self.queue())

    def status(self, job: str) -> JobStatus | None:
        """The state of a job by its id; None for one that is being deleted, or damaged."""
        if self._ended.has(job):
            return self._ended.get(job)
        found = self._now.get(job)
        if found is not None and found.state in (FINISHED, CANCELLED):
            found = self.counting.current(found)
            self._ended.tell(job, found)
        return found

    def queue(self) -> Overview:
        """Open jobs, backlog and workers. Raises Unreachable or StoreDenied."""
        return self._queue.get("")

    def submits(self) -> list[Submit]:
        """What was handed in and is not a job yet."""
        return self._submits.get("")

    def forget(self, job: str) -> None:
        """A job was changed or deleted by this server."""
        for cache in (self._now, self._ended):
            cache.forget(job)
        self.counting.forget(job)
        self._ids.forget("")

    def _read_ids(self) -> list[str]:
        return sorted(job_ids(self._connection.store), reverse=True)

    def _look(self, job: str) -> JobStatus | None:
        try:
            record = find_record(self._connection.store, job)
            return look(self._connection, record) if record is not None else None
        except Corrupt as error:
            log.warning("skipped job %s: %s", job, error)
            return None


def overviews(request: Request) -> Overviews:
    """The caches of this server."""
    state = request.app.state
    if not hasattr(state, "overviews"):
        state.overviews = Overviews(context_of(request))
    found: Overviews = state.overviews
    return found


def address_of(job: JobStatus) -> str:
    """The path of a job's page: by its name, unless the name is a page of the desk."""
    return f"/jobs/{job.id if job.job in _TAKEN else job.job}"


def shares(counts: dict[str, int], whole: int) -> Iterable[tuple[str, int, float]]:
    """Counts with their share of the whole, in percent; the largest first."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [(name, count, 100 * count / whole if whole else 0.0) for name, count in ranked]
