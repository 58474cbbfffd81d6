"""The model versions in a predictor process: a few; the least recently used one is dropped."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.protocol import PRECISIONS
from inkmill.records.jobs import ANY_PRECISION
from inkmill.worker.link import REFUSED_SECONDS

log = logging.getLogger(__name__)


class Predicts(Protocol):
    """A model that is loaded and ready: `inkmill.models.predictor.Predictor`, or a stand-in."""

    manifest: Manifest
    precision: str

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, classes), of crops, uint8 (n, size, size)."""
        ...


#: Opens a model on the device, checked against its golden set: manifest, weights, golden set, and a
#: precision, or ANY_PRECISION for the fastest. Raises ModelError where it must not serve there.
OpenModel = Callable[[Manifest, bytes, bytes, str], Predicts]


@dataclass(slots=True)
class _Version:
    """A version's files, and its predictors by the precision that was asked for.

    ``again`` says when one that is not there may be opened: that is never while it is being opened,
    and after a pause if the device refused it.
    """

    manifest: Manifest
    weights: bytes
    golden: bytes
    predictors: dict[str, Predicts] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)


class DeviceModels:
    """Predictors by version. Called from many threads.

    A version is opened beside those that serve, in a thread of ``opener``, so that nobody waits for
    it: until it is ready, engines read by themselves.
    """

    def __init__(self, kept: int, open_model: OpenModel, opener: Executor) -> None:
        self._kept = kept
        self._open_model = open_model
        self._opener = opener
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Version] = OrderedDict()

    def load(self, manifest: bytes, weights: bytes, golden: bytes) -> str:
        """Open and check a version, unless it is here; returns its precision. Raises ModelError.

        To be called in a thread of ``opener``.
        """
        model = Manifest.decode(manifest)
        with self._lock:
            if (known := self._held.get(model.version)) is not None:
                self._held.move_to_end(model.version)
                return known.predictors[ANY_PRECISION].precision
        new = _Version(model, weights, golden)
        predictor = self._open_model(model, weights, golden, ANY_PRECISION)
        new.predictors = {ANY_PRECISION: predictor, predictor.precision: predictor}
        with self._lock:
            self._held[model.version] = new
            self._held.move_to_end(model.version)
            while len(self._held) > self._kept:
                self._held.popitem(last=False)
        return predictor.precision

    def find(self, version: str, precision: str) -> Predicts | None:
        """The predictor of a loaded version, in the precision that a job is pinned to.

        None for a version that is not here, or not in that precision: such a one is opened now.
        """
        with self._lock:
            held = self._held.get(version)
            if held is None or precision not in (*PRECISIONS, ANY_PRECISION):
                return None
            self._held.move_to_end(version)
            found = held.predictors.get(precision)
            if found is None and time.monotonic() >= held.again.get(precision, 0.0):
                held.again[precision] = math.inf
                self._opener.submit(self._pin, held, precision)
            return found

    def _pin(self, held: _Version, precision: str) -> None:
        version = held.manifest.version[:12]
        try:
            predictor = self._open_model(held.manifest, held.weights, held.golden, precision)
        except Exception as error:
            with self._lock:
                held.again[precision] = time.monotonic() + REFUSED_SECONDS
            if isinstance(error, ModelError):
                log.warning("%s; engines compute in %s themselves", error, precision)
            else:
                log.exception("version %s could not be opened in %s", version, precision)
            return
        with self._lock:
            held.predictors[precision] = predictor
        log.info("version %s is ready in %s, too", version, precision)

    @property
    def versions(self) -> list[str]:
        with self._lock:
            return list(self._held)
