"""What is no digit, told from digits: letters, crosses, scribbles, spoilt cells, blanks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.material import digits
from inkmill.forms.cut.normalise import normalise
from inkmill.models.predictor import Predictor
from inkmill.rules.statuses import LEAST_CERTAINTY
from inkmill.trainer.crops import negatives as drawn
from inkmill.trainer.measure.metrics import auc

_SEED = 11
KINDS = {
    "letters": drawn.letter,
    "crosses": drawn.cross,
    "scribbles": drawn.scribble,
    "two digits": drawn.two_digits,
    "overwritten": drawn.overwritten,
    "struck out": drawn.struck_out,
    "blanks": drawn.draw_blank,
}


def measure_rejection(predictor: Predictor, count: int = 400) -> dict[str, dict[str, float]]:
    """For each kind of what is no digit: ``area`` under the curve against MNIST's test digits,
    and the per cent that would pass for a digit surely enough to be accepted (``passed``).

    ``count`` of each are drawn. What is compared is the probability of the likeliest digit.
    """
    rng = np.random.default_rng(_SEED)
    source = digits("mnist-test")
    stamps = np.stack([np.pad(each, 18) for each in source.images[: max(2000, count)]])
    labels = source.labels[: len(stamps)]
    material = drawn.DigitStamps(stamps, {str(n): np.flatnonzero(labels == n) for n in range(10)})
    positive = _as_digits(predictor, list(stamps[:count]))
    found = {}
    for name, draw in KINDS.items():
        negative = _as_digits(predictor, [draw(material, rng) for _ in range(count)])
        passed = float((negative >= LEAST_CERTAINTY).mean())
        found[name] = {"area": round(auc(positive, negative), 5), "passed": round(100 * passed, 2)}
    return found


def _as_digits(predictor: Predictor, inks: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The probability of each picture's likeliest digit; pictures are light on dark."""
    manifest = predictor.manifest
    size = manifest.input_size
    crops = [normalise(255 - ink, size, manifest.filters) for ink in inks]
    odds = predictor.predict(
        np.stack([np.zeros((size, size), np.uint8) if each is None else each for each in crops])
    )
    others = [number for number, name in enumerate(manifest.classes) if not name.isdigit()]
    odds[:, others] = 0
    return np.asarray(odds.max(axis=1), np.float64)
