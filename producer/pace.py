"""How fast the queue gets shorter, from one look at it to the next."""

from __future__ import annotations

from collections import deque

from inkmill.producer.overview import OpenJob, Overview

#: The rate behind the estimate of the time left is that of the last ten minutes.
_RATE_SECONDS = 600.0
#: The rate of a job is that of the last minute, so that a person sees a change.
_JOB_SECONDS = 60.0


class Pace:
    """How fast chunks were finished lately, from one look to the next."""

    def __init__(self) -> None:
        self._done = 0
        self._before: dict[str, int] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, found: Overview) -> None:
        """Another look: what is left of each job has been finished since the last one."""
        now = {job.id: job.left for job in found.jobs}
        gone = self._before.keys() - now.keys()
        self._done += sum(self._before[job] for job in gone)
        self._done += sum(
            max(0, self._before[job] - left) for job, left in now.items() if job in self._before
        )
        self._before = now
        self._seen.append((found.taken, self._done))
        while found.taken - self._seen[0][0] > _RATE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()

    def seconds_left(self, found: Overview) -> float | None:
        """Seconds until the backlog is empty; None while nothing is known about the rate."""
        if not found.chunks_left:
            return 0.0
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        if last <= first or after <= before:
            return None
        return found.chunks_left * (last - first) / (after - before)


class JobPaces:
    """Rows per second of each open job, over the looks of the last minute."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def add(self, found: Overview) -> None:
        """Another look; jobs that are not open any more are forgotten."""
        self._seen = {job.id: self._seen.get(job.id, deque()) for job in found.jobs}
        for job in found.jobs:
            seen = self._seen[job.id]
            seen.append((found.taken, job.rows))
            while found.taken - seen[0][0] > _JOB_SECONDS and len(seen) > 2:
                seen.popleft()

    def rate(self, job: OpenJob) -> float:
        """Rows per second. After a single look, the mean since the job was submitted."""
        seen = self._seen[job.id]
        (first, before), (last, after) = seen[0], seen[-1]
        if len(seen) == 1:
            first, before = job.created, 0
        return max(0, after - before) / (last - first) if last > first else 0.0
