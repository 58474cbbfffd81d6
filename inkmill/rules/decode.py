"""The probability of each value of all fields that checks tie together.

The model: what the cells say of one field is independent of what they say of another, and each
check by itself may be wrong on the paper. An assignment of values to fields weighs what its
values weigh, times `PAPER_WRONG` for each check and each rule of a field that it breaks. A
field's odds are those of the sum over all assignments, so a check with a field that is only
partly read says as much of the others as that leaves it to say, and one that fails takes
nothing from another that holds.

Exact within a budget: an assignment that weighs less than e^-budget is not looked at, and what
that leaves out is counted against the margin. Fields are taken one after another; what is kept
between two of them is only how far each unfinished check is from balance, so that a column of
fifty numbers costs no more than its partial sums (dynamic programming, forward and backward, as
in hidden Markov models: Rabiner 1989).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Partial sums that are kept after a field, at most: beyond this it is too open to decide.
_MOST_STATES = 20_000
#: Steps between states, at most, of all fields together: some seconds of work. Fields that are
#: scribbled over have a thousand values each, whose sums fall together into few states.
_MOST_STEPS = 300_000
#: The weight of an assignment that breaks a check against one that keeps it. About one filled
#: form in 20 has a wrong sum, and a wrong sum is one of some ten common slips.
PAPER_WRONG = 0.005
#: Odds that are beyond telling.
_SUREST = 30.0
#: The balance of a check that can no longer be kept: no sum of cells comes near.
_BROKEN = 1 << 200

State = tuple[int, ...]


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
class Variable:
    """A field as the decoder sees it: all that it may be, the most probable first."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A check as the decoder sees it.

    ``factors`` maps each field to its coefficient in a sum that is to be 0. Fields without any
    (``factors`` None) are to have the same value, place for place.
    """

    names: tuple[str, ...]
    factors: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the fields probably are.

    ``kept`` is the most probable assignment that keeps all rules and checks, empty where there is
    none within the budget; ``masses`` gives, by field, what all assignments with a value weigh
    together; ``wrong`` is the probability of each check that it is broken on the paper;
    ``floor`` is the least weight that was looked at, ``left_out`` the same against the best.
    """

    kept: Mapping[str, str]
    masses: Mapping[str, Mapping[str | None, float]]
    wrong: tuple[float, ...]
    floor: float
    left_out: float

    def margin(self, name: str, value: str, share: float = 1.0) -> float:
        """The log odds of a field's value against all others.

        ``share`` is the part of the value's weight that speaks for it; the rest speaks against.
        """
        masses = self.masses[name]
        mass = masses.get(value, 0.0)
        others = math.fsum(each for other, each in masses.items() if other != value)
        against = others + mass * (1 - share) + self.floor
        if mass * share <= 0:
            return -_SUREST
        return max(min(math.log(mass * share / against), _SUREST), -_SUREST)

    def likeliest(self, name: str) -> str | None:
        """A field's most probable value; None where all that it may be means nothing."""
        masses = {value: each for value, each in self.masses[name].items() if value is not None}
        return max(masses, key=lambda value: masses[value]) if masses else None


def decode(
    variables: Sequence[Variable], constraints: Sequence[Constraint], budget: float
) -> Decoded | None:
    """Each field's odds; None where no assignment is within the budget.

    Raises TooOpen, which a larger budget only makes worse.

    ``budget`` is the logarithm of how improbable an assignment may be, against the best options
    of all fields together.
    """
    lattice = _Lattice(_ordered(variables, constraints), constraints, math.exp(-budget))
    return lattice.decoded() if lattice.solved else None


def _ordered(variables: Sequence[Variable], constraints: Sequence[Constraint]) -> list[Variable]:
    """Field by field of each check in turn: the sooner one is finished, the fewer states."""
    order = dict.fromkeys(name for each in constraints for name in each.names)
    order.update(dict.fromkeys(each.name for each in variables))
    by_name = {each.name: each for each in variables}
    return [by_name[name] for name in order]


class TooOpen(Exception):
    """So much is doubtful that looking at all of it would take too long."""


class _Mass(NamedTuple):
    """Assignments that lead here: the best, all together, and the best that breaks no rule."""

    best: float
    total: float
    kept: float


class _Edge(NamedTuple):
    """A step from a state to the next by a field's option, and the checks that it breaks."""

    state: State
    option: Option
    reached: State
    weight: float
    broken: tuple[int, ...]

    @property
    def keeps(self) -> bool:
        return self.option.kept and not self.broken


class _Step(NamedTuple):
    """A field's part in a check: where, its factor (0: the same value), whether it is the last."""

    place: int
    factor: int
    closes: bool


class _Lattice:
    """All assignments above ``floor``, as layers of states."""

    def __init__(
        self,
        variables: Sequence[Variable],
        constraints: Sequence[Constraint],
        floor: float,
    ) -> None:
        self._variables = variables
        self._floor = floor
        self._checks = len(constraints)
        self._steps = _steps([each.name for each in variables], constraints)
        self._edges: list[list[_Edge]] = []
        #: A number for each value that fields are to share.
        self._alike: dict[str, int] = {}
        self._start: State = (0,) * len(constraints)
        self._forward = self._run_forward()
        self.solved = bool(self._forward[-1])
        self._backward = self._run_backward() if self.solved else []

    def _run_forward(self) -> list[dict[State, _Mass]]:
        layers = [{self._start: _Mass(1.0, 1.0, 1.0)}]
        left = _MOST_STEPS
        for number, variable in enumerate(self._variables):
            layer: dict[State, _Mass] = {}
            edges: list[_Edge] = []
            for state, mass in layers[-1].items():
                for option in variable.options:
                    if mass.best * option.weight < self._floor:
                        break
                    left -= 1
                    edge = self._edge(number, state, option)
                    if mass.best * edge.weight >= self._floor:
                        _add(layer, edge.reached, mass, edge)
                        edges.append(edge)
                if left < 0 or len(layer) > _MOST_STATES:
                    raise TooOpen
            layers.append(layer)
            self._edges.append(edges)
        return layers

    def _edge(self, number: int, state: State, option: Option) -> _Edge:
        """The step by an option. A check that is finished, kept or not, matters no more."""
        steps = self._steps[number]
        if not steps:
            return _Edge(state, option, state, option.weight, ())
        reached, broken = list(state), list[int]()
        for place, factor, closes in steps:
            balance = reached[place]
            if balance != _BROKEN:
                balance = self._balance(balance, factor, option)
                if balance == _BROKEN or (closes and factor and balance):
                    broken.append(place)
                    balance = _BROKEN
            reached[place] = 0 if closes else balance
        weight = option.weight * PAPER_WRONG ** len(broken)
        return _Edge(state, option, tuple(reached), weight, tuple(broken))

    def _balance(self, balance: int, factor: int, option: Option) -> int:
        """A check's balance with one more field."""
        if option.value is None:
            return _BROKEN
        if factor:
            return balance + factor * option.number
        alike = self._alike.setdefault(option.value, len(self._alike) + 1)
        return alike if balance in (0, alike) else _BROKEN

    def _run_backward(self) -> list[dict[State, _Mass]]:
        layers = [dict.fromkeys(self._forward[-1], _Mass(1.0, 1.0, 1.0))]
        for edges in reversed(self._edges):
            layer: dict[State, _Mass] = {}
            for edge in edges:
                rest = layers[-1].get(edge.reached)
                if rest is not None:
                    _add(layer, edge.state, rest, edge)
            layers.append(layer)
        return layers[::-1]

    def decoded(self) -> Decoded:
        """The sums over all assignments, by field and value and by check."""
        masses: dict[str, dict[str | None, float]] = {}
        wrong = [0.0] * self._checks
        for number, variable in enumerate(self._variables):
            found = masses.setdefault(variable.name, {})
            before, after = self._forward[number], self._backward[number + 1]
            for state, option, reached, weight, broken in self._edges[number]:
                if reached not in after:
                    continue
                mass = before[state].total * weight * after[reached].total
                found[option.value] = found.get(option.value, 0.0) + mass
                for place in broken:
                    wrong[place] += mass
        everything = self._backward[0][self._start]
        return Decoded(
            self._kept(),
            masses,
            tuple(each / everything.total for each in wrong),
            self._floor,
            self._floor / everything.best,
        )

    def _kept(self) -> dict[str, str]:
        """The most probable assignment that keeps all rules and checks."""
        state, found = self._start, dict[str, str]()
        if not self._backward[0][state].kept:
            return {}
        for variable, edges, after in zip(
            self._variables, self._edges, self._backward[1:], strict=True
        ):
            edge = max(
                (
                    each
                    for each in edges
                    if each.state == state and each.keeps and each.reached in after
                ),
                key=lambda each: each.weight * after[each.reached].kept,
            )
            assert edge.option.value is not None
            found[variable.name] = edge.option.value
            state = edge.reached
        return found


def _steps(names: Sequence[str], constraints: Iterable[Constraint]) -> list[list[_Step]]:
    """For each field, in their order: its part in each check that it is in."""
    steps: list[list[_Step]] = [[] for _ in names]
    for place, each in enumerate(constraints):
        numbers = {name: names.index(name) for name in each.names}
        last = max(numbers.values())
        for name, number in numbers.items():
            factor = each.factors[name] if each.factors is not None else 0
            steps[number].append(_Step(place, factor, number == last))
    return steps


def _add(layer: dict[State, _Mass], state: State, mass: _Mass, edge: _Edge) -> None:
    """Assignments of ``mass``, one step longer, lead to or from ``state``."""
    weight = edge.weight
    best, total = mass.best * weight, mass.total * weight
    kept = mass.kept * weight if edge.keeps else 0.0
    there = layer.get(state)
    layer[state] = (
        _Mass(best, total, kept)
        if there is None
        else _Mass(max(there.best, best), there.total + total, max(there.kept, kept))
    )
