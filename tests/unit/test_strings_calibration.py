"""The calibration of strips: what decides how sure a reader may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from inkmill.models import ctc
from inkmill.models.strips import Hypothesis
from inkmill.trainer.measure.strings import (
    CERTAIN,
    MOST_WRONG,
    LabelledStrips,
    fit_strings,
)

_BLANK = np.zeros((40, 8), np.uint8)


class Fake:
    """A reader that says the same of every strip of a kind; a strip's first pixel is its kind."""

    def __init__(self, *probabilities: float) -> None:
        self._said = [
            [Hypothesis("12", best), Hypothesis("17", min(0.01, 0.1 * (1 - best)))]
            for best in probabilities
        ]

    def read(self, strips: Sequence[Any]) -> list[list[Hypothesis]]:
        return [self._said[strip[0, 0]] if strip[0, 0] < 9 else [] for strip in strips]


def strips(*kinds: tuple[int, int, int]) -> LabelledStrips:
    """So many strips of each kind, of which so many say 12 and the others something else."""
    pictures, texts = list[Any](), list[str | None]()
    for kind, count, right in kinds:
        picture = _BLANK.copy()
        picture[0, 0] = kind
        pictures += [picture] * count
        texts += ["12"] * right + ["99"] * (count - right)
    return LabelledStrips(pictures, texts, [""] * len(texts))


def fitted(reader: Fake, labelled: LabelledStrips) -> tuple[float, float]:
    return fit_strings(cast(Any, reader), labelled)


def test_strips_that_are_sure_too_often_are_made_less_sure() -> None:
    honest, _ = fitted(Fake(0.9), strips((0, 400, 360)))
    vain, _ = fitted(Fake(0.9), strips((0, 400, 300)))
    shy, _ = fitted(Fake(0.9), strips((0, 400, 390)))
    assert shy < honest < vain
    assert 0.9 < honest < 1.1


def test_strips_that_nobody_can_read_do_not_decide_how_sure_the_others_are() -> None:
    reader = Fake(0.95, 0.3)
    alone = fitted(reader, strips((0, 400, 380)))
    # Nine in ten of the doubtful ones are right, and a strip without hypotheses has none.
    assert fitted(reader, strips((0, 400, 380), (1, 900, 810), (9, 50, 50))) == alone


def test_a_reader_that_is_sure_of_nothing_is_fitted_on_all() -> None:
    often, _ = fitted(Fake(0.3), strips((0, 400, 180)))
    seldom, _ = fitted(Fake(0.3), strips((0, 400, 60)))
    # Below one half, a text becomes more probable as all outcomes become alike.
    assert often > 1.1
    assert seldom < 0.9


def test_at_most_two_in_a_thousand_accepted_strips_are_wrong() -> None:
    """Nine kinds of strips, the surer the more often right; log loss alone accepts too many."""
    reader = Fake(*(1 - 0.004 * 1.3**kind for kind in range(9)))
    many = strips(*((kind, 1000, round(1000 - 4 * 1.3**kind)) for kind in range(9)))
    temperature, floor = fitted(reader, many)
    given = [np.array([each.probability for each in row]) for row in reader.read(many.pictures)]
    accepted = [ctc.calibrated(row, temperature, floor).max() >= CERTAIN for row in given]
    wrong = [held and text != "12" for held, text in zip(accepted, many.texts, strict=True)]
    assert sum(wrong) <= MOST_WRONG * sum(accepted)
    assert temperature > 1.03
    # Where none is wrong, nothing is raised.
    assert fitted(reader, strips((0, 1000, 1000)))[0] < 1.0
