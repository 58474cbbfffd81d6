"""One step of a training: devices, precisions, optimisers and schedules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import UsageError
from tests.unit.digit_images import write_mnist
from tests.unit.small_trainings import config, options, weights

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder / "mnist", train=200, test=50)
    return folder


_TWO_DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, {tests!r})
from tests.unit.small_trainings import config, options
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
from tests.unit.small_trainings import config, options
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
