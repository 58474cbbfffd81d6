"""A worker from start to stop: engines, housekeeping, drain."""

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
from inkmill.monitor import Monitor, serve
from inkmill.settings import Settings
from inkmill.worker import gpus, metrics, sizing
from inkmill.worker.chunk.context import Context
from inkmill.worker.outbox import Outbox
from inkmill.worker.pool import EnginePool

log = logging.getLogger(__name__)

#: How often housekeeping looks whether a task is due (seconds).
_TICK = 0.2
#: How often a worker reports that it is alive (seconds).
_REPORT = 5.0
#: A clock that differs from Redis's by more than this causes a warning (seconds) ...
_CLOCK_TOLERANCE = 5.0
#: ... and is compared this often (seconds).
_CLOCK_CHECK = 600.0


class Service:
    """Everything that a worker's main process runs besides Celery."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.slots = sizing.slots(settings)
        store, queue = open_store(settings), Queue(settings)
        self._outbox = Outbox(settings, store, queue)
        engines, threads = sizing.engine_count(settings), sizing.threads(settings)
        self.context = Context.of(
            settings=settings,
            store=store,
            queue=queue,
            pool=EnginePool(settings, engines, threads, devices=self._devices()),
            client=s3_client(settings),
            name=name,
            tell=self._outbox.hurry,
        )
        # Housekeeping does not wait for servers: it is due again in a moment.
        self._queue = self.context.queue.plain
        self._house = threading.Thread(target=self._keep_house, name="house", daemon=True)
        self._drained = threading.Event()
        self.wellbeing = metrics.Wellbeing()
        self._monitor: Monitor | None = None
        self._due = dict.fromkeys(("markers", "report", "clock", "model", "sweep"), 0.0)

    def _devices(self) -> tuple[str, ...]:
        """The GPUs that compute for the engines; none is usual."""
        found = gpus.gpus(self.settings)
        if found.trouble:
            log.warning("%s: %s", found.trouble, found.remedy)
        for number, name in enumerate(found.names):
            log.info("GPU:%d, %s, computes for the engines", number, name)
        return found.devices

    def start(self) -> None:
        """Start the engines and load the latest model, so that the first chunk finds it warm."""
        started = time.monotonic()
        try:
            self.context.pool.wait_ready()
        except InkmillError as error:
            log.warning("%s: the worker starts anyway, and chunks wait for it", error)
        self.context.models.poll()
        log.info(
            "%d engines with %d threads each are ready after %.1f s, %d chunks at once",
            sizing.engine_count(self.settings),
            sizing.threads(self.settings),
            time.monotonic() - started,
            self.slots,
        )

    def ready(self) -> None:
        """Celery takes messages from now on: start housekeeping."""
        log.info("worker %s is ready", self.name)
        self._house.start()
        self._outbox.start()
        self._monitor = serve(
            self.settings.metrics_listen,
            metrics.REGISTRY,
            alive=self.wellbeing.alive,
            ready=self.wellbeing.ready,
        )

    def _keep_house(self) -> None:
        tasks: tuple[tuple[str, float, Callable[[], object]], ...] = (
            ("markers", 0.0, self.context.markers.flush),
            ("report", _REPORT, self._report),
            ("clock", _CLOCK_CHECK, self._check_clock),
            ("model", self.settings.model_poll_interval, self.context.models.poll),
            ("sweep", self.settings.reconcile_interval, self._sweep),
        )
        while not self.context.stopping.wait(_TICK):
            self.wellbeing.came_round()
            for name, interval, task in tasks:
                if time.monotonic() < self._due[name]:
                    continue
                self._due[name] = time.monotonic() + interval
                try:
                    task()
                except InkmillError as error:
                    metrics.HOUSEKEEPING_ERRORS.labels(name).inc()
                    log.warning("%s: %s", name, error)
                except Exception:
                    metrics.HOUSEKEEPING_ERRORS.labels(name).inc()
                    # Housekeeping must outlive any single failure: chunks depend on it.
                    log.exception("%s failed; retrying", name)

    def _report(self) -> None:
        self._queue.report_worker(self.name, self.slots, rate=metrics.RATE.read())
        self._queue.report_speeds(self.context.speeds.take())
        self.wellbeing.reported()

    def _sweep(self) -> None:
        sweep(self.context.store.plain, self._queue, self.settings.reconcile_interval)

    def _check_clock(self) -> None:
        """Delivery does not depend on this host's clock, but logs and S3 signatures do."""
        apart = time.time() - self._queue.clock()
        if abs(apart) > _CLOCK_TOLERANCE:
            log.warning(
                "this host's clock is %.0f s %s Redis's: synchronise it (chrony, "
                "systemd-timesyncd); from 15 minutes on, S3 refuses requests",
                abs(apart),
                "ahead of" if apart > 0 else "behind",
            )

    def drain(self) -> None:
        """Stopping was asked for: finish the chunks in hand, until the drain deadline at most."""
        log.info(
            "stopping: finishing the chunks in hand, for at most %.0f s",
            self.settings.drain_deadline,
        )
        threading.Thread(target=self._deadline, name="drain", daemon=True).start()

    def _deadline(self) -> None:
        if self._drained.wait(self.settings.drain_deadline):
            return
        log.warning("the drain deadline passed: chunks in hand go back to the queue")
        self.context.stopping.set()
        self.context.pool.stop()
        if not self._drained.wait(10.0):
            # A thread hangs; its message is delivered again after the visibility timeout.
            os._exit(1)

    def stop(self) -> None:
        """Nothing is in hand any more: stop the engines and take the worker off the list."""
        self._drained.set()
        self.context.stopping.set()
        self.context.pool.stop()
        if self._monitor is not None:
            self._monitor.close()
        self.context.markers.flush()
        self._outbox.close()
        if self.context.traces is not None:
            self.context.traces.close()
        try:
            self._queue.forget_worker(self.name)
        except InkmillError as error:
            log.debug("the worker stays on the list until its last report expires: %s", error)
        log.info("worker %s has stopped", self.name)
