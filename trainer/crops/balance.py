"""How much each class counts: weights of the loss, from how often batches have each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.models.manifest import BLANK, REJECT
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import Material


def loss_weights(config: Config, material: Material) -> NDArray[np.float32] | None:
    """The weight of each class's loss, float32 (classes,); None if all count as they come.

    For ``balance = "loss"``, those with which all classes have the same part of the mean loss, as
    scikit-learn's "balanced": 1 / (number of classes x share of the class).
    """
    training = config.training
    if training.class_weights:
        given = [training.class_weights.get(name, 1.0) for name in config.classes]
        return np.array(given, np.float32)
    if training.balance != "loss":
        return None
    shares = class_shares(config, material)
    there = shares > 0
    weights = np.zeros(len(shares))
    weights[there] = 1 / (there.sum() * shares[there])
    return weights.astype(np.float32)


def class_shares(config: Config, material: Material) -> NDArray[np.float64]:
    """The share of each class in the batches: float64 (classes,), with sum 1."""
    count = len(config.classes)
    labels, ends = np.asarray(material.labels), material.starts
    shares = np.zeros(count)
    for source, weight in enumerate(material.weights):
        mine = labels[ends[source] : ends[source + 1]]
        if len(mine):
            shares += weight * np.bincount(mine, minlength=count) / len(mine)
    drawn = config.negatives
    shares *= 1 - drawn.blank - drawn.reject - (drawn.marks if config.marks else 0.0)
    for kind, share in {BLANK: drawn.blank, REJECT: drawn.reject}.items():
        if share:
            shares[config.classes.index(kind)] += share
    for mark in config.marks:
        shares[config.classes.index(mark)] += drawn.marks / len(config.marks)
    return shares
