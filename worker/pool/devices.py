"""The predictor processes of a worker, one for each device: started, watched, started again.

Nothing depends on them: an engine whose device is lost reads by itself, and goes back to it when
there is a process again. One that ends is started again after a pause, which doubles each time,
since a GPU that has fallen off its bus stays away.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial

from inkmill.errors import CannotStart, InkmillError, ModelError
from inkmill.processes import starting
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import DIGITS, Door, ModelPayload
from inkmill.worker.pool.device import DeviceHandle, DeviceLost
from inkmill.worker.pool.pauses import Pauses

log = logging.getLogger(__name__)

#: First and longest pause before a process that ended is started again (seconds).
_PAUSES = (1.0, 300.0)
#: One that served for so long begins with the first pause again (seconds).
_PROVED = 60.0
#: Files that could not be had for a device are fetched again no sooner than this (seconds).
_FETCH_PAUSE = 60.0


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
        self._connecting = Pauses(*_PAUSES)
        #: Version -> when its files may be fetched (again) for a device.
        self._fetch_after: dict[str, float] = {}
        self._places = [_Place(name) for name in names]
        for place in self._places:
            self._start(place, [])

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

    # --- models ----------------------------------------------------------------------------

    def load(self, model: ModelPayload) -> None:
        """Send a model to the devices that need it. Does not wait, and raises nothing: the log has
        the outcome."""
        for handle in self._handles:
            self._send(handle, model)

    def provide(self, version: str, files: Callable[[str], ModelPayload]) -> None:
        """Fetch a version in the background, once, and send it to the devices that need it.

        ``files`` gets its files, and may wait for the store. Does not wait, and raises nothing.
        """
        if not any(handle.needs(version) for handle in self._handles):
            return
        with self._lock:
            if time.monotonic() < self._fetch_after.get(version, 0.0):
                return
            self._fetch_after[version] = math.inf
        try:
            threading.Thread(
                target=self._fetch, args=(version, files), name="fetch", daemon=True
            ).start()
        except RuntimeError as error:  # the host has no more threads
            self._put_off_fetching(version, error)

    def _fetch(self, version: str, files: Callable[[str], ModelPayload]) -> None:
        try:
            model = files(version)
        except InkmillError as error:
            self._put_off_fetching(version, error)
            return
        except Exception as error:
            log.debug("fetching a model failed", exc_info=True)
            self._put_off_fetching(version, error)
            return
        self.load(model)
        # Only now: until it is sent, a device still needs it.
        with self._lock:
            del self._fetch_after[version]

    def _put_off_fetching(self, version: str, error: Exception) -> None:
        with self._lock:
            self._fetch_after[version] = time.monotonic() + _FETCH_PAUSE
        log.warning("devices do not have model %s yet: %s", version[:12], error)

    def _send(self, handle: DeviceHandle, model: ModelPayload) -> None:
        if model.kind != DIGITS:  # strips are read by engines themselves
            return
        try:
            outcome = handle.load(model)
        except Exception:
            log.exception("%s is not sent model %s", handle.device, model.version[:12])
            return
        if outcome is not None:
            outcome.add_done_callback(partial(_note, handle.device, model.version[:12]))

    def compute(self, version: str) -> bool:
        """Whether all devices serve the engines, and hold a version."""
        holding = [handle for handle in list(self._serving) if handle.holds(version)]
        return len(holding) == len(self._places)

    # --- processes -------------------------------------------------------------------------

    def check(self, models: Iterable[ModelPayload]) -> None:
        """Start processes again, with the ``models`` that serve, and connect engines that ask.

        Raises nothing: what watches engines calls it.
        """
        try:
            for place in self._places:
                if place.handle is not None:
                    place.handle.check()
                if self._closed:
                    return
                if place.handle is None or not place.handle.alive:
                    self._start_again(place, list(models))
            if self._places:
                if self._connecting.due(time.monotonic()):
                    self._connect()
                metrics.DEVICES.set(len(self._serving))
                metrics.DEVICES_MISSING.set(sum(place.lost for place in self._places))
        except Exception:
            log.exception("watching the devices failed; continuing")

    def _start_again(self, place: _Place, models: Sequence[ModelPayload]) -> None:
        if not place.pauses.waiting and place.handle is not None:
            metrics.DEVICE_RESTARTS.inc()
            place.put_off(f"the predictor process of {place.device} is lost ({place.handle.cause})")
        if place.pauses.due(time.monotonic()):
            self._start(place, models)

    def _start(self, place: _Place, models: Sequence[ModelPayload]) -> None:
        try:
            with starting(f"the predictor process of {place.device}"):
                place.handle = DeviceHandle(self._settings, place.device, self._threads)
        except CannotStart as error:
            place.put_off(str(error))
            return
        place.pauses.tried()
        if self._closed:  # meanwhile
            place.handle.close()
        for model in models:
            self._send(place.handle, model)

    def _connect(self) -> None:
        """Connect engines that ask; all of them, once a process has become ready or was lost."""
        serving = [place for place in self._places if place.serves]
        for place in serving:
            place.note_service()
        handles = [place.handle for place in serving if place.handle is not None]
        changed = handles != self._serving
        with self._lock:
            doors = list(self._doors.items()) if handles else []
        try:
            with starting("a connection of an engine to its device"):
                for number, door in doors:
                    if door.was_asked() or changed:
                        handles[number % len(handles)].connect(door)
        except CannotStart as error:
            self._serving = []  # all of them are connected next time
            pause = self._connecting.fail(time.monotonic())
            log.error("%s; engines compute on the processors, next try in %.0f s", error, pause)
            return
        self._connecting.forget()
        self._serving = handles

    @property
    def _handles(self) -> list[DeviceHandle]:
        return [place.handle for place in self._places if place.handle is not None]

    @property
    def pids(self) -> list[int]:
        return [handle.pid for handle in self._handles]

    def close(self) -> None:
        """Kill the processes; none is started again."""
        self._closed = True
        for handle in self._handles:
            handle.close()


class _Place:
    """A device: its process, if one was started, and when the next one is."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.handle: DeviceHandle | None = None
        self.pauses, self.since = Pauses(*_PAUSES), 0.0
        #: Whether it served, or was to serve, and does not: a first process that starts is no loss.
        self.lost = False

    @property
    def serves(self) -> bool:
        return self.handle is not None and self.handle.alive and self.handle.ready.is_set()

    def put_off(self, cause: str) -> None:
        """There is no process: the next one is started after the pause."""
        self.lost, self.since = True, 0.0
        pause = self.pauses.fail(time.monotonic())
        log.error("%s; engines compute without it, next try in %.0f s", cause, pause)

    def note_service(self) -> None:
        """It serves: say so once, and trust it again after a while."""
        now = time.monotonic()
        if not self.since:
            log.info("the predictor process of %s is ready", self.device)
            self.lost, self.since = False, now
        elif now - self.since > _PROVED:
            self.pauses.forget()


def _note(device: str, version: str, load: Future[str]) -> None:
    """Log what became of a model on a device."""
    try:
        log.info("%s computes model %s in %s", device, version, load.result())
    except ModelError as error:
        log.error("%s: %s; engines compute it on the processors", device, error)
    except DeviceLost as error:
        log.warning("%s does not have model %s yet: %s", device, version, error)
