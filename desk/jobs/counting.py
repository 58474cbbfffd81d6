"""The rows of finished jobs as they hold, counted beside what the server answers.

Every value that people enter may change a document, and so the counts of its job. Going through
some thousand rows takes seconds, for which nobody should wait, and which ten people at work would
cause again and again. So pages show the last counts known, and new ones are made in a thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from inkmill.errors import InkmillError
from inkmill.producer import JobStatus, results
from inkmill.producer.connection import Connection
from inkmill.producer.status import FEW_ROWS
from inkmill.records.rows import Counts, Row, count

log = logging.getLogger(__name__)

#: A job is counted again after so many seconds, and after ten times what the last count took.
_LEAST_SECONDS, _SPARING = 10.0, 10.0
#: Jobs whose rows are held: those of one take some megabytes.
_MOST = 8


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of a job without their cells, and their counts; ``took`` are seconds."""

    rows: Sequence[Row]
    counts: Counts
    made: float
    took: float


class Counting:
    """Counts the rows of one server's jobs, one job at a time."""

    def __init__(self, connection: Connection, tell: Callable[[str], None]) -> None:
        self._connection = connection
        self._tell = tell
        self._known: OrderedDict[str, Counted] = OrderedDict()
        self._asked = set[str]()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="counting")

    def rows(self, job: str) -> Sequence[Row] | None:
        """The rows of a finished job as they were when it was last counted; None if it was not."""
        with self._lock:
            found = self._known.get(job)
        return found.rows if found is not None else None

    def current(self, found: JobStatus) -> JobStatus:
        """A finished job's status with the last counts that are known; others are then made.

        ``tell`` is called with the job's id when there are new ones.
        """
        if found.rows > FEW_ROWS:
            return found
        with self._lock:
            known, now = self._known.get(found.id), time.monotonic()
            if found.settled:
                if known is not None and known.counts.statuses != found.statuses:
                    del self._known[found.id]  # somebody else counted since
                return found
            due = known is None or now - known.made > max(_LEAST_SECONDS, _SPARING * known.took)
            if due and found.id not in self._asked:
                self._asked.add(found.id)
                self._threads.submit(self._count, found.id)
        if known is None:
            return found
        counts = known.counts
        return replace(found, statuses=counts.statuses, codes=counts.codes, settled=True)

    def forget(self, job: str) -> None:
        """A job was changed or deleted."""
        with self._lock:
            self._known.pop(job, None)

    def _count(self, job: str) -> None:
        began = time.monotonic()
        try:
            rows = [_without_cells(row) for row in results(job, connection=self._connection)]
            now = time.monotonic()
            with self._lock:
                self._known[job] = Counted(rows, count(rows), now, now - began)
                self._known.move_to_end(job)
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
            self._tell(job)
        except InkmillError as error:
            log.info("the rows of job %s were not counted: %s", job, error)
        finally:
            with self._lock:
                self._asked.discard(job)


def _without_cells(row: Row) -> Row:
    return replace(row, fields=tuple(replace(each, cells=()) for each in row.fields))
