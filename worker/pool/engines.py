"""The engine processes of a worker: a fixed number, watched, replaced as they end.

One that died is replaced at once. One that the host refuses to start, or that ends before it is
ready, is tried again after a pause, which doubles each time, while the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from inkmill.errors import CannotStart, ShuttingDown
from inkmill.processes import starting
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import ModelPayload
from inkmill.worker.pool.devices import Devices
from inkmill.worker.pool.handle import EngineHandle
from inkmill.worker.pool.pauses import Pauses

log = logging.getLogger(__name__)

#: First and longest pause before an engine that could not run is started again (seconds).
_PAUSES = (1.0, 60.0)


class Engines:
    """``count`` engines with so many ``threads`` each, which ``devices`` compute for.

    ``check`` is called by one thread, the rest by many. Raises CannotStart where the host refuses
    one of them at the beginning.
    """

    def __init__(self, settings: Settings, count: int, threads: int, devices: Devices) -> None:
        self._settings = settings
        self._threads = threads
        self._devices = devices
        self._changed = threading.Condition()
        self._pauses = [Pauses(*_PAUSES) for _ in range(count)]
        self.stopping = threading.Event()
        self.handles = list[EngineHandle]()
        try:
            for number in range(count):
                self.handles.append(self._start(number))
        except CannotStart:
            self.stop()
            raise

    def _start(self, number: int) -> EngineHandle:
        with starting("an engine"):
            return EngineHandle(self._settings, self._threads, door=self._devices.admit(number))

    def choose(self) -> EngineHandle:
        """The one with the least to do; waits while none is alive. Raises ShuttingDown."""
        with self._changed:
            while True:
                if self.stopping.is_set():
                    raise ShuttingDown("the worker is stopping")
                alive = [engine for engine in self.handles if engine.alive]
                if alive:
                    return min(alive, key=lambda engine: engine.waiting)
                self._changed.wait(0.5)

    def check(self, models: Sequence[ModelPayload]) -> None:
        """Replace engines that died, hang, or hold more memory than allowed; new ones get the
        ``models`` that serve. Raises nothing: without it, no engine would ever be replaced."""
        for number in range(len(self.handles)):
            try:
                self._check_one(number, models)
            except Exception:
                log.exception("watching an engine failed; continuing")
        metrics.ENGINES.set(self._alive)
        metrics.ENGINES_MISSING.set(sum(pauses.failing for pauses in self._pauses))

    def _check_one(self, number: int, models: Sequence[ModelPayload]) -> None:
        engine, pauses = self.handles[number], self._pauses[number]
        engine.check()
        if not pauses.waiting and engine.ready.is_set():
            pauses.forget()
        if engine.alive or self.stopping.is_set():
            return
        if not pauses.waiting and not engine.ready.is_set():
            self._put_off(number, f"an engine ended before it was ready ({engine.cause})")
        if pauses.due(time.monotonic()):
            self._replace(number, models)

    def _replace(self, number: int, models: Sequence[ModelPayload]) -> None:
        dead = self.handles[number]
        try:
            fresh = self._start(number)
        except CannotStart as error:
            self._put_off(number, str(error))
            return
        self._pauses[number].tried()
        with self._changed:
            self.handles[number] = fresh
            self._changed.notify_all()
        if self.stopping.is_set():  # meanwhile
            fresh.close()
        log.warning("an engine was replaced: %s", dead.cause)
        metrics.ENGINE_RESTARTS.inc()
        # Sending waits for the engine's start, and the others must be watched meanwhile.
        threading.Thread(target=_warm, args=(fresh, models), name="warm", daemon=True).start()

    def _put_off(self, number: int, cause: str) -> None:
        pause = self._pauses[number].fail(time.monotonic())
        log.error(
            "%s; %d of %d engines run, next try in %.0f s",
            cause,
            self._alive,
            len(self.handles),
            pause,
        )

    @property
    def _alive(self) -> int:
        return sum(engine.alive for engine in self.handles)

    def stop(self) -> None:
        """Kill all of them; none is started again."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()
        for engine in self.handles:
            engine.close()


def _warm(engine: EngineHandle, models: Sequence[ModelPayload]) -> None:
    """Give a new engine the models that serve, before a chunk asks for them."""
    for model in models:
        engine.load(model)
