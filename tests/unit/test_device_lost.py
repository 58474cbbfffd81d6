"""A device that fails, hangs or is asked for nonsense: no crop is lost, nobody is stopped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import MethodType

import numpy as np
import pytest
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.records.jobs import ANY_PRECISION
from inkmill.worker.engine import forward as client
from inkmill.worker.engine.forward import DeviceClient
from inkmill.worker.link import (
    CropReadings,
    CropRequest,
    Door,
    Link,
)
from tests.faults.checker import until
from tests.unit.predictor_processes import (
    FIRST,
    MODELS,
    Process,
    StandIn,
    crops,
    read,
)


@pytest.mark.parametrize("loss", ["hangs", "nonsense", "not finite", "another shape", "gone"])
def test_a_device_that_is_lost_loses_no_crop(loss: str) -> None:
    ours, theirs = Door.pair()
    device = DeviceClient(theirs)
    here, there = socket.socketpair()
    ours.hand_over(there)
    assert ours.was_asked()
    answers: dict[str, Callable[[Link, CropRequest], None]] = {
        "hangs": lambda link, _: None,
        "nonsense": lambda link, _: link.send_bytes(b"\xff" * 100),
        "not finite": lambda link, asked: CropReadings(
            "float16", np.full((len(asked.crops), 10), np.nan, np.float32)
        ).send(link),
        "another shape": lambda link, _: CropReadings("x", np.ones((1, 9), np.float32)).send(link),
        "gone": lambda link, _: link.close(),
    }

    def serve() -> None:
        link = Link(here)
        # The first part of a chunk is read: a chunk is never half the device's.
        first = CropRequest.receive(link)
        if loss == "hangs":
            assert device._link is not None
            device._link.limit(0.05)  # from the next request on: the engine waits for this one
        CropReadings("float16", MODELS[FIRST].probabilities(first.crops)).send(link)
        answers[loss](link, CropRequest.receive(link))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    assert read(device, FIRST, crops(1030)).precision == "bfloat16"
    server.join()
    assert ours.was_asked(), "for another connection"
    process = Process()
    process.load(FIRST)
    process.connect(ours)
    assert read(device, FIRST, crops(1030)).batches == [1024, 6]
    assert process.opened[0].batches == [1024, 6]


@pytest.mark.parametrize("fault", ["raises", "NaN"])
def test_a_process_whose_device_fails_ends(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_DEVICE_SECONDS", 0.2)  # this one's connections stay open

    def predict(_: StandIn, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if fault == "raises":
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
        return np.full((len(batch), 10), np.nan, np.float32)

    process = Process()
    process.load(FIRST)
    process.opened[0].predict = MethodType(predict, process.opened[0])  # type: ignore[method-assign]
    assert read(process.engine(), FIRST, crops(5)).precision == "bfloat16"
    until(lambda: process.failed, 10, "it ends")
    assert ("CUDA_ERROR" if fault == "raises" else "NaN") in str(process.failed[0])


def test_an_engine_whose_door_fails_reads_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    process.load(FIRST)
    device = process.engine()

    def fail(*_: object, **__: object) -> Link:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr(Door, "take", fail)
        assert read(device, FIRST, crops(5)).precision == "bfloat16"
    assert process.doors[0].was_asked()
    process.connect(process.doors[0])
    assert read(device, FIRST, crops(5)).precision == "float16"


def test_an_engine_in_a_strangers_hands_stops_nobody_else() -> None:
    process = Process()
    process.load(FIRST)
    device = process.engine()
    for nonsense in (b"\xff" * 50, b"\x02\x00\x00\x00{}", b"\x00"):
        here, there = socket.socketpair()
        process.server.connect(Link(there))
        Link(here).send_bytes(nonsense)
        assert here.recv(1) == b"", "it is not served any more"
    here, there = socket.socketpair()
    process.server.connect(Link(there))
    CropRequest(FIRST, ANY_PRECISION, np.zeros((2, 9, 9), np.uint8)).send(Link(here))
    assert here.recv(1) == b""
    assert read(device, FIRST, crops(4)).precision == "float16"


def test_a_model_that_must_not_serve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    for error in (ModelError("its golden readings changed"), RuntimeError("no memory")):

        def refuse(*_: object, error: Exception = error) -> StandIn:
            raise error

        monkeypatch.setattr(process.server._models, "_open_model", refuse)
        answer = process.load(FIRST)
        assert answer.head["op"] == "refused"
        assert str(error) in answer.head["message"]
    assert read(process.engine(), FIRST, crops(2)).precision == "bfloat16"
