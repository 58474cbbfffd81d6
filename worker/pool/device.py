"""One predictor process, seen from its worker: models out, answers in, and whether it lives."""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict

from inkmill.errors import ModelError
from inkmill.processes import start_linked
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import (
    REFUSED_SECONDS,
    Beat,
    DeviceConfig,
    Door,
    Frame,
    Link,
    ModelPayload,
    Pulse,
    receive,
    send,
)
from inkmill.worker.pool.environment import device_environment

log = logging.getLogger(__name__)

#: A process whose pulse stands still for so long hangs (seconds).
_HUNG_SECONDS = 15.0
#: Until it is ready it has no pulse: importing TensorFlow and opening a GPU take seconds, and on a
#: busy host minutes.
_START_SECONDS = 300.0
#: Bytes of an answer: the outcome of a load.
_MOST_ANSWER = 2**20


class DeviceLost(Exception):
    """The predictor process has ended."""


class DeviceHandle:
    """A running predictor process. Loads may come from many threads.

    Raises OSError where it cannot be started, and leaves nothing open.
    """

    def __init__(self, settings: Settings, device: str, threads: int) -> None:
        self.device = device
        self._sending, self._lock = threading.Lock(), threading.Lock()
        self._numbers = itertools.count(1)
        self._pending: dict[int, tuple[str, Future[str]]] = {}
        self._held: set[str] = set()
        self._refused: dict[str, float] = {}
        self._counted = self._seen = Beat(0, 0, 0, 0)
        self._silent, self._checked, self._beats = 0.0, time.monotonic(), False
        self.ready = threading.Event()
        self.alive = True
        self.cause = ""
        with ExitStack() as undo:
            self._process = self._start(settings, threads, undo)
            threading.Thread(target=self._listen, name=f"device-{self.pid}", daemon=True).start()
            undo.pop_all()

    def _start(self, settings: Settings, threads: int, undo: ExitStack) -> subprocess.Popen[bytes]:
        """``undo`` closes what this worker holds of it."""
        self._pulse = Pulse()
        undo.callback(self._pulse.close)
        self._door, their_door = Door.pair()
        undo.callback(self._door.close)
        passed_on = [their_door.descriptor, self._pulse.descriptor]
        config = json.dumps(asdict(device_config(settings, self.device, threads)))
        try:
            process, connection = start_linked(
                "inkmill.worker.device.main",
                [*map(str, passed_on), config],
                passed_on=passed_on,
                environment=device_environment(os.environ, threads, self.device),
            )
        finally:
            their_door.close()
        undo.callback(process.kill)
        undo.enter_context(connection)
        self._connection = Link(connection)
        undo.callback(self._connection.close)
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    def load(self, model: ModelPayload) -> Future[str] | None:
        """Send a model version; the future holds its precision there, ModelError or DeviceLost.

        None if it is not to be sent: see `needs`.
        """
        future: Future[str] = Future()
        number = next(self._numbers)
        with self._lock:
            if not self._needs(model.version):
                return None
            self._pending[number] = model.version, future
        frame = Frame({"op": "load", "request": number}, model.parts)
        # A process that is starting takes it when it has loaded TensorFlow.
        threading.Thread(target=self._send, args=(frame,), name="load", daemon=True).start()
        return future

    def _send(self, frame: Frame) -> None:
        try:
            with self._sending:
                send(self._connection, frame)
        except (OSError, ValueError):
            # The listener sees the end of the connection too, and sets the future.
            log.debug("process %d closed the connection while it was sent a model", self.pid)

    def needs(self, version: str) -> bool:
        """Whether a version is to be sent: the process lives, and the version is neither there, nor
        on its way, nor was refused lately."""
        with self._lock:
            return self._needs(version)

    def holds(self, version: str) -> bool:
        """Whether the process has said that it computes with a version."""
        with self._lock:
            return self.alive and version in self._held

    def _needs(self, version: str) -> bool:
        if not self.alive or version in self._held:
            return False
        on_its_way = any(waiting == version for waiting, _ in self._pending.values())
        return not on_its_way and time.monotonic() >= self._refused.get(version, 0.0)

    def connect(self, engine: Door) -> None:
        """Give an engine a connection of its own to this process."""
        ours, theirs = socket.socketpair()
        self._door.hand_over(ours)
        engine.hand_over(theirs)

    def check(self) -> None:
        """Kill the process if it hangs, and count what it did; called each quarter second."""
        with self._lock:
            if not self.alive:
                return
            now, beat = time.monotonic(), self._pulse.read()
        # A longer pause was one of the whole worker, and says nothing about the process.
        passed, self._checked = min(now - self._checked, 1.0), now
        moved, self._seen = beat.beat != self._seen.beat, beat
        # It beats from "ready" on: the silence of its start does not count any more.
        began, self._beats = self._beats, self.ready.is_set()
        self._silent = 0.0 if moved or began != self._beats else self._silent + passed
        limit = _HUNG_SECONDS if self._beats else _START_SECONDS
        if self._silent > limit:
            self.cause = f"it hung for {limit:.0f} s"
            self._process.kill()
        self._count(beat)

    def _count(self, beat: Beat) -> None:
        metrics.DEVICE_REQUESTS.inc(beat.requests - self._counted.requests)
        metrics.DEVICE_BATCHES.inc(beat.batches - self._counted.batches)
        metrics.DEVICE_CROPS.inc(beat.crops - self._counted.crops)
        self._counted = beat

    def _listen(self) -> None:
        """Pass answers on to those who wait, until the process ends."""
        try:
            while True:
                frame = receive(self._connection, _MOST_ANSWER)
                if frame.head["op"] == "ready":
                    self.ready.set()
                else:
                    self._settle(frame)
        except (EOFError, OSError):
            log.debug("process %d has gone", self.pid)
        except Exception as error:
            # Whatever it is: nobody else would ever answer those who wait.
            self.cause = f"its answer is none ({type(error).__name__}: {error})"
        self._bury()

    def _settle(self, frame: Frame) -> None:
        head = frame.head
        with self._lock:
            version, future = self._pending.pop(int(head["request"]))
            if head["op"] == "loaded":
                self._held = set(map(str, head["versions"]))
            else:
                self._refused[version] = time.monotonic() + REFUSED_SECONDS
        if head["op"] == "loaded":
            future.set_result(str(head["precision"]))
        else:
            future.set_exception(ModelError(str(head["message"])))

    def _bury(self) -> None:
        self._process.kill()
        returned = self._process.wait()
        with self._lock:
            self.alive = False
            self.cause = self.cause or _how(returned)
            self._pulse.close()
            pending, self._pending = self._pending, {}
        for _, future in pending.values():
            future.set_exception(DeviceLost(self.cause))
        # A sender notices the end by itself; its descriptor must not be closed while it writes.
        with self._sending:
            self._connection.close()
        self._door.close()

    def close(self) -> None:
        """Kill the process; the listener closes the connections."""
        self._process.kill()


def _how(returned: int) -> str:
    if returned < 0:
        return f"it was killed by signal {-returned}"
    return f"it ended with code {returned}"


def device_config(settings: Settings, device: str, threads: int) -> DeviceConfig:
    """The part of the settings that a predictor process needs."""
    return DeviceConfig(
        device=device,
        models_kept=settings.models_kept,
        threads=threads,
        delay=settings.gpu_delay,
        cache_dir=str(settings.cache_dir),
        log_format=settings.log_format,
        log_level=settings.log_level,
    )
