"""Bounds that hold, thresholds that keep their promise, and honesty where there are few labels."""

from __future__ import annotations

import random

import pytest

from inkmill.rules import bounds
from inkmill.rules.accept import Acceptance, Labelled, choose, choose_by_model, curve
from tests.unit.form_pages import form


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    # R: binom.test(errors, trials)$conf.int
    [(0, 100, 0.0, 0.03621669), (3, 1000, 0.0006190, 0.0087417), (5, 20, 0.0865715, 0.4910459)],
)
def test_clopper_pearson(errors: int, trials: int, low: float, high: float) -> None:
    assert bounds.lower(errors, trials, 0.975) == pytest.approx(low, abs=2e-6)
    assert bounds.upper(errors, trials, 0.975) == pytest.approx(high, abs=2e-6)


def test_errors_that_come_together_widen_the_interval() -> None:
    apart = bounds.clustered([(1, 10)] * 10 + [(0, 10)] * 90)
    together = bounds.clustered([(10, 10)] + [(0, 10)] * 99)
    assert (apart.errors, apart.trials) == (together.errors, together.trials) == (10, 1000)
    assert together.high > 2 * apart.high
    assert bounds.clustered([]).high == 1.0


def test_no_errors_among_as_many_as_are_needed_prove_the_target() -> None:
    assert (
        bounds.upper(0, bounds.needed(0.001)) <= 0.001 < bounds.upper(0, bounds.needed(0.001) - 2)
    )


def _labels(chance: random.Random, count: int) -> list[Labelled]:
    found = []
    for number in range(count):
        sure = chance.random() < 0.8
        certainty = 1 - 0.0004 * chance.random() if sure else chance.uniform(0.5, 1)
        found.append(Labelled(certainty, chance.random() < certainty, str(number // 4)))
    return found


def test_a_chosen_threshold_keeps_its_target_on_fields_it_never_saw() -> None:
    chance, broken, proven = random.Random(3), 0, 0
    fresh = _labels(chance, 20_000)
    for _ in range(16):
        choice = choose(_labels(chance, 3000), 0.005)
        proven += choice.proven
        accepted = [each.right for each in fresh if each.certainty >= choice.least]
        broken += bool(accepted) and accepted.count(False) / len(accepted) > 0.005
    assert proven >= 15
    assert broken <= 2  # 95 %, with room for chance


def test_too_few_labels_prove_nothing_and_say_how_many_are_missing() -> None:
    choice = choose(_labels(random.Random(1), 300), 0.001)
    assert not choice.proven
    assert choice.missing > 2500
    assert choice.words().startswith("UNPROVEN: 300 labelled fields for a target of 1 in 1,000")


def test_without_labels_of_the_form_the_models_own_count_where_they_suffice() -> None:
    rows = curve([0.999] * 9000 + [0.6] * 1000, [True] * 9000 + [False] * 1000)
    lax = choose_by_model(rows, 0.01, 3)
    assert lax.proven
    assert lax.least == pytest.approx(0.999)
    assert not choose_by_model(rows, 0.0005, 3).proven
    page = form({"a": "3|type: number, target_error: 0.01", "b": "3|type: number"})
    known = Acceptance.of(page, None, rows)
    assert known.choices["a"].by == "model"
    assert list(known.choices) == ["a"]
    assert not Acceptance.of(page, None, []).choices["a"].proven
