"""A worker's life: start engines, keep house, drain, stop."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from inkmill.backends.queue import Queue
from inkmill.backends.store import open_store, s3_client
from inkmill.errors import InkmillError
from inkmill.lifecycle.reconcile import sweep
from inkmill.settings import Settings
from inkmill.worker import sizing
from inkmill.worker.context import Context
from inkmill.worker.pool.pool import EnginePool

log = logging.getLogger(__name__)

#: The housekeeping looks whether something is due this often (seconds).
_TICK = 0.2
#: How often a worker reports that it lives (seconds).
_REPORT = 5.0
#: Clocks further apart than this are worth a warning, every so often (seconds).
_CLOCK, _CLOCK_LOOK = 5.0, 600.0


class Service:
    """Everything that a worker runs beside Celery."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.slots = sizing.slots(settings)
        engines, threads = sizing.engine_count(settings), sizing.threads(settings)
        self.context = Context.of(
            settings=settings,
            store=open_store(settings),
            queue=Queue(settings),
            pool=EnginePool(settings, engines, threads),
            client=s3_client(settings),
            name=name,
        )
        # Housekeeping does not wait for servers: it is due again in a moment.
        self._queue = self.context.queue.plain
        self._house = threading.Thread(target=self._keep_house, name="house", daemon=True)
        self._drained = threading.Event()
        self._due = dict.fromkeys(("markers", "report", "clock", "model", "sweep"), 0.0)

    def start(self) -> None:
        """Start the engines and load the latest model, so that the first chunk finds it warm."""
        started = time.monotonic()
        try:
            self.context.pool.wait_ready()
        except InkmillError as error:
            log.warning("%s: going on, chunks wait for it", error)
        self.context.models.poll()
        log.info(
            "%d engines with %d threads each are ready after %.1f s, %d chunks at once",
            sizing.engine_count(self.settings),
            sizing.threads(self.settings),
            time.monotonic() - started,
            self.slots,
        )

    def ready(self) -> None:
        """Celery consumes: begin to report, to look for models and to reconcile."""
        log.info("worker %s is ready", self.name)
        self._house.start()

    def _keep_house(self) -> None:
        tasks: tuple[tuple[str, float, Callable[[], object]], ...] = (
            ("markers", 0.0, self.context.markers.flush),
            (
                "report",
                _REPORT,
                lambda: self._queue.report_worker(self.name, self.slots),
            ),
            ("clock", _CLOCK_LOOK, self._look_at_clock),
            ("model", self.settings.model_poll_interval, self.context.models.poll),
            ("sweep", self.settings.reconcile_interval, self._sweep),
        )
        while not self.context.stopping.wait(_TICK):
            for name, interval, task in tasks:
                if time.monotonic() < self._due[name]:
                    continue
                self._due[name] = time.monotonic() + interval
                try:
                    task()
                except InkmillError as error:
                    log.warning("%s: %s", name, error)
                except Exception:
                    # Housekeeping must outlive any single failure: chunks depend on it.
                    log.exception("%s failed and is tried again", name)

    def _report(self) -> None:
        self._queue.report_worker(self.name, self.slots)

    def _sweep(self) -> None:
        sweep(self.context.store.plain, self._queue, self.settings.reconcile_interval)

    def _look_at_clock(self) -> None:
        """Nothing is delivered by this host's clock, but logs and S3 signatures go by it."""
        apart = time.time() - self._queue.clock()
        if abs(apart) > _CLOCK:
            log.warning(
                "this host's clock is %.0f s %s Redis's: synchronise it (chrony, "
                "systemd-timesyncd); S3 refuses requests from 15 minutes on",
                *(abs(apart), "ahead of" if apart > 0 else "behind"),
            )

    def leave(self) -> None:
        """Told to stop: finish what is in hand, at most until the drain deadline."""
        log.info(
            "leaving: finishing the chunks in hand, at most %.0f s", self.settings.drain_deadline
        )
        threading.Thread(target=self._deadline, name="drain", daemon=True).start()

    def _deadline(self) -> None:
        if self._drained.wait(self.settings.drain_deadline):
            return
        log.warning("the drain deadline passed: what is in hand goes back to the queue")
        self.context.stopping.set()
        self.context.pool.stop()
        if not self._drained.wait(10.0):
            os._exit(1)  # a thread hangs; its message is delivered again after the timeout

    def stop(self) -> None:
        """Everything in hand is done: end the engines and take the worker off the list."""
        self._drained.set()
        self.context.stopping.set()
        self.context.pool.stop()
        self.context.markers.flush()
        try:
            self._queue.forget_worker(self.name)
        except InkmillError as error:
            log.debug("not taken off the list: %s", error)
        log.info("worker %s has left", self.name)
