"""Steps a second of configs/tutorial.toml against the same network in plain Keras fit.

    python bench/training.py [--steps 200] [--rounds 5]

Both sides train on MNIST (INKMILL_DATA) in one process, in turn; medians are printed. Steps a
second of CPU time hold on a machine that others share too; of wall time only on a quiet one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def ours(config: Any, material: Any, precision: str) -> Any:
    """A function that trains some steps and returns the seconds they took: wall and CPU."""
    import tensorflow as tf

    from inkmill.trainer.feed import Feed
    from inkmill.trainer.learner import Learner
    from inkmill.trainer.loop import dataset_of

    learner = Learner(config, tf.distribute.get_strategy(), precision)
    feed = Feed(config, material)

    def run(start: int, steps: int) -> tuple[float, float]:
        begun, cpu = time.perf_counter(), time.process_time()
        for number, (crops, labels) in enumerate(dataset_of(learner, feed, start, start + steps)):
            loss, _ = learner.step(crops, labels, start + number)
        float(loss)
        return time.perf_counter() - begun, time.process_time() - cpu

    run(0, 5)
    return run


def keras_fit(crops: np.ndarray, labels: np.ndarray, batch: int) -> Any:
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

    def run(_: int, steps: int) -> tuple[float, float]:
        begun, cpu = time.perf_counter(), time.process_time()
        model.fit(images[: steps * batch], labels[: steps * batch], batch_size=batch, verbose=0)
        return time.perf_counter() - begun, time.process_time() - cpu

    run(0, 5)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    from inkmill.trainer.config import Config
    from inkmill.trainer.crops import material
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.split import split

    config = Config.load(ROOT / "configs" / "tutorial.toml")
    parts = split(readers.load(config).samples, config)
    prepared, _ = material.prepare(parts.train, config)
    sides = {
        "plain Keras fit, float32": keras_fit(
            np.asarray(prepared.crops), np.asarray(prepared.labels), config.training.batch
        ),
        "inkmill train, float32": ours(config, prepared, "float32"),
        "inkmill train, bfloat16": ours(config, prepared, "bfloat16"),
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(given.rounds):
        for name, run in sides.items():
            wall, cpu = run(5 + number * given.steps, given.steps)
            rates[name].append((given.steps / wall, given.steps / cpu))
    figures = {
        name: {
            "steps a second": round(statistics.median(wall for wall, _ in each), 2),
            "steps a second of CPU": round(statistics.median(cpu for _, cpu in each), 2),
        }
        for name, each in rates.items()
    }
    print(json.dumps({"cores": len(os.sched_getaffinity(0)), **figures}, indent=2))


if __name__ == "__main__":
    main()
