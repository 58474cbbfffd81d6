"""Labels that are probably wrong, by the confidence of models that did not see them.

Confident learning (Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in
dataset labels, JAIR 70, 2021): each image is read by a model that was fitted without it, and is a
suspect if that model says another class with at least the confidence that it has in this class on
average. The model is a linear one on what the shipped network sees in the crops, so that some
hundred images suffice and labels cannot be learnt by heart.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.trainer.data.samples import Grey, Sample

Floats = NDArray[np.float64]

#: Weight of the linear model's penalty, as scikit-learn's C: with fewer images than features, a
#: weaker one makes it sure of everything.
_PENALTY = 0.03
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label is probably wrong.

    ``at`` is its place among the samples, ``likely`` the class that it seems to be, ``confidence``
    the probability of that class, ``given`` that of its label.
    """

    at: int
    sample: Sample
    likely: str
    confidence: float
    given: float


@dataclass(frozen=True, slots=True)
class Checked:
    """The suspects, the surest first, and how many samples were looked at, in how many folds.

    ``by_group`` says that no model knew the writer (or document) of what it read; ``rare`` are
    classes with fewer samples than folds, which were not looked at.
    """

    suspects: list[Suspect]
    count: int
    folds: int
    by_group: bool
    rare: dict[str, int]


def network_features(crops: Grey) -> NDArray[np.float32]:
    """What the shipped network's last layer gets: float32 (n, features), of crops (n, 28, 28)."""
    from inkmill.models.quiet import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from inkmill.models import pretrained
    from inkmill.models.cascade import divided
    from inkmill.models.network import Network
    from inkmill.models.weights import decode_weights

    files = pretrained.load()
    arrays, _ = divided(decode_weights(files.weights, files.manifest))
    network = Network(files.manifest.layers, arrays)
    run = tf.function(network.features, autograph=False, reduce_retracing=True)
    parts = [run(tf.constant(crops[at : at + _BATCH])).numpy() for at in _starts(len(crops))]
    return np.concatenate(parts)


def _starts(count: int) -> range:
    return range(0, count, _BATCH)


def check_labels(
    samples: Sequence[Sample], features: NDArray[np.float32], folds: int, seed: int
) -> Checked:
    """Find samples whose labels are probably wrong.

    ``features`` float32 (n, features) are those of the samples. Where all samples have groups, and
    at least as many as folds, those of a group are read by a model that saw none of them. Raises
    UsageError for fewer than two folds, or if fewer than two classes have as many samples as folds.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds: use 2 or more")
    counts = Counter(sample.label for sample in samples)
    rare = {name: count for name, count in sorted(counts.items()) if count < folds}
    chosen = [at for at, sample in enumerate(samples) if sample.label not in rare]
    classes = sorted(counts.keys() - rare.keys())
    if len(classes) < 2:
        raise UsageError(
            f"labels cannot be checked in {folds} folds: fewer than two classes have {folds} images"
        )
    kept = [samples[at] for at in chosen]
    labels = np.array([classes.index(sample.label) for sample in kept])
    groups = [sample.group for sample in kept]
    by_group = all(groups) and len(set(groups)) >= folds
    said = _held_out(features[chosen], labels, groups if by_group else None, (folds, seed))
    suspects = [
        Suspect(chosen[at], kept[at], classes[likely], float(said[at, likely]), given)
        for at, likely, given in _disagreeing(said, labels)
    ]
    return Checked(suspects, len(kept), folds, by_group, rare)


def _held_out(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: Sequence[str] | None,
    how: tuple[int, int],
) -> Floats:
    """Probabilities (n, classes), each by a model that was fitted without its fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    folds, seed = how
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    said = np.zeros((len(labels), labels.max() + 1))
    # One scale for all features: those that are nearly always 0 must not count as much as others.
    scaled = features / max(float(features.std()), 1e-9)
    with warnings.catch_warnings():
        # Its last digits do not matter here.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        for learnt, read in splitter.split(scaled, labels, groups):
            model = LogisticRegression(C=_PENALTY, max_iter=200)
            model.fit(scaled[learnt], labels[learnt])
            said[np.ix_(read, model.classes_)] = model.predict_proba(scaled[read])
    return said


def _disagreeing(said: Floats, labels: NDArray[np.int64]) -> Iterator[tuple[int, int, float]]:
    """Place, likely class, and probability of the own label, of what confidently disagrees."""
    own = said[np.arange(len(labels)), labels]
    count = np.maximum(np.bincount(labels, minlength=said.shape[1]), 1)
    usual = np.bincount(labels, own, said.shape[1]) / count
    sure = np.where(said >= usual, said, 0.0)
    likely = sure.argmax(axis=1)
    different = np.flatnonzero((sure.max(axis=1) > 0) & (likely != labels))
    margin = said[different, likely[different]] - own[different]
    for at in different[np.argsort(-margin)].tolist():
        yield at, int(likely[at]), float(own[at])
