"""The contest: each precision in turn, by processor time, several rounds.

The clock of a busy host measures its neighbours: it once found OpenVINO 3.8 times as fast where
1.3 was true (decision 8). So each round lets every precision run right after the others, counts the
processor time of all threads of this process, and gives one ratio; the median of these counts.
Where a graphics processor computes, whose time is no process's, the clock has to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from inkmill.errors import ModelError
from inkmill.models.autotune.host import OtherWork, host
from inkmill.models.autotune.verdict import Trial, Tuning, fastest
from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.protocol import available, is_tensorflow, runtimes

if TYPE_CHECKING:
    from inkmill.models.predictor import Predictor

#: Rounds, and seconds of each precision in each of them. Its best call of a round counts: what
#: else happens can only make it slower.
_ROUNDS, _SECONDS = 7, 0.08
#: Large enough to be at full speed, small enough for a host that is slow in a precision.
_SHAPE = (256,)


class GaveWay(Exception):
    """The contest was broken off, since there is work to do."""


def measure(
    manifest: Manifest,
    weights: bytes,
    golden: bytes,
    threads: int,
    precisions: Sequence[str] = (),
    give_way: Callable[[], bool] = lambda: False,
    device: str = "",
) -> Tuning:
    """Time each precision and check it against the golden set.

    ``precisions`` are by default all that this host has, or those of TensorFlow on its ``device``,
    if that is named. ``give_way`` is asked between two turns whether to break off. Raises GaveWay
    then.
    """
    others = OtherWork()
    trials: dict[str, Trial] = {}
    running: dict[str, Predictor] = {}
    there = [each for each in available() if not device or is_tensorflow(each)]
    for precision in precisions or there:
        if give_way():
            raise GaveWay
        try:
            running[precision], difference = _checked(
                manifest, weights, golden, threads=threads, precision=precision
            )
            trials[precision] = Trial((), difference)
        except ModelError as error:
            trials[precision] = Trial((), 1.0, str(error))
    for number in range(_ROUNDS):
        # Back and forth, so that none always runs after the same one.
        turns = sorted(running) if number % 2 else sorted(running, reverse=True)
        for precision in turns:
            if give_way():
                raise GaveWay
            rates = (*trials[precision].rates, _rate(running[precision]))
            trials[precision] = replace(trials[precision], rates=rates)
    return Tuning(
        precision=fastest(trials),
        architecture=manifest.architecture,
        host=host(device),
        threads=threads,
        classes=len(manifest.classes),
        trials=trials,
        runtimes=runtimes(),
        load=others.share(),
        measured=time.time(),
    )


def _checked(
    manifest: Manifest, weights: bytes, golden: bytes, *, threads: int, precision: str
) -> tuple[Predictor, float]:
    """A predictor, and the largest difference of a probability from the golden set's."""
    from inkmill.models.predictor import Predictor

    predictor = Predictor(
        manifest,
        weights,
        precision=precision,
        threads=threads,
        shapes=_SHAPE,
        golden=golden,
    )
    return predictor, predictor.check(golden)


def _rate(predictor: Predictor) -> float:
    """Images per second of processor time: by the best of some calls."""
    from inkmill.models.runtimes.protocol import stopwatch

    size, (count,) = predictor.manifest.input_size, _SHAPE
    crops = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    watch = stopwatch()
    best, started = float("inf"), watch()
    until = started + _SECONDS
    while started < until:
        predictor.once(crops)
        now = watch()
        best, started = min(best, now - started), now
    return count / best
