"""Which GPUs a worker uses, and how a predictor process opens one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from inkmill.cli.checks import CheckResult
from inkmill.cli.commands.doctor import _gpu
from inkmill.errors import ModelError, SettingsError
from inkmill.settings import Settings
from inkmill.worker import gpus
from inkmill.worker.pool.environment import device_environment, engine_environment


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A host with a driver, on which TensorFlow says what the test says."""
    about: dict[str, Any] = {"driver": True, "said": '["A", "B"]', "asked": 0}

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        about["asked"] += 1
        if about["said"] is None:
            raise subprocess.TimeoutExpired("python", 120)
        if isinstance(about["said"], OSError):
            raise about["said"]
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
    assert of("3").devices == ("GPU:0", "GPU:1", "GPU:2"), "the third is missed, and looked for"
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
        (
            "2",
            OSError(12, "no memory"),
            (),
            "(it cannot be asked: no memory)",
        ),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_said(
    host: dict[str, Any], setting: str, said: object, names: Sequence[str], trouble: str
) -> None:
    host["said"] = said
    found = of(setting)
    assert found.names == names
    assert len(found.devices) == (0 if setting == "auto" else int(setting))
    assert trouble in found.trouble
    assert ("pip install" in found.remedy) is (not names)


def test_doctor_says_what_a_worker_would_use(host: dict[str, Any]) -> None:
    def said(setting: Any) -> list[CheckResult]:
        return list(_gpu(Settings(gpu=setting, engines=16)))

    assert [each.seen for each in said("auto")] == [
        "A, B: a predictor process each, fed by 16 engines"
    ]
    assert said("off")[0].seen == "none: the 16 engines of a worker here compute on the processors"
    missing, those = said(3)
    lower = "lower INKMILL_GPU to the number of GPUs here, or set INKMILL_GPU=off"
    assert (missing.fine, missing.remedy) == (False, lower)
    assert (those.fine, those.remedy) == (True, "")
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


def test_memory_grows_as_needed_and_that_is_said_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a stand-in for TensorFlow, whose order of calls counts: anything that computes opens the
    GPU, with all of its memory."""
    tensorflow = MagicMock()
    tensorflow.config.list_physical_devices.return_value = ["GPU:0", "GPU:1"]
    tensorflow.config.experimental.get_device_details.return_value = {"device_name": "Some GPU"}
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.delitem(sys.modules, "inkmill.worker.device.tensorflow", raising=False)
    try:
        from inkmill.worker.device.tensorflow import Device
    finally:
        del sys.modules["inkmill.worker.device.tensorflow"]
    device = Device("GPU:1", 3, tmp_path)
    assert device.words == "Some GPU"
    said = [str(each) for each in tensorflow.mock_calls]
    assert said == [
        "call.config.threading.set_intra_op_parallelism_threads(3)",
        "call.config.threading.set_inter_op_parallelism_threads(1)",
        "call.config.experimental.enable_tensor_float_32_execution(False)",
        "call.config.list_physical_devices('GPU')",
        "call.config.set_visible_devices(['GPU:1'], 'GPU')",
        "call.config.experimental.set_memory_growth('GPU:1', True)",
        "call.config.experimental.get_device_details('GPU:1')",
        "call.device('GPU:0')",
        "call.device().__enter__()",
        "call.zeros(1)",
        "call.device().__exit__(None, None, None)",
    ]
    with pytest.raises(ModelError, match="there is no GPU:2: TensorFlow sees 2 GPUs"):
        Device("GPU:2", 1, tmp_path)
