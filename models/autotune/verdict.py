"""What a contest found: how each precision did, which one is taken, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from inkmill.models.autotune.host import device_of
from inkmill.models.runtimes.protocol import is_tensorflow
from inkmill.records import codec
from inkmill.records.codec import Length, Name, Text, Timestamp, Within

#: Version of the stored record; any other is not used. It grows, too, when another precision takes
#: part, so that hosts measure again.
_SCHEMA = 3

#: float32 is kept unless another precision saves this share of the time: less is noise.
_WORTHWHILE = 0.05
#: Another runtime has to save more: its sums are another dependency's arithmetic, which may
#: change with that dependency, and what a form's thresholds were calibrated with no longer holds.
_WORTH_A_RUNTIME = 0.1
#: Where others used more than this share of the processors, the contest is held again.
QUIET = 0.25

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class Trial:
    """How one precision did: images per second of processor time, round by round, the largest
    change of a confidence on the golden set, and why it must not be used ("" if it may)."""

    rates: Annotated[tuple[Annotated[float, Within(0, 1e12)], ...], Length(0, 1000)]
    difference: Annotated[float, Within(0, 1)]
    refused: Text = ""

    @property
    def rate(self) -> float:
        """The median of the rounds; 0 where there were none."""
        return statistics.median(self.rates) if self.rates else 0.0

    def times(self, other: Trial) -> tuple[float, float]:
        """How many times as fast as the other one: the median of the rounds' ratios, and half the
        distance of their quartiles. Neighbours on the host slow down both sides of a round."""
        low, median, high = self._ratios(other)
        return median, (high - low) / 2

    def saves(self, other: Trial) -> float:
        """The share of the other's time that it saves; 0 unless it won three rounds of four."""
        if not self.rate or not other.rate:
            return 1.0 if self.rate else 0.0
        low, median, _ = self._ratios(other)
        return 1 - 1 / median if low > 1 else 0.0

    def _ratios(self, other: Trial) -> tuple[float, float, float]:
        """Quartiles of the rounds' ratios."""
        ratios = [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]
        if len(ratios) == 1:
            return ratios[0], ratios[0], ratios[0]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, median, high


def fastest(trials: Mapping[str, Trial]) -> str:
    """The precision to take: float32 unless another one is allowed and clearly faster."""
    allowed = {name: trial for name, trial in trials.items() if not trial.refused}
    taken = FLOAT32
    # First TensorFlow's own, then the best of the others against the best of those.
    for own, worthwhile in ((True, _WORTHWHILE), (False, _WORTH_A_RUNTIME)):
        names = [name for name in allowed if is_tensorflow(name) is own]
        best = max(names, key=lambda name: allowed[name].rate, default=taken)
        if best == taken or best not in allowed:
            continue
        if taken not in allowed or allowed[best].saves(allowed[taken]) > worthwhile:
            taken = best
    return taken


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured on a host for a network.

    ``load`` is the share of the processors' time that others used meanwhile, ``measured`` when
    that was (seconds since the epoch).
    """

    precision: Name
    architecture: Name
    host: Text
    threads: Annotated[int, Within(0, 100_000)]
    classes: Annotated[int, Within(2, 256)]
    trials: dict[str, Trial] = field(default_factory=dict)
    #: The runtimes that were there and their versions: with others it is measured again.
    runtimes: dict[str, str] = field(default_factory=dict)
    load: Annotated[float, Within(0, 1)] = 0.0
    measured: Timestamp = 0.0
    schema: Annotated[int, Within(_SCHEMA, _SCHEMA)] = _SCHEMA

    @property
    def rate(self) -> float:
        """Images per second of processor time that the precision taken promises."""
        taken = self.trials.get(self.precision)
        return taken.rate if taken is not None else 0.0

    @property
    def was_quiet(self) -> bool:
        """Whether others left the host alone meanwhile."""
        return self.load <= QUIET

    @property
    def _on_device(self) -> bool:
        return bool(device_of(self.host)[0])

    def __str__(self) -> str:
        each = ", ".join(f"{name} {self._of(trial)}" for name, trial in self.trials.items())
        network = f"{self.architecture} with {self.classes} classes"
        engine = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = self.host if self._on_device else f"{self.host}, in engines with {engine}"
        return (
            f"{network} runs in {self.precision} on {where}: {each}; "
            f"measured {datetime.fromtimestamp(self.measured, UTC):%Y-%m-%d %H:%M} UTC, others "
            f"used {self.load:.0%} of the processors"
            + ("" if self.was_quiet else ": an idle engine measures again when the host is quiet")
        )

    def _of(self, trial: Trial) -> str:
        if trial.refused:
            return trial.refused
        against, reference = "", self.trials.get(FLOAT32)
        if reference is not None and reference is not trial and reference.rate and trial.rate:
            times, spread = trial.times(reference)
            against = f", {times:.2f} ± {spread:.2f} times float32"
        return (
            f"{trial.rate:,.0f} images/s{'' if self._on_device else ' a core'}{against} "
            f"(confidence differs by up to {trial.difference:.4f})"
        )

    def encode(self) -> bytes:
        """The record as JSON."""
        return codec.encode(self, "what was measured", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str) -> Tuning:
        """The record in a file of that name. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=_SCHEMA)
