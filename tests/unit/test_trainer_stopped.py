"""Trainings that are stopped, killed, or cannot save, and go on with the same data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFinished, Unreachable, UsageError
from tests.unit.digit_images import write_mnist
from tests.unit.small_trainings import config, options

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder / "mnist", train=200, test=50)
    return folder


class Out(MemoryStore):
    """A store that takes no checkpoint as long as it is out."""

    out = True

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if self.out and "step-" in key:
            raise Unreachable("object store does not answer")
        return super().put(key, data, **conditions)


def test_what_could_not_be_saved_is_gone_on_from(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.trainer import loop
    from inkmill.trainer import train as training

    monkeypatch.setattr(loop, "_LAST_SAVE", 0.1)
    store = Out()
    with pytest.raises(NotFinished):
        training.train(config(), store, "out", options(data, tmp_path, stop_after=17))
    store.out = False
    with pytest.raises(NotFinished, match="step 18 of 30"):
        training.resume(store, "out", options(data, tmp_path, stop_after=18))
    log = (tmp_path / "log.jsonl").read_text()
    assert "the checkpoint of step 17 was saved in" in log
    assert "run out resumes at step 17" in log
    # Another run of that name and folder has nothing to do with it.
    other = MemoryStore()
    second = config(training={"seed": 6})
    with pytest.raises(NotFinished):
        training.train(second, other, "out", options(data, tmp_path, stop_after=3))
    with pytest.raises(NotFinished, match="step 4 of 30"):
        training.resume(other, "out", options(data, tmp_path, stop_after=4))


def test_a_run_cannot_go_on_with_other_data(data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.train import resume, train

    store = MemoryStore()
    with pytest.raises(NotFinished):
        train(config(), store, "broken", options(data, tmp_path / "run", stop_after=3))
    write_mnist(tmp_path / "mnist", train=150, test=50)
    with pytest.raises(UsageError, match="started with other training data"):
        resume(store, "broken", options(tmp_path, tmp_path / "run"))


def await_log(folder: Path, step: int, process: subprocess.Popen[Any] | None = None) -> None:
    """Wait for a step in the log, as long as the ``process`` that writes it lives."""
    log = folder / "log.jsonl"
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if log.exists() and f'"step": {step}' in log.read_text():
            return
        assert process is None or process.poll() is None, "the training ended by itself"
        time.sleep(0.02)
    raise AssertionError(f"step {step} was never logged")


def test_sigterm_saves_at_once(data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.runs.checkpoints import latest
    from inkmill.trainer.train import train

    def preempt() -> None:
        await_log(tmp_path, 100)
        os.kill(os.getpid(), signal.SIGTERM)

    store = MemoryStore()
    settings = config(training={"steps": 10**6}, checkpoints={"every": 10**6})
    threading.Thread(target=preempt).start()
    with pytest.raises(NotFinished, match="inkmill train --resume mine") as stopped:
        train(settings, store, "mine", options(data, tmp_path))
    found = latest(store, "mine")
    assert found is not None
    assert f"stopped at step {found[0]} of" in str(stopped.value)
    assert found[0] >= 100


def test_a_killed_run_goes_on(data: Path, tmp_path: Path) -> None:
    """kill -9 of the command itself, with processes that augment; nothing is left behind."""
    from inkmill.trainer.runs.checkpoints import latest
    from inkmill.trainer.runs.storage import FolderStore
    from inkmill.trainer.train import resume

    (tmp_path / "own.toml").write_text(
        'architecture = "lenet5"\nsources = [{kind = "mnist", path = "mnist"}]\n'
        "[augmentation]\nrotation = 5.0\n"
        "[training]\nsteps = 1000000\nbatch = 10\n"
        'precision = "float32"\n[checkpoints]\nevery = 50\n'
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INKMILL_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "inkmill.cli.main", "train", "own.toml", "--run", "mine"],
        cwd=tmp_path,
        env=environment | {"INKMILL_DATA": str(data)},
        stderr=subprocess.DEVNULL,
    )
    await_log(tmp_path / "runs" / "mine", 100, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    store = FolderStore(tmp_path)
    found = latest(store, "mine")
    assert found is not None
    record = json.loads((tmp_path / "runs/mine/run.json").read_text())
    record["config"]["training"]["steps"] = found[0] + 20
    (tmp_path / "runs/mine/run.json").write_text(json.dumps(record))
    finished = resume(store, "mine", options(data, tmp_path / "runs" / "mine"))
    assert finished.files.manifest.metrics["steps"] == found[0] + 20


_WAITS_FOR_CROPS = """
import sys, time
from inkmill.trainer.crops import blocks
made = blocks.BlockMaker.make

def slow(self, number):
    if number > 6:
        time.sleep(2)
    return made(self, number)

blocks.BlockMaker.make = slow
if __name__ == "__main__":
    from inkmill.cli.main import main
    main(sys.argv[1:])
"""


@pytest.mark.parametrize("told", ["ctrl-c", "shutdown"])
def test_a_stop_that_all_processes_hear_saves(data: Path, tmp_path: Path, told: str) -> None:
    """While the model waits for crops: Ctrl-C reaches the group, a shutdown every process."""
    from inkmill.trainer.runs.checkpoints import latest
    from inkmill.trainer.runs.storage import FolderStore

    (tmp_path / "own.toml").write_text(
        'architecture = "lenet5"\nsources = [{kind = "mnist", path = "mnist"}]\n'
        "[augmentation]\nrotation = 5.0\n"
        '[training]\nsteps = 1000000\nbatch = 10\nprecision = "float32"\n'
        "[checkpoints]\nevery = 1000000\n[split]\nvalidation = 0.2\n"
    )
    (tmp_path / "slow.py").write_text(_WAITS_FOR_CROPS)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INKMILL_")}
    command = [sys.executable, "slow.py", "train", "own.toml", "--run", "mine", "--processes", "2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment | {"INKMILL_DATA": str(data), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        await_log(tmp_path / "runs" / "mine", 100, process)
        time.sleep(1)
        children = psutil.Process(process.pid).children(recursive=True)
        if told == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)
        else:
            for child in children:
                # The pool ends the others as soon as one has died.
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()
            process.terminate()
        _, words = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 4, words[-3000:]
    assert "--resume mine" in words
    found = latest(FolderStore(tmp_path), "mine")
    assert found is not None
    assert found[0] >= 100
    assert not psutil.wait_procs(children, timeout=20)[1]
