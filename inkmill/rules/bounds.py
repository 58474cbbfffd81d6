"""Exact bounds for error rates, from counts alone.

Clopper & Pearson, The use of confidence or fiducial limits illustrated in the case of the
binomial, Biometrika 26 (1934). For errors that come in clusters (one hand, one document):
Korn & Graubard, Confidence intervals for proportions with small expected number of positive
counts estimated from survey data, Survey Methodology 24 (1998): the same bound with the
effective sample size in place of the real one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-11


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors among trials, with bounds that hold with the stated confidence."""

    errors: int
    trials: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Errors by trials; 0 where there are no trials."""
        return self.errors / self.trials if self.trials else 0.0

    def per_thousand(self) -> str:
        """For people: ``0.37 in 1,000 (0.11 to 0.92)``."""
        return f"{1000 * self.rate:.2f} in 1,000 ({1000 * self.low:.2f} to {1000 * self.high:.2f})"


def upper(errors: float, trials: float, confidence: float = 0.95) -> float:
    """The one-sided upper Clopper-Pearson bound of an error rate; 1 where there are no trials."""
    if trials <= 0 or errors >= trials:
        return 1.0
    return _quantile(lambda p: incomplete_beta(errors + 1, trials - errors, p), confidence)


def lower(errors: float, trials: float, confidence: float = 0.95) -> float:
    """The one-sided lower Clopper-Pearson bound of an error rate; 0 where there are no errors."""
    if trials <= 0 or errors <= 0:
        return 0.0
    return _quantile(lambda p: incomplete_beta(errors, trials - errors + 1, p), 1 - confidence)


def needed(target: float, confidence: float = 0.95) -> int:
    """Trials without any error that prove a rate below ``target``."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-target))


def clustered(counts: Iterable[tuple[int, int]], confidence: float = 0.95) -> Rate:
    """The rate and its two-sided bounds from (errors, trials) of each cluster."""
    groups = [each for each in counts if each[1]]
    errors, trials = sum(e for e, _ in groups), sum(n for _, n in groups)
    if not trials:
        return Rate(0, 0, 0.0, 1.0)
    effective = effective_trials(groups, confidence)
    hits = errors * effective / trials
    side = 1 - (1 - confidence) / 2
    return Rate(errors, trials, lower(hits, effective, side), upper(hits, effective, side))


def effective_trials(groups: Sequence[tuple[int, int]], confidence: float = 0.95) -> float:
    """How many independent trials the clusters are worth; never more than there are trials."""
    trials = sum(n for _, n in groups)
    if len(groups) < 2 or len(groups) == trials:
        return float(trials) if len(groups) == trials else 1.0
    rate = sum(e for e, _ in groups) / trials
    worth = float(trials)
    if 0 < rate < 1:
        spread = sum((e - rate * n) ** 2 for e, n in groups)
        variance = len(groups) / (len(groups) - 1) * spread / trials**2
        worth = min(worth, rate * (1 - rate) / variance) if variance > 0 else worth
    side = 1 - (1 - confidence) / 2
    fewer = student(trials - 1, side) / student(len(groups) - 1, side)
    return max(1.0, min(worth * fewer**2, float(trials)))


@lru_cache(maxsize=1024)
def student(freedom: int, probability: float) -> float:
    """The quantile of Student's t distribution, for probabilities above one half."""

    def below(x: float) -> float:
        t = x / (1 - x)
        return 1 - incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2

    x = _quantile(below, probability)
    return x / (1 - x)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b).

    By its continued fraction (Abramowitz & Stegun 26.5.8, evaluated by Lentz's method).
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _quantile(below: Callable[[float], float], probability: float) -> float:
    """Where a rising function on 0 to 1 reaches ``probability``, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if below(middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
