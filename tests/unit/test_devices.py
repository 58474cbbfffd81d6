"""A worker's devices: who is connected, when a process is started again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from typing import Any

import psutil
import pytest

from inkmill.errors import ModelError, NotFound
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import DIGITS, STRIPS, Door, ModelPayload
from inkmill.worker.pool import device as watching
from inkmill.worker.pool import devices
from inkmill.worker.pool.device import DeviceHandle, DeviceLost
from inkmill.worker.pool.devices import Devices
from inkmill.worker.pool.handle import EngineHandle
from tests.faults.checker import until

DIGITS_MODEL = ModelPayload("ab" * 32, b"", b"", b"", DIGITS)
STRIPS_MODEL = ModelPayload("cd" * 32, b"", b"", b"", STRIPS)


class StandIn:
    """A predictor process that does nothing."""

    started: list[StandIn]

    def __init__(self, _: Settings, device: str, __: int) -> None:
        self.device, self.pid, self.alive, self.cause = device, 1, True, "signal 9"
        self.ready = threading.Event()
        self.loaded: list[str] = []
        self.connected: list[Door] = []
        self.answer: Future[str] = Future()
        StandIn.started.append(self)

    def needs(self, version: str) -> bool:
        return self.alive and version not in self.loaded

    def load(self, model: ModelPayload) -> Future[str] | None:
        if not self.needs(model.version):
            return None
        self.loaded.append(model.version)
        return self.answer

    def connect(self, door: Door) -> None:
        self.connected.append(door)

    def check(self) -> None: ...


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    StandIn.started = []
    monkeypatch.setattr(devices, "DeviceHandle", StandIn)
    monkeypatch.setattr(devices, "time", clock := Clock())
    return clock


def test_engines_are_divided_among_devices_and_connected_once_these_are_ready(
    clock: Clock,
) -> None:
    pool = Devices(Settings(), ["GPU:0", "GPU:1"], 1)
    engines = [pool.admit(number) for number in range(3)]
    first, second = StandIn.started
    pool.check([])
    assert (first.connected, metrics.DEVICES._value.get()) == ([], 0)
    assert metrics.DEVICES_MISSING._value.get() == 0, "they start"
    first.ready.set()
    for _ in range(2):
        pool.check([])
        assert (len(first.connected), len(second.connected)) == (3, 0), "once"
    assert metrics.DEVICES._value.get() == 1
    second.ready.set()
    pool.check([])
    assert (len(first.connected), len(second.connected)) == (3 + 2, 1)
    assert engines[0] is not None
    engines[0].ask()
    replaced = pool.admit(2)
    assert replaced is not None
    replaced.ask()
    pool.check([])
    assert len(first.connected) == 5 + 2, "whoever lost its connection, and who is new"
    first.alive = False
    pool.check([])
    assert len(second.connected) == 1 + 3, "the other device computes for all"
    assert metrics.DEVICES._value.get() == 1


def test_a_lost_process_is_started_again_after_longer_and_longer_pauses(clock: Clock) -> None:
    pool = Devices(Settings(), ["GPU:0"], 1)
    pool.admit(0)
    for pause in (1, 2, 4):
        before = len(StandIn.started)
        StandIn.started[-1].alive = False
        for passed in (0.0, pause - 0.1):
            clock.now += passed
            pool.check([DIGITS_MODEL, STRIPS_MODEL])
            assert len(StandIn.started) == before
        clock.now += 0.2
        pool.check([DIGITS_MODEL, STRIPS_MODEL])
        assert len(StandIn.started) == before + 1
        assert StandIn.started[-1].loaded == [DIGITS_MODEL.version]
    for passed in (0.0, 61.0):  # it serves for a minute
        StandIn.started[-1].ready.set()
        clock.now += passed
        pool.check([])
    StandIn.started[-1].alive = False
    pool.check([])
    clock.now += 1.1
    pool.check([])
    assert StandIn.started[-1].alive, "the first pause again"


def test_a_worker_goes_on_without_a_device_that_does_not_have_the_model(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pool = Devices(Settings(), ["GPU:0", "GPU:1", "GPU:2"], 1)
    pool.load(STRIPS_MODEL)
    pool.load(DIGITS_MODEL)  # and nobody waits for what follows
    first, second, third = StandIn.started
    assert first.loaded == [DIGITS_MODEL.version], "strips are read by engines"
    first.answer.set_result("float16")
    second.answer.set_exception(ModelError("its golden readings changed"))
    third.answer.set_exception(DeviceLost("signal 9"))
    assert "GPU:0 computes model abababababab in float16" in caplog.text
    assert "GPU:1: its golden readings changed; engines compute it" in caplog.text
    assert "GPU:2 does not have model abababababab yet: signal 9" in caplog.text


def test_a_version_is_fetched_once_and_sent_where_it_is_needed(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Devices(Settings(), ["GPU:0", "GPU:1"], 1)
    first, second = StandIn.started
    first.loaded.append(DIGITS_MODEL.version)
    asked, arrived = list[str](), threading.Event()

    def files(version: str) -> ModelPayload:
        asked.append(version)
        if not arrived.wait(20):  # as a store that is away
            raise NotFound("never came")
        if len(asked) == 1:
            raise NotFound("no such version")
        return DIGITS_MODEL

    for _ in range(3):  # nobody waits
        pool.provide(DIGITS_MODEL.version, files)
    arrived.set()
    until(lambda: "do not have model abababababab yet: no such" in caplog.text, 10, "it failed")
    pool.provide(DIGITS_MODEL.version, files)
    assert asked == [DIGITS_MODEL.version], "once, and not again at once"
    clock.now += 61
    pool.provide(DIGITS_MODEL.version, files)
    until(lambda: second.loaded, 10, "it is sent")
    assert (len(asked), first.loaded, second.loaded) == (2, [DIGITS_MODEL.version], first.loaded)
    pool.provide(DIGITS_MODEL.version, files)
    assert len(asked) == 2


def test_a_process_that_cannot_be_started_is_put_off_and_holds_up_nothing(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def fail(*_: object) -> StandIn:
        nonlocal tries
        tries += 1
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(devices, "DeviceHandle", fail)
    pool = Devices(Settings(), ["GPU:0"], 1)
    for expected in (2, 2, 3, 3, 3, 3):  # after 1 and 2 s, and then after 4
        clock.now += 1.0
        pool.check([DIGITS_MODEL])
        assert tries == expected
    assert (metrics.DEVICES_MISSING._value.get(), metrics.DEVICES._value.get()) == (1, 0)
    assert (
        "the predictor process of GPU:0 cannot be started (Too many open files): raise the limit"
        in caplog.text
    )
    pool.load(DIGITS_MODEL)
    pool.provide(DIGITS_MODEL.version, lambda _: DIGITS_MODEL)
    assert pool.pids == []
    monkeypatch.setattr(devices, "DeviceHandle", StandIn)
    clock.now += 10
    pool.check([DIGITS_MODEL])
    assert StandIn.started[0].loaded == [DIGITS_MODEL.version]
    assert metrics.DEVICES_MISSING._value.get() == 1, "it starts, and does not serve yet"
    StandIn.started[0].ready.set()
    pool.check([])
    assert (metrics.DEVICES_MISSING._value.get(), metrics.DEVICES._value.get()) == (0, 1)


def test_engines_that_could_not_be_connected_are_connected_next_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Devices(Settings(), ["GPU:0"], 1)
    pool.admit(0)
    (device,) = StandIn.started
    device.ready.set()
    with monkeypatch.context() as full:
        full.setattr(device, "connect", failing)
        for _ in range(3):
            pool.check([])  # engines are watched all the same
    assert caplog.text.count("(Too many open files): raise the limit of open files") == 1
    clock.now += 1.1
    pool.check([])
    assert len(device.connected) == 1


def failing(*_: object, **__: object) -> Any:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("fails", ["subprocess.Popen", "threading.Thread.start", "mmap.mmap"])
def test_a_process_that_cannot_be_started_leaves_nothing_open(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle, real = [sys.executable, "-c", "import time; time.sleep(60)"], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: real(idle, **options))

    def start() -> None:
        with pytest.raises(OSError, match="Too many"):
            DeviceHandle(Settings(), "CPU:0", 1)
        with pytest.raises(OSError, match="Too many"):
            EngineHandle(Settings(), 1, door=Door.pair()[1])

    with monkeypatch.context() as full:
        full.setattr(fails, failing)
        start()
        before = psutil.Process().num_fds()
        for _ in range(3):
            start()
        assert psutil.Process().num_fds() == before


def test_without_devices_nothing_is_started(clock: Clock) -> None:
    pool = Devices(Settings(), [], 1)
    assert pool.admit(0) is None
    pool.load(DIGITS_MODEL)
    pool.provide(DIGITS_MODEL.version, lambda _: DIGITS_MODEL)
    pool.check([])
    assert StandIn.started == []


_REFUSING = """
import socket, sys
from inkmill.worker.link import Frame, Link, receive, send
link = Link(socket.socket(fileno=int(sys.argv[1])))
send(link, Frame({"op": "ready", "pid": 1}))
for number in (1, 2):
    asked = receive(link).head["request"]
    answer = {"op": "loaded", "precision": "float16", "versions": ["ab" * 32]}
    refusal = {"op": "refused", "message": "no memory"}
    send(link, Frame({**(refusal if number == 1 else answer), "request": asked}))
receive(link)
"""


def test_a_version_that_was_refused_is_sent_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return real([sys.executable, "-c", _REFUSING, *command[-4:-1]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    handle, version = DeviceHandle(Settings(), "CPU:0", 1), DIGITS_MODEL.version
    try:
        assert handle.needs(version)
        asked = handle.load(DIGITS_MODEL)
        assert asked is not None
        assert handle.load(DIGITS_MODEL) is None, "it is on its way"
        with pytest.raises(ModelError, match="no memory"):
            asked.result(20)
        assert not handle.needs(version)
        monkeypatch.setattr(watching, "time", clock := Clock())
        clock.now = time.monotonic() + 601
        asked = handle.load(DIGITS_MODEL)
        assert asked is not None
        assert asked.result(20) == "float16"
        assert handle.load(DIGITS_MODEL) is None, "it is there"
    finally:
        handle.close()


def test_the_silence_of_a_start_does_not_count_once_it_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle, real = [sys.executable, "-c", "import time; time.sleep(60)"], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: real(idle, **options))
    handle = DeviceHandle(Settings(), "CPU:0", 1)
    monkeypatch.setattr(watching, "time", clock := Clock())

    def wait(seconds: int) -> str:
        for _ in range(seconds):
            clock.now += 1.0
            handle.check()
        return handle.cause

    try:
        clock.now = time.monotonic()
        assert wait(100) == "", "importing TensorFlow takes long on a busy host"
        handle.ready.set()
        assert wait(15) == ""
        assert wait(2) == "it hung for 15 s"
    finally:
        handle.close()
