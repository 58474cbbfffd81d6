"""What a predictor process says to engines and to its worker."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from inkmill.errors import ModelError
from inkmill.worker.device.gathering import Gatherer, Waiting
from inkmill.worker.device.models import DeviceModels, OpenModel
from inkmill.worker.link import (
    ABSENT,
    BadFrame,
    CropReadings,
    CropRequest,
    Door,
    Frame,
    Link,
    Pulse,
    receive,
    send,
)

log = logging.getLogger(__name__)

#: The pulse beats so often while nobody asks (seconds).
_BEAT = 0.5


class PredictorServer:
    """Reads crops of all engines that are connected, several requests in one batch.

    Each engine has a thread, which waits for its request, its turn and its answer: one that sends
    nonsense, or reads no answer, holds up nobody else.
    """

    def __init__(
        self, open_model: OpenModel, *, kept: int, most: int, delay: float, pulse: Pulse
    ) -> None:
        self._opener = ThreadPoolExecutor(1, "opener")
        self._models = DeviceModels(kept, open_model, self._opener)
        self._engines = 0
        self._lock = threading.Lock()
        self._gatherer = Gatherer(most, delay, lambda: self._engines)
        self._pulse = pulse

    # --- the worker ------------------------------------------------------------------------

    def obey(self, worker: Link) -> None:
        """Load what the worker sends. Raises EOFError or OSError when it has gone."""
        send(worker, Frame({"op": "ready", "pid": os.getpid()}))
        while True:
            self._opener.submit(self._load, worker, receive(worker))

    def _load(self, worker: Link, frame: Frame) -> None:
        head = {"op": "loaded", "request": frame.head["request"]}
        manifest, weights, golden = (bytes(part) for part in frame.parts)
        try:
            head["precision"] = self._models.load(manifest, weights, golden)
            head["versions"] = self._models.versions
        except ModelError as error:
            head.update(op="refused", message=str(error))
        except Exception as error:
            log.exception("a model could not be loaded")
            head.update(op="refused", message=f"{type(error).__name__}: {error}")
        send(worker, Frame(head))

    def admit(self, door: Door) -> None:
        """Serve the engines that the worker sends. Raises EOFError when it has gone."""
        while True:
            if (link := door.take(wait=True)) is not None:
                self.connect(link)

    # --- engines ---------------------------------------------------------------------------

    def connect(self, link: Link) -> None:
        """Serve an engine until it closes the connection."""
        with self._lock:
            self._engines += 1
        threading.Thread(target=self._serve, args=(link,), name="engine", daemon=True).start()

    def _serve(self, link: Link) -> None:
        try:
            while True:
                self._read(CropRequest.receive(link)).send(link)
        except (EOFError, OSError):
            log.debug("an engine has gone")
        except BadFrame as error:
            log.error("an engine is not served any more, since it sends nonsense: %s", error)
        finally:
            with self._lock:
                self._engines -= 1
            link.close()

    def _read(self, request: CropRequest) -> CropReadings:
        predictor = self._models.find(request.version, request.precision)
        if predictor is None:
            return ABSENT
        size = predictor.manifest.input_size
        if request.crops.shape[1:] != (size, size):
            raise BadFrame(f"crops of {request.crops.shape[1:]} for a model of {size} pixels")
        waiting = Waiting(predictor, request.crops)
        self._gatherer.put(waiting)
        return CropReadings(predictor.precision, waiting.answer.result())

    # --- the device ------------------------------------------------------------------------

    def run(self) -> None:
        """Compute one batch after another, until the device fails: what it raises is raised.

        Then the process is to end, since a device that failed once may be lost for it. Engines
        read by themselves until there is another process.
        """
        while True:
            self._pulse.beat()
            if batch := self._gatherer.take(_BEAT):
                self._compute(batch)

    def _compute(self, batch: list[Waiting]) -> None:
        crops = np.concatenate([each.crops for each in batch])
        found = batch[0].predictor.predict(crops)
        if not np.isfinite(found).all():
            raise ModelError("the device computes NaN or infinity")
        self._pulse.beat(len(batch), len(crops))
        start = 0
        for each in batch:
            each.answer.set_result(found[start : start + len(each.crops)])
            start += len(each.crops)
