"""Layers of one's own in a training's configuration."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf

from inkmill.errors import UsageError
from inkmill.models.architectures import Conv, Dense, Dropout, Layer, Pool
from inkmill.trainer.config import Config
from inkmill.trainer.learner import Learner

PAGE = Path(__file__).parents[2] / "docs/reference/training-config.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## [[layers]]\n")[1].split("\n## ")[0]
SOURCES = [{"kind": "mnist", "path": "mnist"}]


def parsed(layers: Any, **others: Any) -> Config:
    return Config.parse({"sources": SOURCES, "layers": layers, **others}, "own.toml")


def test_the_layers_of_the_reference_are_trained() -> None:
    example = re.search(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    assert example is not None
    config = parsed(
        tomllib.loads(example[1])["layers"],
        training={"batch": 4, "initialiser": "he", "learning_rate": 0.01},
    )
    assert config.network.layers == (Conv(32), Pool(), Dense(256), Dropout())
    assert (config.network.name, config.input_size, config.reads_strips) == ("own", 28, False)
    assert Config.parse(config.model_dump(mode="json"), "again") == config
    learner = Learner(config, tf.distribute.get_strategy(), "float32")
    rng = np.random.default_rng(1)
    crops, labels = rng.integers(0, 256, (4, 28, 28), np.uint8), np.arange(4, dtype=np.int32)
    losses = [float(learner.step(crops, labels, number)[0]) for number in range(30)]
    assert losses[-1] < 0.2 * losses[0]
    assert learner.weights()["dense1/kernel"].shape == (14 * 14 * 32, 256)


def test_the_reference_names_every_kind_and_key() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", SECTION, re.MULTILINE))
    for layer in get_args(Layer):
        keys = {each.name: each.default for each in fields(layer)}
        named = rows.pop(keys.pop("kind"))
        assert all(f"`{key}`" in named for key in keys)
    assert not rows


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [{"kind": "conv", "filters": 3, "sise": 4}],
            "layers.0.conv.sise: no such key: did you mean 'size'",
        ),
        ([{"kind": "konv"}], "layers.0: no such kind of layer: did you mean 'conv'"),
        ([{"kind": "attention"}], "layers.0: no such kind of layer: conv, pool, dense"),
        ([{"filters": 3}], "layers.0: give the layer a kind: conv, pool, dense"),
        ([{"kind": "conv"}], "layers.0.conv.filters: Field required"),
        ([{"kind": "pool"}] * 5, "layers: the layers reduce to nothing"),
        ([{"kind": "pool"}] * 40, "layers: at most 32, not 40"),
        ([{"kind": "dense", "units": 8000}] * 2, "layers: 70,368,010 weights, but at most"),
        ({"kind": "pool"}, r"write \[\[layers\]\] in double brackets"),
    ],
)
def test_layers_that_do_not_fit_are_explained(layers: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parsed(layers)


def test_an_architecture_and_layers_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="give architecture or"):
        parsed([{"kind": "dense", "units": 10}], architecture="lenet")
    with pytest.raises(UsageError, match="needs"):
        Config.parse({"sources": SOURCES, "architecture": "own"}, "own.toml")
