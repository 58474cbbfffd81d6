"""Metrics of readings: accuracy with its interval, calibration, temperature. NumPy only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]

_Z95 = 1.959963984540054

#: Between these a temperature is looked for.
_COLDEST, _HOTTEST = 0.25, 5.0


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share, after Wilson (1927), which is reliable near 100 %."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, _Z95 * _Z95
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    half = _Z95 * spread / (1 + z2 / total)
    # Rounding must not move the interval's end past the share itself.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """Mean negative logarithm of the probability of the true class."""
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(given, 1e-12, None)).mean())


def at_temperature(logits: Floats, temperature: float) -> Floats:
    """Softmax of logits (n, classes) divided by a temperature."""
    scaled = logits / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def with_floor(probabilities: Floats, floor: float) -> Floats:
    """Probabilities (n, classes) of which a share ``floor`` is spread over all classes."""
    return np.asarray((1 - floor) * probabilities + floor / probabilities.shape[1])


#: Floors that are tried: a reading is never wrong with a probability below the lowest.
FLOORS = (3e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 1e-2)


def fit_calibration(logits: Floats, labels: Labels) -> tuple[float, float]:
    """The temperature and the floor of the least log loss together.

    A temperature alone follows the many doubtful readings and leaves the surest ones, of which a
    few are wrong whatever the network says, too sure.
    """
    found = [(fit_temperature(logits, labels, floor), floor) for floor in FLOORS]
    return min(
        found,
        key=lambda each: log_loss(with_floor(at_temperature(logits, each[0]), each[1]), labels),
    )


def demanding_temperature(
    logits: Floats, labels: Labels, groups: Sequence[str], least: int = 100
) -> float:
    """The highest temperature that any one group of at least ``least`` samples needs; 0.0 if none.

    A new writer may write like the hardest of those known, and not like their average: the average
    is dominated by writers of whom everything is read right, who would have every reading sure.

    Of each, it is the lower end of what the samples leave open (one standard error by their
    likelihood), or the writer of whom by chance one more is misread would decide for all.
    """
    names = np.asarray(groups)
    counts = Counter(groups)
    chosen = [name for name, count in counts.items() if name and count >= least]
    return max(
        (_least_temperature(logits[names == each], labels[names == each]) for each in chosen),
        default=0.0,
    )


def _least_temperature(logits: Floats, labels: Labels) -> float:
    """Where, below the best fit, the samples' likelihood has fallen by half a nat: by bisection."""
    fitted = math.log(fit_temperature(logits, labels))

    def loss(place: float) -> float:
        return len(labels) * log_loss(at_temperature(logits, math.exp(place)), labels)

    allowed = loss(fitted) + 0.5
    low, high = math.log(_COLDEST), fitted
    if loss(low) <= allowed:
        return _COLDEST
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if loss(middle) <= allowed else (middle, high)
    return round(math.exp(high), 4)


def fit_temperature(logits: Floats, labels: Labels, floor: float = 0.0) -> float:
    """The temperature of the least log loss (Guo et al., 2017), by golden-section search.

    ``floor`` is what is spread over all classes afterwards.

    The loss has one minimum over the logarithm of the temperature. With hardly any mistakes the
    data do not determine it; it is then limited by the search's bounds, 0.25 and 5.
    """
    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    ratio = (math.sqrt(5) - 1) / 2

    def loss(place: float) -> float:
        return log_loss(with_floor(at_temperature(logits, math.exp(place)), floor), labels)

    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    while high - low > 1e-3:
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return round(math.exp((low + high) / 2), 4)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, in bins; ``error`` is the expected calibration error."""

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]
    error: float


def reliability(probabilities: Floats, labels: Labels, bins: int = 15) -> Reliability:
    """Reliability of the first reading, in bins of equal width."""
    right = np.asarray(probabilities.argmax(axis=1) == labels)
    return reliability_of(probabilities.max(axis=1), right, bins)


def reliability_of(confidence: Floats, right: NDArray[np.bool_], bins: int = 15) -> Reliability:
    """Reliability of readings with these confidences, in bins of equal width."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.maximum(count, 1)
    mean = np.bincount(place, confidence, bins) / divisor
    accuracy = np.bincount(place, right, bins) / divisor
    error = float((count * np.abs(mean - accuracy)).sum() / max(1, count.sum()))
    return Reliability(mean, accuracy, count, error)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many were read correctly."""

    right: int
    total: int

    @property
    def accuracy(self) -> float:
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.total)


def share_by(keys: Sequence[str], right: NDArray[np.bool_]) -> dict[str, Share]:
    """Accuracy for each key, in the order of the keys; without those that are empty."""
    names = np.array(keys)
    return {
        str(name): Share(int(right[names == name].sum()), int((names == name).sum()))
        for name in sorted(set(keys))
        if name
    }


def confusion(labels: Labels, readings: Labels, classes: int) -> NDArray[np.int64]:
    """The confusion matrix: how often each class (rows) was read as each class (columns)."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, readings), 1)
    return table


def auc(positive: Floats, negative: Floats) -> float:
    """Area under the ROC curve: the probability that a positive's score is above a negative's."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    equal = np.searchsorted(ordered, positive, "right") - below
    return float((below + 0.5 * equal).mean() / len(negative))
