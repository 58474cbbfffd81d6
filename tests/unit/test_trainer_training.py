"""Whole trainings on tiny data: resumed, preempted, on two devices, finished, exported."""

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

import numpy as np
import psutil
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFinished, Unreachable, UsageError
from inkmill.models.weights import decode_weights
from tests.unit.digit_images import write_mnist
from tests.unit.test_webpage import checked

pytestmark = pytest.mark.tensorflow

CLASSES = [*"0123456789", "blank", "reject"]


def config(**changes: Any) -> Any:
    from inkmill.trainer.config import Config

    values: dict[str, Any] = {
        "architecture": "lenet5",
        "classes": CLASSES,
        "sources": [{"kind": "mnist", "path": "mnist", "licence": "drawn by a test"}],
        "negatives": {"blank": 0.1, "reject": 0.1},
        "augmentation": {"cells": 0.5, "rotation": 5.0, "lines": 0.2},
        "training": {
            "steps": 30,
            "batch": 10,
            "seed": 5,
            "averaging": 0.9,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "deterministic": True,
        },
        "validation": {"every": 4, "best": True},
        "checkpoints": {"every": 10, "keep": 2},
    }
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return Config.parse(values, "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder / "mnist", train=200, test=50)
    return folder


def options(data: Path, folder: Path, **others: Any) -> Any:
    from inkmill.trainer.loop import TrainingOptions

    return TrainingOptions(folder=folder, data=data, processes=0, **others)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from inkmill.trainer.train import train

    folder = tmp_path_factory.mktemp("run")
    return train(config(), MemoryStore(), "whole", options(data, folder)), folder


def weights(finished: Any) -> dict[str, np.ndarray]:
    return decode_weights(finished.files.weights, finished.files.manifest)


def test_a_training_ends_with_a_model_that_passes_its_own_check(unbroken: Any) -> None:
    finished, folder = unbroken
    manifest = finished.files.manifest
    assert manifest.classes == tuple(CLASSES)
    assert manifest.metrics["sets"][0]["samples"] == 50
    assert manifest.data[0]["licence"] == "drawn by a test"
    assert manifest.config["training"]["seed"] == 5
    assert 0.25 <= manifest.temperature <= 5
    assert finished.predictor.check(finished.files.golden) < 1e-3
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert "30 steps in" in str(records)
    assert any(record.get("step") == 30 for record in records)
    assert any("in float32: deterministic" in record.get("says", "") for record in records)
    assert list((folder / "tensorboard").glob("events*"))
    assert [record["step"] for record in records if "accuracy" in record] == [0, 30]
    validated = [record["step"] for record in records if "validation_loss" in record]
    assert validated == [4, 8, 12, 16, 20, 24, 28, 30]
    best = min((r for r in records if "validation_loss" in r), key=lambda r: r["validation_loss"])
    assert manifest.metrics["best"]["step"] == best["step"]
    assert set(best["by_class"]) <= set(CLASSES)
    assert (folder / "learning-curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(
    data: Path, tmp_path: Path, unbroken: Any
) -> None:
    from inkmill.trainer.train import resume, train

    store = MemoryStore()
    with pytest.raises(NotFinished, match=r"step 17 of 30.*\n?.*--resume broken"):
        train(config(), store, "broken", options(data, tmp_path, stop_after=17))
    again = "call the same command again"
    with pytest.raises(NotFinished, match=f"resume with: {again}"):
        resume(store, "broken", options(data, tmp_path, stop_after=18, resume_hint=again))
    finished = resume(store, "broken", options(data, tmp_path))
    for name, value in weights(unbroken[0]).items():
        np.testing.assert_array_equal(weights(finished)[name], value, err_msg=name)


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


_TWO_DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, {tests!r})
from test_trainer_training import config, options
from inkmill.models.weights import decode_weights
from inkmill.backends.store import MemoryStore
from inkmill.trainer.train import train
import numpy as np
how = options(Path({data!r}), Path({out!r}), devices=("CPU:0", "CPU:1"))
settings = config(training={{"steps": 12, "keep": 1.0}})
finished = train(settings, MemoryStore(), "two", how)
arrays = decode_weights(finished.files.weights, finished.files.manifest)
np.savez(Path({out!r}) / "weights.npz", **arrays)
"""


def test_two_devices_train_as_one(data: Path, tmp_path: Path) -> None:
    """MirroredStrategy on two virtual CPU devices: the same sums, in another order."""
    from inkmill.trainer.train import train

    script = _TWO_DEVICES.format(
        tests=str(Path(__file__).parent), data=str(data), out=str(tmp_path)
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "on 2 devices (CPU:0, CPU:1), each with its share of a batch" in done.stderr
    settings = config(training={"steps": 12, "keep": 1.0})
    alone = weights(train(settings, MemoryStore(), "one", options(data, tmp_path / "one")))
    with np.load(tmp_path / "weights.npz") as together:
        for name, value in alone.items():
            np.testing.assert_allclose(together[name], value, atol=2e-3, err_msg=name)


_WITH_A_GPU = """
import sys
from pathlib import Path
import tensorflow as tf
from tensorflow.python.eager import context
tf.config.list_physical_devices()
gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
context.context()._physical_devices.append(gpu)
from inkmill.backends.store import MemoryStore
from inkmill.trainer.train import train
from tests.unit.test_trainer_training import config, options
settings = config(training={{"steps": 2}})
train(settings, MemoryStore(), "gpu", options(Path({data!r}), Path({out!r})))
print("grows:", tf.config.experimental.get_memory_growth(gpu))
"""


def test_a_training_begins_on_a_machine_with_a_gpu(data: Path, tmp_path: Path) -> None:
    """Memory growth can be set until TensorFlow is started: nothing may start it before."""
    script = _WITH_A_GPU.format(data=str(data), out=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "grows: True" in done.stdout


def test_a_device_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.devices import choose

    with pytest.raises(UsageError, match="there is no device GPU:7: use some of CPU:0"):
        choose(config(), ("gpu:7",))


def test_float16_keeps_its_loss_scale_in_bounds() -> None:
    import tensorflow as tf

    from inkmill.trainer.learner import Learner

    learner = Learner(config(), tf.distribute.get_strategy(), "float16")
    before = learner.arrays()
    crops = tf.zeros((10, 32, 32), tf.uint8)
    labels = tf.zeros((10,), tf.int32)
    learner._scale.assign(float("inf"))
    learner.step(crops, labels, 0)
    after = learner.arrays()
    # An overflow changes nothing: no weight, no moment of Adam, no average.
    for name in before.keys() - {"scale", "good"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    learner._scale.assign(1024.0)
    learner.step(crops, labels, 1)
    assert learner.arrays()["scale"] == 1024.0
    assert (learner.arrays()["weights/logits/bias"] != before["weights/logits/bias"]).any()


def test_optimisers_and_schedules_are_those_of_the_config() -> None:
    import keras
    import tensorflow as tf

    from inkmill.trainer.learner import Learner, learning_rate

    training = {"optimiser": "sgd", "momentum": 0.8, "clip": 0.5, "schedule": "step"}
    training |= {"learning_rate": 0.1, "decay": 0.5, "decay_every": 2, "keep": 1.0}
    settings = config(training={**training, "weight_decay": 0.0})
    assert [learning_rate(settings.training, n) for n in range(5)] == [0.1, 0.1, 0.05, 0.05, 0.025]
    learner = Learner(settings, tf.distribute.get_strategy(), "float32")
    before = learner.arrays()
    crops = tf.constant(np.random.default_rng(1).integers(0, 256, (10, 32, 32)).astype(np.uint8))
    labels = tf.range(10)
    with tf.GradientTape() as tape:
        logits = learner.network.logits(crops)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(each)
    gradients = tape.gradient(loss, list(learner.network.variables.values()))
    clipped, norm = tf.clip_by_global_norm(gradients, 0.5)
    assert float(norm) > 0.5
    expected = [tf.Variable(before[f"weights/{name}"]) for name in learner.network.variables]
    sgd = keras.optimizers.SGD(0.1, momentum=0.8, nesterov=True)
    sgd.apply_gradients(zip(clipped, expected, strict=True))
    learner.step(crops, labels, 0)
    after = learner.arrays()
    for name, value in zip(learner.network.variables, expected, strict=True):
        np.testing.assert_allclose(after[f"weights/{name}"], value, atol=1e-6, err_msg=name)


def test_a_run_goes_on_in_another_precision() -> None:
    import tensorflow as tf

    from inkmill.trainer.learner import Learner

    halves = Learner(config(), tf.distribute.get_strategy(), "float16")
    halves._scale.assign(1024.0)
    saved = halves.arrays()
    same = Learner(config(), tf.distribute.get_strategy(), "float16", saved)
    assert same.arrays()["scale"] == 1024.0
    # Only float16 takes its scale out of the gradients again.
    whole = Learner(config(), tf.distribute.get_strategy(), "float32", saved)
    assert whole.arrays()["scale"] == 1.0
    back = Learner(config(), tf.distribute.get_strategy(), "float16", whole.arrays())
    assert back.arrays()["scale"] == 2.0**15


def test_exports_agree_with_the_golden_set(unbroken: Any, tmp_path: Path) -> None:
    from inkmill.trainer.publish.exporters import export_onnx, export_savedmodel

    files = unbroken[0].files
    assert export_savedmodel(files, tmp_path / "saved") < 1e-3
    with pytest.raises(UsageError, match="is not empty"):
        export_savedmodel(files, tmp_path / "saved")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    assert export_onnx(files, tmp_path / "model.onnx") < 1e-3


def test_an_evaluation_writes_its_report(unbroken: Any, data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.samples import Dataset
    from inkmill.trainer.measure.evaluate import evaluate, write_report

    finished = unbroken[0]
    dataset = readers.load(config(), data)
    tested = Dataset([sample for sample in dataset.samples if sample.part == "test"])
    found = evaluate(finished.predictor, tested, robust=20)
    write_report(found, tmp_path)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["samples"] == 50
    assert figures["accuracy"] == pytest.approx(finished.tests["mnist"].share.accuracy)
    assert figures["data"] == finished.files.manifest.metrics["sets"][0]["sha256"]
    assert set(figures["robustness"]) >= {"clean cell", "110 dpi", "faint pencil"}
    for name in ("confusion.png", "reliability.png", "mistakes.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
        assert f"]({name})" in (tmp_path / "report.md").read_text()
    page = checked((tmp_path / "report.html").read_text())
    assert page.count("img") == 3
    assert page.count("table") == 3  # by class, by source, by damage


def test_train_publishes_and_the_gate_compares_with_the_current_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from inkmill.cli.commands.runs import runs
    from inkmill.cli.commands.train import train
    from inkmill.models import pretrained
    from inkmill.models.registry import Registry

    store = MemoryStore()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INKMILL_S3_BUCKET", "inkmill")
    monkeypatch.setattr("inkmill.backends.store.open_store", lambda settings: store)
    shipped = Registry(store, "digits").publish(pretrained.load())
    tiny = ["--data", str(data), "--processes", "0", "--steps", "4", "--batch", "10"]
    tiny += ["--set", "architecture=lenet5", "--precision", "float32"]
    tiny += ["--set", "split.validation=0.1"]
    refused = CliRunner().invoke(train, [*tiny, "--run", "one", "--name", "digits"])
    # The shipped model reads the drawn digits better than four steps of training do. The training
    # has succeeded nevertheless.
    assert refused.exit_code == 0
    assert "not published as digits: the new model reads" in refused.stderr
    assert "use --force to serve it anyway" in refused.stderr
    assert Registry(store, "digits").find("latest") == shipped
    assert (tmp_path / "runs/one/model/model-card.html").exists()
    named = ["--name", "digits", "--force"]
    forced = CliRunner().invoke(train, [*tiny, "--run", "two", *named])
    assert forced.exit_code == 0, forced.output
    pointer = Registry(store, "digits").latest()
    assert pointer is not None
    assert pointer.version == forced.stdout.strip()
    assert Registry(store, "digits").show(pointer.version).parents == (shipped,)
    # Under its own name it stands beside the shipped one.
    other = CliRunner().invoke(train, [*tiny, "--run", "three"])
    assert other.exit_code == 0, other.output
    assert Registry(store, "tutorial").find("latest") == other.stdout.strip()
    assert "TEST" in CliRunner().invoke(runs, ["list"]).stdout
    keys = {entry.key.split("/")[1] for entry in store.list("runs/")}
    assert keys == {"one", "two", "three"}
