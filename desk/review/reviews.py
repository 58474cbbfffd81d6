"""The reviews that a server process has in hand, one for each job that people work on."""

from __future__ import annotations

import threading
from collections import OrderedDict

from inkmill.desk.review.cutting.pictures import Pictures
from inkmill.desk.review.work import JobReview
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection

#: Jobs that are held at a time: what is known of one takes some megabytes.
_MOST = 16


class Reviews:
    """Finds the review of a job; all requests of a process share it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, JobReview] = OrderedDict()
        self._lock = threading.Lock()
        self.pictures = Pictures(connection, connection.settings.cache_dir / "desk-pictures")

    def of(self, job: str) -> JobReview:
        """The review of a job by its name or id. Raises NotFound, or UsageError without a form."""
        record = self._connection.jobs.get(job)
        with self._lock:
            if (found := self._known.get(record.job)) is not None:
                self._known.move_to_end(record.job)
                return found
        made = JobReview(self._connection, load_job(self._connection.store, job).job)
        with self._lock:
            found = self._known.setdefault(record.job, made)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return found

    def close(self) -> None:
        """End the process that cuts pictures."""
        self.pictures.close()
