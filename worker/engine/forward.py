"""The forward pass: on the device, where there is one that answers, else in this engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.models.predictor import Predictor
from inkmill.worker.link import BadFrame, CropReadings, CropRequest, Door, Link

log = logging.getLogger(__name__)

#: Crops that are read at once: the largest batch shape of an engine.
TOGETHER = 1024
#: A device that does not answer for so long is given up (seconds). Its worker ends one that hangs
#: sooner, so this is for one that has too much to do.
_DEVICE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """Probabilities, float32 (n, classes), the precision that computed all of them, and how many
    crops each batch had."""

    probabilities: NDArray[np.float32]
    precision: str
    batches: list[int]


class DeviceClient:
    """The predictor process of this engine's device, as long as it answers.

    Connections come through ``door``, whenever the worker has started a process. One that fails is
    dropped, and another is asked for.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._link: Link | None = None
        self._door.ask()

    def read(
        self, version: str, precision: str, crops: NDArray[np.uint8], classes: int
    ) -> CropReadings | None:
        """Probabilities of crops; None where the device is lost, or does not have the version."""
        try:
            self._look()
            if self._link is None or not len(crops):
                return None
            CropRequest(version, precision, crops).send(self._link)
            found = CropReadings.receive(self._link)
            if not found.precision:
                return None
            probabilities = found.probabilities
            if probabilities.shape != (len(crops), classes) or not np.isfinite(probabilities).all():
                raise BadFrame(f"{len(crops)} crops gave {probabilities.shape} probabilities")
        except (EOFError, OSError, BadFrame) as error:
            why = str(error) or "its process has ended"
            log.warning("the device is lost, this engine computes by itself: %s", why)
            if self._link is not None:
                self._link.close()
            self._link = None
            self._door.ask()
            return None
        return found

    def _look(self) -> None:
        """Take the latest connection that the worker handed over. Raises EOFError and OSError."""
        while (fresh := self._door.take(wait=False)) is not None:
            if self._link is not None:
                self._link.close()
            self._link = fresh
            fresh.limit(_DEVICE_SECONDS)


def forward(
    predictor: Predictor,
    crops: NDArray[np.uint8],
    *,
    device: DeviceClient | None,
    asked: str,
    between: Callable[[], None],
) -> ForwardPass:
    """Read crops in batches, all of them on the device or all of them here.

    ``asked`` is the precision that the job is pinned to, or ANY_PRECISION. ``between`` is called
    after each batch. So all of a chunk has one precision: a device that is lost in the middle
    leaves nothing.
    """
    parts = [crops[start : start + TOGETHER] for start in range(0, max(len(crops), 1), TOGETHER)]
    if device is not None and (found := _on_device(device, predictor, parts, asked, between)):
        return found
    results = []
    for part in parts:
        results.append(predictor.predict(part))
        between()
    return _joined(results, predictor.precision, len(crops))


def _on_device(
    device: DeviceClient,
    predictor: Predictor,
    parts: list[NDArray[np.uint8]],
    asked: str,
    between: Callable[[], None],
) -> ForwardPass | None:
    results: list[CropReadings] = []
    for part in parts:
        found = device.read(predictor.version, asked, part, len(predictor.manifest.classes))
        if found is None or (results and found.precision != results[0].precision):
            return None
        results.append(found)
        between()
    count = sum(map(len, parts))
    return _joined([each.probabilities for each in results], results[0].precision, count)


def _joined(results: list[NDArray[np.float32]], precision: str, count: int) -> ForwardPass:
    probabilities = np.concatenate(results)
    if len(probabilities) != count or not np.isfinite(probabilities).all():
        raise AssertionError(f"{count} crops gave {probabilities.shape} probabilities")
    return ForwardPass(probabilities, precision, [len(each) for each in results if len(each)])
