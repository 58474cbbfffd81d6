"""Open markers of finished jobs of one chunk: deleted together, so that no chunk waits for it.

A marker that stays, because the worker died before, is found by the next sweep, as is the marker
of any finished job.
"""

from __future__ import annotations

import logging
import threading

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import StoreDenied, Unreachable

log = logging.getLogger(__name__)

#: No more are remembered while the store is away: sweeps take care of the rest.
_MOST = 10_000


class OpenMarkers:
    """Collects from many threads; one thread calls ``flush`` now and then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._jobs: list[str] = []

    def drop(self, job: str) -> None:
        """The job is finished: its marker goes at the next flush."""
        with self._lock:
            if len(self._jobs) < _MOST:
                self._jobs.append(job)

    def flush(self) -> None:
        """Delete the markers, in one request for up to a thousand."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        try:
            self._store.delete(map(names.open_marker, jobs))
        except (Unreachable, StoreDenied) as error:
            log.debug("%d markers remain until the next sweep: %s", len(jobs), error)
