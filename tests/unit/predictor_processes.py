"""A predictor process and its engines, all in the test's process, on a device of stated speed."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.models.predictor import Predictor
from inkmill.records.jobs import ANY_PRECISION
from inkmill.worker.device.gathering import Waiting
from inkmill.worker.device.server import PredictorServer
from inkmill.worker.engine.forward import DeviceClient, ForwardPass, forward
from inkmill.worker.link import Door, Frame, Link, Pulse, receive, send
from tests.unit.linear_models import LinearModel

MODELS = {each.files.manifest.version: each for each in map(LinearModel, range(2))}
FIRST, SECOND = MODELS


@dataclass(eq=False)
class StandIn:
    """A predictor that takes a fixed time for a batch, whatever its size, as a GPU does."""

    manifest: Manifest
    precision: str
    seconds: float = 0.0
    batches: list[int] = field(default_factory=list)

    @property
    def version(self) -> str:
        return self.manifest.version

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self.seconds)
        self.batches.append(len(crops))
        return MODELS[self.manifest.version].probabilities(crops)


PREDICTORS = {name: StandIn(each.files.manifest, "float16") for name, each in MODELS.items()}


class Process:
    """A server on a device of stated speed, which has float16 besides float32."""

    def __init__(self, seconds: float = 0.0, delay: float = 0.0, most: int = 4096) -> None:
        self.seconds = seconds
        self.opened: list[StandIn] = []
        self.failed: list[Exception] = []
        self.doors: list[Door] = []
        self.pulse = Pulse()
        self.server = PredictorServer(self.open, kept=2, most=most, delay=delay, pulse=self.pulse)
        self.worker, theirs = map(Link, socket.socketpair())
        for work in (lambda: self.server.obey(theirs), self.run):
            threading.Thread(target=work, daemon=True).start()
        assert receive(self.worker).head["op"] == "ready"

    def run(self) -> None:
        try:
            self.server.run()
        except Exception as error:
            self.failed.append(error)

    def open(self, manifest: Manifest, _: bytes, __: bytes, precision: str) -> StandIn:
        if precision not in ("float16", "float32", ANY_PRECISION):
            raise ModelError(f"no {precision} here")
        named = "float16" if precision == ANY_PRECISION else precision
        self.opened.append(StandIn(manifest, named, self.seconds))
        return self.opened[-1]

    def load(self, version: str) -> Frame:
        files = MODELS[version].files
        parts = [files.manifest.encode(), files.weights, files.golden]
        send(self.worker, Frame({"op": "load", "request": 1}, parts))
        return receive(self.worker)

    def engine(self) -> DeviceClient:
        """The device as a new engine has it."""
        ours, theirs = Door.pair()
        device = DeviceClient(theirs)
        assert ours.was_asked()
        self.connect(ours)
        self.doors.append(ours)
        return device

    def connect(self, door: Door) -> None:
        here, there = socket.socketpair()
        self.server.connect(Link(here))
        door.hand_over(there)


def crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28)).astype(np.uint8)


def read(
    device: DeviceClient, version: str, batch: NDArray[np.uint8], asked: str = ANY_PRECISION
) -> ForwardPass:
    """What an engine reads, whose own predictor computes in bfloat16."""
    own = cast(Predictor, StandIn(MODELS[version].files.manifest, "bfloat16"))
    found = forward(own, batch, device=device, asked=asked, between=lambda: None)
    np.testing.assert_allclose(found.probabilities, MODELS[version].probabilities(batch), atol=1e-6)
    return found


def waiting(version: str, seed: int = 0) -> Waiting:
    return Waiting(PREDICTORS[version], crops(10, seed))
