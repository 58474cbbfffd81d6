"""The probability of each value of all fields that checks tie together.

The model: what the cells say of one field is independent of what they say of another, and each
check by itself may be wrong on the paper. An assignment of values to fields weighs what its
values weigh, times `PAPER_WRONG` for each check and each rule of a field that it breaks. A
field's odds are those of the sum over all assignments, so a check with a field that is only
partly read says as much of the others as that leaves it to say, and one that fails takes
nothing from another that holds.

Exact within a budget: an assignment that weighs less than e^-budget is not looked at, and such a
one is counted against the margin (tests find probabilities right to a thousandth). Fields are
taken one after another; what is kept between two of them is only how far each unfinished check is
from balance, so that a column of fifty numbers costs no more than its partial sums (dynamic
programming, forward and backward, as in hidden Markov models: Rabiner 1989).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkmill.rules.joint.balances import Balances, Constraint, Option, State, Step

#: Partial sums that are kept after a field, at most: beyond this it is too open to decide.
_MOST_STATES = 20_000
#: Steps between states, at most, of all fields together: some seconds of work. Fields that are
#: scribbled over have a thousand values each, whose sums fall together into few states.
_MOST_STEPS = 300_000
#: The weight of an assignment that breaks a check against one that keeps it. About one filled
#: form in 20 has a wrong sum, and a wrong sum is one of some ten common slips.
PAPER_WRONG = 0.005
#: The same when it is decided what to look at: broken assignments are many, and add up.
_PRUNED = PAPER_WRONG**0.5
#: Log odds that are beyond telling.
SUREST = 30.0


@dataclass(frozen=True, slots=True)
class Variable:
    """A field as the decoder sees it: all that it may be, the most probable first."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the fields probably are.

    ``kept`` is the most probable assignment that keeps all rules and checks, empty where there is
    none within the budget; ``masses`` gives, by field, what all assignments with a value weigh
    together; ``wrong`` is the probability of each check that it is broken on the paper;
    ``floor`` is the least weight that was looked at, ``left_out`` the same against all of them.
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
            return -SUREST
        return max(min(math.log(mass * share / against), SUREST), -SUREST)

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


#: Assignments that lead to a state: the best, all together, and the best that breaks no rule. The
#: first is only for what to look at.
_Mass = list[float]
#: A step from a state to the next by a field's option, its weight, and the checks that it breaks.
_Edge = tuple[State, Option, State, float, tuple[int, ...]]


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
        names, options = [each.name for each in variables], [each.options for each in variables]
        self._balances = Balances(names, options, constraints)
        self._edges: list[list[_Edge]] = []
        self._forward = self._run_forward()
        self.solved = bool(self._forward[-1])
        self._backward = self._run_backward() if self.solved else []

    def _run_forward(self) -> list[dict[State, _Mass]]:
        layers: list[dict[State, _Mass]] = [{self._balances.start: [1.0, 1.0, 1.0]}]
        most = _MOST_STEPS
        for variable, steps in zip(self._variables, self._balances.steps, strict=True):
            added = [(each, self._balances.added(steps, each)) for each in variable.options]
            layer: dict[State, _Mass] = {}
            edges: list[_Edge] = []
            for state, mass in layers[-1].items():
                most -= self._extend(state, mass[0], steps, added, edges)
                if most < 0:
                    raise TooOpen
            for edge in edges:
                _add(layer, edge[2], layers[-1][edge[0]], edge)
            if len(layer) > _MOST_STATES:
                raise TooOpen
            layers.append(layer)
            self._edges.append(edges)
        return layers

    def _extend(
        self,
        state: State,
        best: float,
        steps: Sequence[Step],
        added: Sequence[tuple[Option, int | None]],
        edges: list[_Edge],
    ) -> int:
        """Append a state's steps; returns how many were tried. ``best`` is its best assignment."""
        least = self._floor / best
        tried = 0
        for option, more in added:
            weight = option.weight
            if weight < least:
                break
            tried += 1
            if more is not None:
                edges.append((state, option, state + more, weight, ()))
                continue
            reached, broken = self._balances.after(state, steps, option)
            if weight * _PRUNED ** len(broken) >= least:
                weight *= PAPER_WRONG ** len(broken)
                edges.append((state, option, reached, weight, broken))
        return tried

    def _run_backward(self) -> list[dict[State, _Mass]]:
        layers: list[dict[State, _Mass]] = [{each: [1.0, 1.0, 1.0] for each in self._forward[-1]}]
        for edges in reversed(self._edges):
            layer: dict[State, _Mass] = {}
            for edge in edges:
                rest = layers[-1].get(edge[2])
                if rest is not None:
                    _add(layer, edge[0], rest, edge)
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
                mass = before[state][1] * weight * after[reached][1]
                found[option.value] = found.get(option.value, 0.0) + mass
                for place in broken:
                    wrong[place] += mass
        everything = self._backward[0][self._balances.start][1]
        probabilities = tuple(each / everything for each in wrong)
        return Decoded(self._kept(), masses, probabilities, self._floor, self._floor / everything)

    def _kept(self) -> dict[str, str]:
        """The most probable assignment that keeps all rules and checks."""
        state, found = self._balances.start, dict[str, str]()
        if not self._backward[0][state][2]:
            return {}
        for variable, edges, after in zip(
            self._variables, self._edges, self._backward[1:], strict=True
        ):
            best = max(
                (each for each in edges if each[0] == state and each[2] in after and _keeps(each)),
                key=lambda each: each[3] * after[each[2]][2],
            )
            found[variable.name] = str(best[1].value)
            state = best[2]
        return found


def _keeps(edge: _Edge) -> bool:
    """Whether a step breaks neither a check nor a rule of the field."""
    return edge[1].kept and not edge[4]


def _add(layer: dict[State, _Mass], state: State, mass: _Mass, edge: _Edge) -> None:
    """Assignments of ``mass``, one step longer, lead to or from ``state``."""
    best, total, kept = mass
    weight = edge[3]
    best *= weight * (_PRUNED / PAPER_WRONG) ** len(edge[4]) if edge[4] else weight
    kept = kept * weight if _keeps(edge) else 0.0
    there = layer.get(state)
    if there is None:
        layer[state] = [best, total * weight, kept]
        return
    there[0] = max(there[0], best)
    there[1] += total * weight
    there[2] = max(there[2], kept)
