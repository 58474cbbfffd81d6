"""Strings out of frames: candidates and probabilities against all paths, written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from inkmill.models import ctc


def all_strings(frames: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every string's probability: the sum over each path of symbols, one by one."""
    found: dict[tuple[int, ...], float] = {}
    blank = frames.shape[1] - 1
    for path in itertools.product(range(blank + 1), repeat=len(frames)):
        merged = [symbol for symbol, _ in itertools.groupby(path)]
        string = tuple(symbol for symbol in merged if symbol != blank)
        found[string] = found.get(string, 0.0) + float(np.prod(frames[range(len(path)), path]))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_candidates_and_probabilities_are_those_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.dirichlet([0.4] * 4, size=6)
    truth = all_strings(frames)
    ordered = sorted(truth, key=lambda each: -truth[each])
    found = ctc.candidates(frames)
    assert found[:5] == ordered[:5]
    exact = ctc.probabilities(frames, found)
    np.testing.assert_allclose(exact, [truth[each] for each in found], atol=1e-12)
    # The rare ones as well, and those of which no path says anything.
    np.testing.assert_allclose(
        ctc.probabilities(frames, [*ordered, (0,) * 7]), [*(truth[s] for s in ordered), 0.0]
    )
    assert sum(truth.values()) == pytest.approx(1)


def test_repeats_need_a_blank_between_them() -> None:
    # 0 0, a pause, 0: "00", not "000"; without the pause "0".
    said = np.array(
        [[0.98, 0.01, 0.01], [0.98, 0.01, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]]
    )
    assert ctc.candidates(said)[0] == (0, 0)
    assert ctc.candidates(said[[0, 1, 3]])[0] == (0,)


def test_a_long_strip_does_not_underflow_in_the_search() -> None:
    rng = np.random.default_rng(0)
    frames = rng.dirichlet([1.0] * 16, size=400)
    assert len(ctc.candidates(frames)) == 40


def test_calibration_keeps_the_rest_and_takes_the_floor() -> None:
    given = ctc.calibrated(np.array([0.9, 0.06]), temperature=1.0, floor=0.01)
    np.testing.assert_allclose(given, [0.891, 0.0594])
    softer = ctc.calibrated(np.array([0.9, 0.06]), temperature=2.0, floor=0.0)
    assert 0.5 < softer[0] < 0.9
    assert 0.06 < 1 - softer.sum() < 0.2
    assert ctc.calibrated(np.zeros(3), temperature=1.0, floor=0.0).tolist() == [0, 0, 0]
