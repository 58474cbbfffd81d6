"""Lists whose values belong to one document of a job each: a class, a register, ballots.

Two documents that claim the same value go to review, both. What is proposed for them, and for
those whose value is not clear, is the most probable way to give each of them a value of its own
(the assignment problem; solved by shortest augmenting paths, Jonker & Volgenant 1987).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inkmill.codes import Status
from inkmill.records.rows import SYMBOLS, FieldResult
from inkmill.rules.meaning import meaning, places
from inkmill.template.form import Form, FormField

#: Documents in dispute about one list that are assigned together, at most: its cost is cubic.
_MOST = 150
#: Pairs of a document and a value that are compared, at most: some seconds of work.
_MOST_PAIRS = 100_000
#: Cost of a value that the reading does not allow at all.
_NEVER = 1e6
_LEAST_PROBABLE = 1e-9


@dataclass(frozen=True, slots=True)
class Dispute:
    """Why a field's value cannot stand, what it probably is, and by how much (log odds)."""

    message: str
    proposed: str
    margin: float


@dataclass(frozen=True, slots=True)
class _Claim:
    item: int
    value: str
    settled: bool
    read: FieldResult


class Claims:
    """Who claims which value of the lists, as documents go by."""

    def __init__(self, form: Form, names: Sequence[str]) -> None:
        self._fields = {each.name: each for each in form.all_fields if each.name in names}
        self._claims: dict[str, list[_Claim]] = {name: [] for name in names}

    def add(self, item: int, results: Iterable[FieldResult]) -> None:
        """The fields of one item."""
        for result in results:
            if result.name in self._fields:
                sure = result.status is Status.OK
                claim = _Claim(item, result.value, sure, result)
                self._claims[result.name].append(claim)

    def disputes(self) -> dict[int, dict[str, Dispute]]:
        """By item and field, those that claim what others claim too."""
        found: dict[int, dict[str, Dispute]] = {}
        for name, claims in self._claims.items():
            for item, dispute in self._of_field(self._fields[name], claims).items():
                found.setdefault(item, {})[name] = dispute
        return found

    def _of_field(self, field: FormField, claims: Sequence[_Claim]) -> dict[int, Dispute]:
        by_value: dict[str, list[_Claim]] = {}
        for claim in claims:
            by_value.setdefault(claim.value, []).append(claim)
        twice = [claim for same in by_value.values() if len(same) > 1 for claim in same]
        twice = [claim for claim in twice if claim.value]
        if not twice:
            return {}
        open_claims = twice + [claim for claim in claims if not claim.settled and not claim.value]
        listed = next(rule.allowed for rule in field.rules if rule.once and rule.allowed)
        # By their items: to compare each with all would be a square of a job's documents.
        in_dispute = {claim.item for claim in open_claims}
        held = {claim.value for claim in claims if claim.item not in in_dispute}
        free = [value for value in listed if value not in held]
        proposals = _assigned(field, open_claims[:_MOST], free)
        return {
            claim.item: Dispute(
                f"{len(by_value[claim.value])} documents have {claim.value}, but each value of "
                "the list belongs to one",
                *proposals.get(claim.item, ("", 0.0)),
            )
            for claim in twice
        }


def _assigned(
    field: FormField, claims: Sequence[_Claim], free: Sequence[str]
) -> Mapping[int, tuple[str, float]]:
    """A value of its own for each claim, with its odds against the claim's next best.

    Nothing where it would take too long to find out: then people see the dispute alone.
    """
    if len(claims) * len(free) > _MOST_PAIRS:
        return {}
    costs = [[_cost(field, claim, value) for value in free] for claim in claims]
    # Values that no claim can be would only make the table larger.
    likely = [column for column in range(len(free)) if any(row[column] < _NEVER for row in costs)]
    costs = [[row[column] for column in likely] for row in costs]
    if not claims or len(likely) < len(claims):
        return {}
    found = {}
    for claim, row, column in zip(claims, costs, assign(costs), strict=True):
        if row[column] >= _NEVER:
            continue
        others = min((cost for place, cost in enumerate(row) if place != column), default=_NEVER)
        margin = min(others - row[column], 30.0)
        found[claim.item] = (free[likely[column]], margin)
    return found


def _cost(field: FormField, claim: _Claim, value: str) -> float:
    """The negative logarithm of the probability that ``value`` is written."""
    if field.strip:
        strings = claim.read.strings
        share = sum(each.probability for each in strings if meaning(field, each.text) == value)
        return -math.log(share) if share > _LEAST_PROBABLE else _NEVER
    ways = (each for each in places(field, value) if meaning(field, each) == value)
    return min((_written_cost(claim, each) for each in ways), default=_NEVER)


def _written_cost(claim: _Claim, written: str) -> float:
    cost = 0.0
    for cell, symbol in zip(claim.read.cells, written, strict=True):
        if not cell.probabilities:
            cost += 0.0 if cell.symbol == symbol else _NEVER
        else:
            cost -= math.log(max(cell.probabilities[SYMBOLS.index(symbol)], _LEAST_PROBABLE))
    return min(cost, _NEVER)


def assign(costs: Sequence[Sequence[float]]) -> list[int]:
    """For each row the column of its own such that the sum of costs is least.

    There must be at least as many columns as rows.
    """
    rows, columns = len(costs), len(costs[0])
    row_price, column_price = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        distance, seen = [math.inf] * (columns + 1), [False] * (columns + 1)
        before = [0] * (columns + 1)
        while owner[column]:
            seen[column] = True
            mine, step, following = owner[column], math.inf, 0
            for each in range(1, columns + 1):
                if seen[each]:
                    continue
                reduced = costs[mine - 1][each - 1] - row_price[mine] - column_price[each]
                if reduced < distance[each]:
                    distance[each], before[each] = reduced, column
                if distance[each] < step:
                    step, following = distance[each], each
            for each in range(columns + 1):
                if seen[each]:
                    row_price[owner[each]] += step
                    column_price[each] -= step
                else:
                    distance[each] -= step
            column = following
        while column:
            owner[column] = owner[before[column]]
            column = before[column]
    found = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            found[owner[column] - 1] = column - 1
    return found
