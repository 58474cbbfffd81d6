"""Trainings on the queue `inkmill.train`: a sweep whose trainer is killed, with real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import open_store
from inkmill.trainer.runs import checkpoints, queued
from tests.faults import checker
from tests.parts import PartedStack
from tests.unit.digit_images import write_folder

pytestmark = pytest.mark.tensorflow

SWEEP = """
architecture = "lenet5"
sources = [{kind = "folder", path = "digits"}]
validation = {every = 100}
training = {steps = 200, batch = 10, deterministic = true}
checkpoints = {every = 20}
[sweep.keys]
training.learning_rate = [0.003]
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartedStack]:
    with PartedStack(tmp_path_factory.mktemp("parts")) as running:
        running.admit()
        yield running
        running.kill("s3")


@pytest.fixture
def start(stack: PartedStack, tmp_path: Path) -> Iterator[Start]:
    """Starts `inkmill` in a folder of its own and in a process group that the test ends."""
    chosen = stack.of("trainer").model_copy(update={"visibility_timeout": 4.0})
    environment = {**os.environ, **chosen.environment(), "INKMILL_DATA": str(tmp_path)}
    started: list[subprocess.Popen[str]] = []

    def begin(where: str, *words: str) -> subprocess.Popen[str]:
        (tmp_path / where).mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "inkmill", *words],
            cwd=tmp_path / where,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(tmp_path / where / "said.log").open("a"),
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_trial_whose_trainer_is_killed_is_resumed_by_another(
    stack: PartedStack, start: Start, tmp_path: Path
) -> None:
    store, queue = open_store(stack.settings), Queue(stack.settings)
    write_folder(tmp_path / "digits")
    (tmp_path / "sweep.toml").write_text(SWEEP)
    submit = ("train", str(tmp_path / "sweep.toml"), "--run", "tried", "--submit")
    assert start("here", *submit).communicate(timeout=60)[0] == "tried\n"
    assert queue.client.llen(names.TRAIN) == 1
    run = "tried-trial1-s33"

    killed = start("gpu1", "trainer", "--processes", "0")
    checker.until(lambda: bool(checkpoints.steps_of(store, run)), 60, "a first checkpoint")
    os.killpg(killed.pid, signal.SIGKILL)
    step = checkpoints.steps_of(store, run)[-1]
    assert step < 200

    other = start("gpu2", "trainer", "--processes", "0")
    said, _ = start("here", *submit, "--wait").communicate(timeout=120)
    resumed = (tmp_path / f"gpu2/runs/{run}/training.log").read_text()
    assert f"run {run} resumes at step " in resumed
    assert int(resumed.split("resumes at step ")[1].split()[0]) >= step
    # It has one result, with its model; and the submitter has the table of the sweep.
    found = json.loads(said)
    assert [each["runs"] for each in found] == [[run]]
    assert found[0]["training.learning_rate"] == 0.003
    held = queued.read(store, run)
    assert held is not None
    assert (held[0].state, held[0].attempts) == (queued.DONE, 2)
    version = json.loads(store.get(checkpoints.run_result(run)).data)["version"]
    assert {entry.key.split("/")[3] for entry in store.list(f"runs/{run}/models/")} == {version}
    assert (tmp_path / "here/runs/tried/sweep.png").read_bytes()[:4] == b"\x89PNG"
    ranked = start("elsewhere", "runs", "sweep", "tried").communicate(timeout=60)[0]
    assert json.loads(ranked) == found

    # Told to stop, a trainer leaves at once, and nothing is left in the queue.
    checker.until(lambda: queue.client.hlen("inkmill:unacked") == 0, 20, "all is acknowledged")
    assert queue.client.llen(names.TRAIN) == 0
    other.terminate()
    assert other.wait(30) == 0
    # All of this with the rights of a trainer, which Redis notes the refusals of.
    assert stack.refusals() == []
    assert queue.aside() == 0
