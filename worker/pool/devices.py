"""The predictor processes of a worker, one for each device: started, watched, started again.

Nothing depends on them: an engine whose device is lost reads by itself, and goes back to it when
there is a process again. One that ends is started again after a pause, which doubles each time,
since a GPU that has fallen off its bus stays away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from inkmill.errors import ModelError
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import DIGITS, Door, ModelPayload
from inkmill.worker.pool.device import DeviceHandle, DeviceLost

log = logging.getLogger(__name__)

#: First and longest pause before a process that ended is started again (seconds).
_PAUSES = (1.0, 300.0)
#: One that served for so long begins with the first pause again (seconds).
_PROVED = 60.0
#: A device may take so long for a model before the worker goes on without it (seconds).
_LOAD_SECONDS = 120.0


class Devices:
    """The devices ``names``, such as "GPU:0"; none is usual, and costs nothing.

    The engines are divided, by their numbers, among those that serve. ``check`` is called by one
    thread, the rest by many.
    """

    def __init__(self, settings: Settings, names: Sequence[str], threads: int) -> None:
        self._settings = settings
        self._threads = threads
        self._lock = threading.Lock()
        self._doors: dict[int, Door] = {}
        self._closed = False
        self._serving: list[DeviceHandle] = []
        self._places = [_Place(DeviceHandle(settings, name, threads)) for name in names]

    def admit(self, engine: int) -> Door | None:
        """The other end of a door for the engine with this number, which has just been started or
        replaced; None where there are no devices."""
        if not self._places:
            return None
        ours, theirs = Door.pair()
        with self._lock:
            if (old := self._doors.get(engine)) is not None:
                old.close()
            self._doors[engine] = ours
        return theirs

    def load(self, model: ModelPayload) -> list[Future[str]]:
        """Send a model of digits to all devices; strips are read by engines themselves."""
        if model.kind != DIGITS:
            return []
        return [place.handle.load(model) for place in self._places]

    def lack(self, version: str) -> bool:
        """Whether a device is to be sent this version."""
        return any(place.handle.lacks(version) for place in self._places)

    def check(self, models: Iterable[ModelPayload]) -> None:
        """Start processes again, with the ``models`` that serve, and connect engines that ask."""
        for place in self._places:
            place.handle.check()
            if self._closed:
                return
            if not place.handle.alive:
                self._start_again(place, models)
        if self._places:
            self._connect()
            metrics.DEVICES.set(len(self._serving))

    def _start_again(self, place: _Place, models: Iterable[ModelPayload]) -> None:
        handle, now = place.handle, time.monotonic()
        place.since = 0.0
        if not place.again:
            metrics.DEVICE_RESTARTS.inc()
            place.again = now + place.pause
            log.error(
                "the predictor process of %s is lost (%s): engines compute on the processors, next "
                "try in %.0f s",
                handle.device,
                handle.cause,
                place.pause,
            )
            place.pause = min(2 * place.pause, _PAUSES[1])
        if now < place.again:
            return
        place.handle, place.again = DeviceHandle(self._settings, handle.device, self._threads), 0.0
        for model in models:
            if model.kind == DIGITS:
                place.handle.load(model)

    def _connect(self) -> None:
        """Connect engines that ask; all of them, once a process has become ready or was lost."""
        serving = [place for place in self._places if place.serves]
        for place in serving:
            place.note_service()
        handles = [place.handle for place in serving]
        changed, self._serving = handles != self._serving, handles
        with self._lock:
            doors = list(self._doors.items()) if handles else []
        for number, door in doors:
            if door.was_asked() or changed:
                handles[number % len(handles)].connect(door)

    @property
    def pids(self) -> list[int]:
        return [place.handle.pid for place in self._places]

    def close(self) -> None:
        """Kill the processes; none is started again."""
        self._closed = True
        for place in self._places:
            place.handle.close()


class _Place:
    """A device: its process, when the next one is started, and the pause after that."""

    def __init__(self, handle: DeviceHandle) -> None:
        self.handle = handle
        self.again, self.pause, self.since = 0.0, _PAUSES[0], 0.0

    @property
    def serves(self) -> bool:
        return self.handle.alive and self.handle.ready.is_set()

    def note_service(self) -> None:
        """It serves: say so once, and trust it again after a while."""
        now = time.monotonic()
        if not self.since:
            log.info("the predictor process of %s is ready", self.handle.device)
            self.since = now
        elif now - self.since > _PROVED:
            self.pause = _PAUSES[0]


def outcome(loads: Sequence[Future[str]]) -> str:
    """Wait until the devices have a model; its precision there, "" if it is on none of them."""
    precision = ""
    until = time.monotonic() + _LOAD_SECONDS
    for load in loads:
        try:
            precision = load.result(max(0.0, until - time.monotonic())) or precision
        except ModelError as error:
            log.error("%s; engines compute it on the processors", error)
        except (DeviceLost, TimeoutError) as error:
            log.warning("a device does not have the model yet: %s", error or "it takes long")
    return precision
