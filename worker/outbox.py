"""Delivers the notices in the outbox (`inkmill.lifecycle.outbox`), in a thread of its own.

The worker that finishes a job sends its notice at once. Others look now and then for notices that
are due: because their receiver did not take them, or because whoever had them was killed.
"""

from __future__ import annotations

import logging
import threading
import time
from queue import Empty, SimpleQueue

from inkmill.backends.queue import Queue
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, InkmillError, NotFound, StoreDenied, Unreachable
from inkmill.lifecycle import outbox, reconcile
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.summary import load_summary
from inkmill.log import Repeats
from inkmill.records.notices import notice
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.webhook import NotDelivered, deliver

log = logging.getLogger(__name__)

#: Seconds between two looks in the whole cluster.
_LOOK_SECONDS = 5.0
#: A stopping worker takes so long for what it has begun (seconds).
_LAST_SECONDS = 12.0


class Outbox:
    """Sends notices until it is closed. ``hurry`` may be called from any thread."""

    def __init__(self, settings: Settings, store: Store, queue: Queue) -> None:
        self._settings, self._store, self._queue = settings, store, queue
        self._fresh: SimpleQueue[str] = SimpleQueue()
        self._stopping = threading.Event()
        self._repeats = Repeats()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def hurry(self, job: str) -> None:
        """This job's notice was just written."""
        self._fresh.put(job)

    def close(self) -> None:
        """Send what was just written, and stop. What is left waits for another worker."""
        self._stopping.set()
        if self._thread.is_alive():
            self._fresh.put("")
            self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                job = self._fresh.get(timeout=_LOOK_SECONDS)
            except Empty:
                job = ""
            if not job and self._stopping.is_set():
                return
            try:
                if job:
                    self.send(job)
                else:
                    self.look()
            except InkmillError as error:
                log.warning("outbox: %s", error)
            except Exception:
                # The thread must outlive any single failure: notices depend on it.
                log.exception("the outbox failed; retrying")

    def look(self) -> None:
        """Send what is due, unless another worker looked just now."""
        try:
            if not self._queue.may_deliver(_LOOK_SECONDS):
                return
        except Unreachable as error:
            log.debug("every worker looks into the outbox: %s", error)
        for job in outbox.pending(self._store):
            if self._stopping.is_set():
                return
            try:
                self.send(job)
            except (Unreachable, StoreDenied):
                raise
            except InkmillError as error:
                # One that is damaged, or newer, must not hold up the others.
                line = f"skipped the notice of job {job}: {error}"
                log.log(self._repeats.level(line, logging.WARNING), "%s", line)

    def send(self, job: str, now: float | None = None) -> None:
        """Make one attempt at a job's notice, if it is due."""
        now = time.time() if now is None else now
        claimed = outbox.claim(self._store, job, now)
        if claimed is None:
            return
        try:
            record = read_record(self._store, job)
            summary = load_summary(self._store, record)
        except NotFound:  # it was deleted
            outbox.done(self._store, claimed)
            return
        except Corrupt as error:
            self._failed(claimed, NotDelivered(str(error)), now)
            return
        if summary is None:
            return  # it is being read again, and its end will write the notice anew
        made = notice(
            record, summary, cancelled=reconcile.was_cancelled(self._store, record, summary)
        )
        try:
            deliver(self._settings, record.on_done, made)
        except NotDelivered as error:
            self._failed(claimed, error, now)
            return
        outbox.done(self._store, claimed)
        metrics.NOTICES.labels("delivered").inc()
        log.info("the notice of job %s's end was delivered", record.label, extra={"job": job})

    def _failed(self, claimed: outbox.Claim, error: NotDelivered, now: float) -> None:
        is_over = error.final or claimed.is_last(now)
        logged = {"job": claimed.job}
        if is_over:
            outbox.done(self._store, claimed)
            log.error("the notice of job %s is given up: %s", claimed.job, error, extra=logged)
        else:
            outbox.failed(self._store, claimed, str(error))
            log.warning(
                "the notice of job %s was not taken (attempt %d): %s",
                claimed.job,
                claimed.waiting.attempts,
                error,
                extra=logged,
            )
        metrics.NOTICES.labels("given_up" if is_over else "failed").inc()
