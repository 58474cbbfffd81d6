"""The most probable values of all fields that checks tie together, and how sure they are.

Exact within a budget: an assignment that is less probable than e^-budget times what was read
is not looked at, and what that leaves out is counted against the margin. Fields are taken one
after another; what is kept between two of them is only how far each unfinished equation is
from balance, so that a column of fifty numbers costs no more than its partial sums (dynamic
programming, forward and backward, as in hidden Markov models: Rabiner 1989). Forward and
backward masses give each field's odds over all assignments that keep the rules, not only over
the second best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

State = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """A value that a field may have, its number, and its probability against the best's."""

    value: str
    number: int
    weight: float


@dataclass(frozen=True, slots=True)
class Variable:
    """A field as the decoder sees it.

    ``options`` keep the field's own rules, the most probable first; ``mass`` is the weight of
    all its values, rules or not, so that ``weight / mass`` is a probability by the reading.
    ``meaningless`` is the weight of readings without a value (an empty box between digits): no
    rule forbids them, and only an equation speaks against them.
    """

    name: str
    options: tuple[Option, ...]
    mass: float
    meaningless: float = 0.0


@dataclass(frozen=True, slots=True)
class DecodedValue:
    """A field's value in the most probable assignment, and its log odds against all others."""

    value: str
    margin: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answers, and what an assignment that was not looked at may weigh against the best."""

    answers: Mapping[str, DecodedValue]
    left_out: float


@dataclass(frozen=True, slots=True)
class _Mass:
    """The best assignment that leads here, and all of them together."""

    best: float
    total: float


def decode(
    variables: Sequence[Variable], equations: Sequence[Mapping[str, int]], budget: float
) -> Decoded | None:
    """Each field's answer; None where no assignment within the budget keeps all rules.

    Raises TooOpen, which a larger budget only makes worse.

    An equation maps fields to coefficients: their sum is to be 0. ``budget`` is the logarithm
    of how improbable an assignment may be, against what was read.
    """
    lattice = _Lattice(_ordered(variables, equations), equations, math.exp(-budget))
    return Decoded(lattice.answers(), lattice.left_out) if lattice.solved else None


def _ordered(
    variables: Sequence[Variable], equations: Sequence[Mapping[str, int]]
) -> list[Variable]:
    """Field by field of each equation in turn: the sooner one is finished, the fewer states."""
    order = dict.fromkeys(name for equation in equations for name in equation)
    order.update(dict.fromkeys(each.name for each in variables))
    by_name = {each.name: each for each in variables}
    return [by_name[name] for name in order]


#: A step from a state to the next by a field's option.
_Edge = tuple[State, Option, State]


class TooOpen(Exception):
    """So much is doubtful that looking at all of it would take too long."""


class _Lattice:
    """All assignments above ``floor`` that balance every equation, as layers of states."""

    def __init__(
        self,
        variables: Sequence[Variable],
        equations: Sequence[Mapping[str, int]],
        floor: float,
    ) -> None:
        self._variables = variables
        self._floor = floor
        names = [each.name for each in variables]
        last = [max(names.index(name) for name in equation) for equation in equations]
        #: For each field: the equations it is in, its factor there, whether it is their last.
        self._steps = [
            [
                (place, equation[name], last[place] == number)
                for place, equation in enumerate(equations)
                if name in equation
            ]
            for number, name in enumerate(names)
        ]
        self._edges: list[list[_Edge]] = []
        self._forward = self._run_forward((0,) * len(equations))
        self.solved = len(self._forward) == len(variables) + 1 and bool(self._forward[-1])
        self._backward = self._run_backward() if self.solved else []

    @property
    def left_out(self) -> float:
        """How much an assignment that was not looked at may weigh, against the best."""
        return self._floor / self._backward[0][next(iter(self._forward[0]))].best

    def _run_forward(self, start: State) -> list[dict[State, _Mass]]:
        layers = [{start: _Mass(1.0, 1.0)}]
        left = _MOST_STEPS
        for number, variable in enumerate(self._variables):
            layer: dict[State, _Mass] = {}
            edges: list[_Edge] = []
            for state, mass in layers[-1].items():
                for option in variable.options:
                    if mass.best * option.weight < self._floor:
                        break
                    left -= 1
                    reached = self._reach(number, state, option.number)
                    if reached is not None:
                        layer[reached] = _joined(layer.get(reached), mass, option.weight)
                        edges.append((state, option, reached))
                if left < 0 or len(layer) > _MOST_STATES:
                    raise TooOpen
            layers.append(layer)
            self._edges.append(edges)
        return layers

    def _reach(self, number: int, state: State, value: int) -> State | None:
        """The balances after one more field; None where a finished equation is off."""
        if not self._steps[number]:
            return state
        reached = list(state)
        for equation, factor, closes in self._steps[number]:
            balance = reached[equation] + factor * value
            if closes and balance:
                return None
            reached[equation] = balance
        return tuple(reached)

    def _run_backward(self) -> list[dict[State, _Mass]]:
        layers = [dict.fromkeys(self._forward[-1], _Mass(1.0, 1.0))]
        for number in reversed(range(len(self._variables))):
            layer: dict[State, _Mass] = {}
            leading: list[_Edge] = []
            for edge in self._edges[number]:
                state, option, reached = edge
                rest = layers[-1].get(reached)
                if rest is not None:
                    layer[state] = _joined(layer.get(state), rest, option.weight)
                    leading.append(edge)
            self._edges[number] = leading
            layers.append(layer)
        return layers[::-1]

    def answers(self) -> dict[str, DecodedValue]:
        """The best assignment, with each field's odds."""
        everything = math.prod(each.mass for each in self._variables)
        found = {}
        for number, (variable, option, same, others) in enumerate(self._best()):
            alone = option.weight / variable.mass
            if not self._steps[number]:
                others += variable.meaningless * same / option.weight
            astray = PAPER_WRONG * everything
            for_it = same + astray * alone
            against = others + self._floor + astray * (1 - alone)
            margin = math.log(for_it / against) if against > 0 else _SUREST
            found[variable.name] = DecodedValue(option.value, min(margin, _SUREST))
        return found

    def _best(self) -> list[tuple[Variable, Option, float, float]]:
        """Along the best assignment: each field's option, and the mass with and without it."""
        state = next(iter(self._forward[0]))
        path = []
        for number, variable in enumerate(self._variables):
            after = self._backward[number + 1]
            option, reached = max(
                (
                    (option, reached)
                    for here, option, reached in self._edges[number]
                    if here == state
                ),
                key=lambda each: each[0].weight * after[each[1]].best,
            )
            with_it, without = self._masses(number, option.value)
            path.append((variable, option, with_it, without))
            state = reached
        return path

    def _masses(self, number: int, value: str) -> tuple[float, float]:
        """The mass of all assignments in which a field has ``value``, and of the others."""
        before, after = self._forward[number], self._backward[number + 1]
        with_it = without = 0.0
        for state, option, reached in self._edges[number]:
            mass = before[state].total * option.weight * after[reached].total
            if option.value == value:
                with_it += mass
            else:
                without += mass
        return with_it, without


def _joined(there: _Mass | None, mass: _Mass, weight: float) -> _Mass:
    best, total = mass.best * weight, mass.total * weight
    return (
        _Mass(best, total) if there is None else _Mass(max(there.best, best), there.total + total)
    )
