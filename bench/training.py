"""T: steps a second of configs/tutorial.toml against the same network in plain Keras fit.

    python -m bench T --seconds 8 --repeats 5       takes some two minutes

All sides train on MNIST (INKMILL_DATA) in one process, in turn, the same number of steps. Steps a
second of CPU time hold on a machine that others share too; of wall time only on a quiet one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.frame import in_turn

ROOT = Path(__file__).resolve().parents[1]
#: Trains so many steps from a first one.
Train = Callable[[int, int], None]
KERAS = "plain Keras fit, float32"
#: Steps before anything is measured: functions are traced, and their speed is estimated.
_WARM = 20


def ours(config: Any, material: Any, precision: str) -> Train:
    """A function that trains so many steps from a first one."""
    import tensorflow as tf

    from inkmill.trainer.feed import Feed
    from inkmill.trainer.learner import Learner
    from inkmill.trainer.loop import dataset_of

    learner = Learner(config, tf.distribute.get_strategy(), precision)
    feed = Feed(config, material)

    def run(start: int, steps: int) -> None:
        for number, (crops, labels) in enumerate(dataset_of(learner, feed, start, start + steps)):
            loss, _ = learner.step(crops, labels, start + number)
        float(loss)

    return run


def keras_fit(crops: np.ndarray, labels: np.ndarray, batch: int) -> Train:
    """The same network, loss and optimiser, as a Keras user writes it."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    images = (crops / np.float32(255.0))[..., None].astype(np.float32)

    def run(_: int, steps: int) -> None:
        model.fit(images[: steps * batch], labels[: steps * batch], batch_size=batch, verbose=0)

    return run


def sides() -> tuple[dict[str, Train], int]:
    """The sides, and the most steps that the data are enough for."""
    from inkmill.models.quiet import load_tensorflow
    from inkmill.trainer.config import Config
    from inkmill.trainer.crops import material
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.split import split

    load_tensorflow()
    config = Config.load(ROOT / "configs" / "tutorial.toml")
    parts = split(readers.load(config).samples, config)
    prepared, _ = material.prepare(parts.train, config)
    crops, labels = np.asarray(prepared.crops), np.asarray(prepared.labels)
    batch = config.training.batch
    return {
        KERAS: keras_fit(crops, labels, batch),
        "inkmill train, float32": ours(config, prepared, "float32"),
        "inkmill train, bfloat16": ours(config, prepared, "bfloat16"),
    }, len(labels) // batch


def main(seconds: float = 8.0, repeats: int = 5) -> None:
    """Train each side for about so many seconds, in turn."""
    found, most = sides()
    for train in found.values():
        train(0, _WARM)
    slowest = max(timed(train, 0, _WARM)["seconds"] for train in found.values())
    steps = min(most, max(_WARM, int(seconds * _WARM / slowest)))
    done = dict.fromkeys(found, _WARM)

    def side(name: str) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            done[name] += steps
            return timed(found[name], done[name] - steps, steps)

        return run

    in_turn("T", seconds, {name: side(name) for name in found}, repeats)


def timed(train: Train, start: int, steps: int) -> dict[str, Any]:
    """Steps a second, by the clock and by the time of all threads on processors."""
    begun, cpu = time.perf_counter(), time.process_time()
    train(start, steps)
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    return {"steps": steps, "seconds": wall, "rate": steps / wall, "rate_of_cpu": steps / used}
