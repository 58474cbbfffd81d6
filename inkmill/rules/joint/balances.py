"""The balances of checks, as the decoder keeps them from one field to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: How far each unfinished check is from balance, packed into one number.
State = int


@dataclass(frozen=True, slots=True)
class Option:
    """A value that a field may have.

    ``value`` None stands for a reading that means nothing (an empty box between digits), with
    which no check can be kept. ``number`` is what the value adds to a sum, ``weight`` its
    probability against the best option's; ``kept`` says whether the field's own rules allow it:
    where they do not, ``weight`` includes `PAPER_WRONG`.
    """

    value: str | None
    number: int
    weight: float
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Constraint:
    """A check as the decoder sees it.

    ``factors`` maps each field to its coefficient in a sum that is to be 0. Fields without any
    (``factors`` None) are to have the same value, place for place.
    """

    names: tuple[str, ...]
    factors: Mapping[str, int] | None = None


class Step(NamedTuple):
    """A field's part in a check: where, its factor (0: the same value), whether it is the last."""

    place: int
    factor: int
    closes: bool


class Balances:
    """The checks' balances as one number, which is added to and compared fastest.

    Each check has some bits for its balance plus ``_even``, or for the value that its fields
    share, and one flag above all balances for a check that is broken already.
    """

    def __init__(
        self,
        names: Sequence[str],
        options: Sequence[Sequence[Option]],
        constraints: Sequence[Constraint],
    ) -> None:
        most = sum(max(each.number for each in field) for field in options)
        self._bits = max(most, sum(map(len, options))).bit_length() + 2
        self._mask, self._even = (1 << self._bits) - 1, 1 << (self._bits - 1)
        self._flags = self._bits * len(constraints)
        self.start: State = sum(
            self._even << place * self._bits
            for place, each in enumerate(constraints)
            if each.factors is not None
        )
        #: For each field, in their order: its part in each check that it is in.
        self.steps = _steps(names, constraints)
        #: A number for each value that fields are to share.
        self._alike: dict[str, int] = {}

    def added(self, steps: Sequence[Step], option: Option) -> int | None:
        """What an option adds to each state; None where that depends on the state."""
        if option.value is None or any(not factor or closes for _, factor, closes in steps):
            return None if steps else 0
        return self._sum(steps, option)

    def _sum(self, steps: Sequence[Step], option: Option) -> int:
        return sum(factor * option.number << place * self._bits for place, factor, _ in steps)

    def after(
        self, state: State, steps: Sequence[Step], option: Option
    ) -> tuple[State, tuple[int, ...]]:
        """The state after an option, and the checks that it breaks.

        Of a check that is finished, kept or not, nothing is left in the state.
        """
        reached, broken = state + self._sum(steps, option), list[int]()
        for place, factor, closes in steps:
            shift, flag = place * self._bits, 1 << self._flags + place
            if not state & flag:
                balance = reached >> shift & self._mask
                if option.value is None:
                    fails = True
                elif factor:
                    fails = closes and balance != self._even
                else:
                    alike = self._alike.setdefault(option.value, len(self._alike) + 1)
                    fails = balance not in (0, alike)
                    reached += 0 if balance else alike << shift
                if fails:
                    broken.append(place)
                    reached |= flag
            if closes:
                reached &= ~(self._mask << shift | flag)
        return reached, tuple(broken)


def _steps(names: Sequence[str], constraints: Sequence[Constraint]) -> list[list[Step]]:
    steps: list[list[Step]] = [[] for _ in names]
    for place, each in enumerate(constraints):
        numbers = {name: names.index(name) for name in each.names}
        last = max(numbers.values())
        for name, number in numbers.items():
            factor = each.factors[name] if each.factors is not None else 0
            steps[number].append(Step(place, factor, number == last))
    return steps
