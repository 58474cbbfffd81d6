"""A worker's devices: which there are, who is connected, when a process is started again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from inkmill.cli.checks import CheckResult
from inkmill.cli.commands.doctor import _gpu
from inkmill.errors import ModelError, SettingsError
from inkmill.settings import Settings
from inkmill.worker import gpus, metrics
from inkmill.worker.link import DIGITS, STRIPS, Door, ModelPayload
from inkmill.worker.pool import device as watching
from inkmill.worker.pool import devices
from inkmill.worker.pool.device import DeviceHandle, DeviceLost
from inkmill.worker.pool.devices import Devices, outcome
from inkmill.worker.pool.environment import device_environment, engine_environment

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

    def load(self, model: ModelPayload) -> Future[str]:
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
    pool = Devices(Settings(), ["GPU:0", "GPU:1"], 1)
    assert pool.load(STRIPS_MODEL) == [], "strips are read by engines"
    first, second = StandIn.started
    loads = pool.load(DIGITS_MODEL)
    first.answer.set_result("float16")
    second.answer.set_exception(ModelError("its golden readings changed"))
    assert outcome(loads) == "float16"
    assert "its golden readings changed; engines compute it" in caplog.text
    lost: Future[str] = Future()
    lost.set_exception(DeviceLost("signal 9"))
    assert outcome([lost]) == ""
    assert outcome([]) == ""


def test_without_devices_nothing_is_started(clock: Clock) -> None:
    pool = Devices(Settings(), [], 1)
    assert pool.admit(0) is None
    assert pool.load(DIGITS_MODEL) == []
    assert not pool.lack(DIGITS_MODEL.version)
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
        assert handle.lacks(version)
        asked = handle.load(DIGITS_MODEL)
        with pytest.raises(ModelError, match="no memory"):
            asked.result(20)
        assert not handle.lacks(version)
        monkeypatch.setattr(watching, "time", clock := Clock())
        clock.now = time.monotonic() + 601
        assert handle.lacks(version)
        assert handle.load(DIGITS_MODEL).result(20) == "float16"
        assert not handle.lacks(version)
    finally:
        handle.close()


# --- which there are ---------------------------------------------------------------------------


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A host with a driver, on which TensorFlow says what the test says."""
    about: dict[str, Any] = {"driver": True, "said": '["A", "B"]', "asked": 0}

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        about["asked"] += 1
        if about["said"] is None:
            raise subprocess.TimeoutExpired("python", 120)
        return subprocess.CompletedProcess([], 0, about["said"], "ImportError: libcuda\n")

    monkeypatch.setattr(gpus, "_has_driver", lambda: about["driver"])
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return about


def of(setting: str) -> gpus.Gpus:
    return gpus.gpus(Settings.load({"INKMILL_GPU": setting}, Path("/nonexistent")))


def test_all_gpus_or_some_or_none_are_used(host: dict[str, Any]) -> None:
    assert of("auto") == gpus.Gpus(("A", "B"))
    assert of("auto").devices == ("GPU:0", "GPU:1")
    assert of("1").devices == ("GPU:0",)
    assert of("off") == gpus.Gpus()
    with pytest.raises(SettingsError, match="INKMILL_GPU"):
        of("some")


@pytest.mark.parametrize(
    ("setting", "said", "names", "trouble"),
    [
        ("3", '["A", "B"]', ("A", "B"), "INKMILL_GPU is 3, but TensorFlow sees 2"),
        ("auto", "[]", (), "TensorFlow does not see this host's GPU"),
        ("auto", "", (), "does not see this host's GPU (ImportError: libcuda)"),
        ("auto", None, (), "(it did not answer within 120 s)"),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_said(
    host: dict[str, Any], setting: str, said: str | None, names: Sequence[str], trouble: str
) -> None:
    host["said"] = said
    found = of(setting)
    assert found.names == names
    assert trouble in found.trouble


def test_doctor_says_what_a_worker_would_use(host: dict[str, Any]) -> None:
    def said(setting: Any) -> list[CheckResult]:
        return list(_gpu(Settings(gpu=setting, engines=16)))

    assert [each.seen for each in said("auto")] == [
        "A, B: a predictor process each, fed by 16 engines"
    ]
    assert said("off")[0].seen == "none: the 16 engines of a worker here compute on the processors"
    missing, those = said(3)
    assert (missing.fine, missing.remedy, those.fine) == (False, gpus.REMEDY, True)
    host["said"] = "[]"
    assert said("auto")[0].fine, "a GPU need not be for this"


def test_without_a_driver_nobody_is_asked(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host["driver"] = False
    assert of("auto") == gpus.Gpus()
    host["driver"] = True
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert of("auto") == gpus.Gpus()
    assert host["asked"] == 0


def test_a_driver_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_ROOT", tmp_path)
    (tmp_path / "dev").mkdir()
    for name, known in (("null", False), ("nvidiactl", False), ("nvidia0", True)):
        (tmp_path / "dev" / name).touch()
        assert gpus._has_driver() is known


def test_engines_see_no_gpu_and_predictor_processes_theirs() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "2,3", "NVIDIA_VISIBLE_DEVICES": "all", "SECRET": "x"}
    assert engine_environment(environ, 1)["CUDA_VISIBLE_DEVICES"] == ""
    assert device_environment(environ, 1, "CPU:0")["CUDA_VISIBLE_DEVICES"] == ""
    seen = device_environment(environ, 1, "GPU:1")
    assert (seen["CUDA_VISIBLE_DEVICES"], "SECRET" in seen) == ("2,3", False)
    assert "CUDA_VISIBLE_DEVICES" not in device_environment({}, 1, "GPU:0")
