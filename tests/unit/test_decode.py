"""The decoder's odds: against brute force, against drawn documents, and in bounded work."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status
from inkmill.records.rows import MARKS, SYMBOLS, CellReading
from inkmill.rules import evidence, kept
from inkmill.rules.joint.balances import Constraint, Option
from inkmill.rules.joint.decode import PAPER_WRONG, TooOpen, Variable, decode
from inkmill.rules.judge import judge
from inkmill.rules.meaning import may_be_empty, meaning, read_field
from inkmill.rules.statuses import certainty
from inkmill.template.form import Form, FormField
from tests.unit.form_pages import cell, empty, form, judged

NUMBER = "3|type: number, unused: leading, none: X"
DIGITS = "0123456789"

#: A document: for each field, its values with their weights; its checks.
_Weights = Mapping[str, Mapping[str | None, float]]


# --- by brute force ------------------------------------------------------------------------------


def by_hand(
    weights: _Weights, checks: Sequence[Constraint]
) -> tuple[dict[str, dict[str | None, float]], list[float]]:
    """Each value's probability, and each check's of being broken.

    Over all assignments and all sets of checks that are wrong on the paper: those constrain
    nothing, whatever the fields hold.
    """
    odds: dict[str, dict[str | None, float]] = {
        name: dict.fromkeys(values, 0.0) for name, values in weights.items()
    }
    broken, everything = [0.0] * len(checks), 0.0
    for chosen in itertools.product(*(values.items() for values in weights.values())):
        values = {name: value for name, (value, _) in zip(weights, chosen, strict=True)}
        holds = [_holds(check, values) for check in checks]
        for wrong in itertools.product([False, True], repeat=len(checks)):
            if not all(right or off for right, off in zip(holds, wrong, strict=True)):
                continue
            mass = math.prod(weight for _, weight in chosen)
            mass *= math.prod(PAPER_WRONG if off else 1 - PAPER_WRONG for off in wrong)
            everything += mass
            for name, value in values.items():
                odds[name][value] += mass
            for place, right in enumerate(holds):
                broken[place] += 0.0 if right else mass
    probabilities = {
        name: {value: mass / everything for value, mass in found.items()}
        for name, found in odds.items()
    }
    return probabilities, [mass / everything for mass in broken]


def _holds(check: Constraint, values: Mapping[str, str | None]) -> bool:
    mine = [values[name] for name in check.names]
    if None in mine:
        return False
    if check.factors is None:
        return len(set(mine)) == 1
    return not sum(check.factors[name] * int(values[name] or 0) for name in check.names)


def _total(total: str, *parts: str) -> Constraint:
    return Constraint((*parts, total), {**dict.fromkeys(parts, 1), total: -1})


CHECKS = [
    [_total("c", "a", "b")],
    [_total("c", "a", "b"), _total("e", "c", "d")],
    [_total("c", "a", "b"), _total("e", "c", "d"), Constraint(("a", "d"))],
    [Constraint(("a", "b", "c")), _total("e", "c", "d")],
    [_total("c", "a", "b"), _total("c", "d", "e")],
]


@pytest.mark.parametrize("checks", CHECKS)
def test_decoding_is_exact(checks: Sequence[Constraint]) -> None:
    chance = random.Random(7)
    for _ in range(12):
        variables = [_variable(name, chance) for name in "abcde"]
        decoded = decode(variables, checks, 40.0)
        assert decoded is not None
        weights = {each.name: {o.value: o.weight for o in each.options} for each in variables}
        expected, wrong = by_hand(weights, checks)
        assert decoded.wrong == pytest.approx(wrong)
        for name, values in expected.items():
            for value, probability in values.items():
                if value is not None:
                    odds = math.log(probability / (1 - probability))
                    assert decoded.margin(name, value) == pytest.approx(odds, abs=1e-6)
        assert decoded.kept == _best_kept(variables, checks)


def _variable(name: str, chance: random.Random) -> Variable:
    """Four values, of which the field's own rules may forbid some; perhaps none at all."""
    numbers = chance.sample(range(8), 4)
    drawn = [(str(n), chance.uniform(0.01, 1), chance.random() < 0.8) for n in numbers]
    options = [
        Option(value, int(value), weight * (1 if allowed else PAPER_WRONG), allowed)
        for value, weight, allowed in drawn
    ]
    if chance.random() < 0.3:
        options.append(Option(None, 0, chance.uniform(0.01, 1), kept=False))
    return Variable(name, tuple(sorted(options, key=lambda each: -each.weight)))


def _best_kept(variables: Sequence[Variable], checks: Sequence[Constraint]) -> dict[str, str]:
    best: dict[str, str] = {}
    most = 0.0
    for chosen in itertools.product(*(each.options for each in variables)):
        values = {each.name: o.value for each, o in zip(variables, chosen, strict=True)}
        weight = math.prod(option.weight for option in chosen)
        keeps = all(option.kept for option in chosen)
        if weight > most and keeps and all(_holds(check, values) for check in checks):
            best, most = {name: value or "" for name, value in values.items()}, weight
    return best


FIELDS = (
    "1|type: number",
    "2|type: number, unused: leading",
    "2|type: number, unused: leading, none: X, optional: true",
    "2|type: code",
    "2|type: number, empty: zero, unused: leading",
    "2|type: number, rules: [{range: [0, 40]}]",
    "1|type: code, rules: [{allowed: ['1', '3', '7']}]",
)
TIES = (
    "  - {sum: [a, b], equals: c}\n",
    "  - {sum: [a, b], equals: c}\n  - {equal: [a, d]}\n",
    "  - {sum: [a, b], equals: c}\n  - {sum: [c, b], equals: d}\n",
    "  - {equal: [a, b, c]}\n  - {sum: [c], equals: d}\n",
)


@pytest.mark.parametrize("seed", range(24))
def test_what_cells_and_checks_say_together_is_exact(seed: int) -> None:
    """From cells: unread ones, empty ones, marks, rules of a field."""
    chance = random.Random(seed)
    page = form({name: chance.choice(FIELDS) for name in "abcd"}, chance.choice(TIES))
    wide = iter(chance.sample([True, True, *[False] * 6], 8))
    results = {
        field.name: read_field(field, [_cell(chance, next(wide)) for _ in field.cells.rectangles()])
        for field in page.all_fields
    }
    ties = [tie for check in page.checks if (tie := evidence.tie_of(page, check, results))]
    fields = {field.name: field for field in page.all_fields}
    found = evidence.weigh(fields, results, {}, ties)
    assert found is not None
    weights = {name: _by_cells(field, results[name].cells) for name, field in fields.items()}
    expected, wrong = by_hand(weights, [tie.constraint for tie in ties])
    assert found.decoded.wrong == pytest.approx(wrong, abs=1e-3)
    for name, values in expected.items():
        for value, probability in values.items():
            if value is not None and probability > 0.001:
                margin = found.margin(name, value)
                assert 1 / (1 + math.exp(-margin)) == pytest.approx(probability, abs=1e-3)


def _cell(chance: random.Random, wide: bool) -> CellReading:
    """A cell that may be one of two symbols, or, if ``wide``, any digit, read or not."""
    first, second = chance.sample(DIGITS, 2)
    p, kind = chance.uniform(0.55, 0.95), chance.random()
    if wide and kind < 0.6:
        return cell(UNREAD_CELL, p, **{f"d{first}": 1 - p})
    if wide:
        return cell(first, p, **{f"d{second}": 0.5 * (1 - p), UNREAD_CELL: 0.5 * (1 - p)})
    if kind < 0.2:
        return empty()
    if kind < 0.3:
        return cell("X", p, **{f"d{first}": 1 - p})
    return cell(first, p, **{f"d{second}" if kind < 0.8 else EMPTY_CELL: 1 - p})


def _by_cells(field: FormField, cells: Sequence[CellReading]) -> dict[str | None, float]:
    """A field's values, by what its cells and its own rules say."""
    weights: dict[str | None, float] = {}
    for raw, weight in _written(field, cells):
        value = meaning(field, raw)
        if value is None or (value == "" and not may_be_empty(field, raw)):
            value, weight = None, weight * _room(field, raw)
        elif kept.broken(field, value) is not None:
            weight *= PAPER_WRONG
        weights[value] = weights.get(value, 0.0) + weight
    return weights


def _written(field: FormField, cells: Sequence[CellReading]) -> Iterator[tuple[str, float]]:
    """All ways to read the cells."""
    choices = []
    for each in cells:
        odds = dict(zip(SYMBOLS, each.probabilities, strict=False)) or {each.symbol: 1.0}
        unread = odds.pop(UNREAD_CELL, 0.0)
        unread += sum(odds.pop(mark, 0.0) for mark in MARKS if mark not in field.none_marks)
        if each.probabilities:
            odds |= {digit: odds[digit] + unread / 10 for digit in DIGITS}
        if not (each.symbol in (*DIGITS, EMPTY_CELL) or each.symbol in field.none_marks):
            odds |= dict.fromkeys(DIGITS, sum(odds[digit] for digit in DIGITS) / 10)
        choices.append([(symbol, p) for symbol, p in odds.items() if p > 1e-7])
    for chosen in itertools.product(*choices):
        yield "".join(symbol for symbol, _ in chosen), math.prod(p for _, p in chosen)


def _room(field: FormField, raw: str) -> float:
    """The share of digits in a box left empty that would make it a value the rules allow."""
    filled = [
        value
        for place, symbol in enumerate(raw)
        if symbol == EMPTY_CELL
        for digit in DIGITS
        if (value := meaning(field, raw[:place] + digit + raw[place + 1 :]))
    ]
    if not field.rules or not filled:
        return 1.0
    return sum(kept.broken(field, value) is None for value in filled) / 10


# --- documents drawn from the model --------------------------------------------------------------


def test_what_is_accepted_is_right_as_often_as_its_certainty_says() -> None:
    """Documents with two sums, of which one in twenty is wrong; cells unread or doubtful."""
    page = form(
        dict.fromkeys("abcde", "2|type: number, unused: leading"),
        "  - {sum: [a, b], equals: c}\n  - {sum: [c, d], equals: e}\n",
    )
    chance = random.Random(11)
    accepted, helped, expected, right = 0, 0, 0.0, 0
    by_reading = 0
    for _ in range(600):
        truth = _document(chance)
        results = [
            read_field(field, [_drawn(chance, digit) for digit in f"{truth[field.name]:02d}"])
            for field in page.all_fields
        ]
        for result in judge(page, results):
            by_reading += result.confidence >= 0.99
            if result.status is Status.OK:
                accepted += 1
                helped += result.confidence < 0.99
                expected += certainty(result)
                right += int(result.value) == truth[result.name]
    deviation = math.sqrt(max(accepted - expected, 1.0))
    assert accepted > 1.5 * by_reading > 0
    assert helped > 250
    assert right >= expected - 3 * deviation
    assert right >= 0.99 * accepted


def _document(chance: random.Random) -> dict[str, int]:
    """Two sums of numbers below a hundred; a wrong one is off in its last place."""
    a, b, d = chance.randrange(40), chance.randrange(40), chance.randrange(15)
    c = _summed(chance, a + b)
    return {"a": a, "b": b, "c": c, "d": d, "e": _summed(chance, c + d)}


def _summed(chance: random.Random, total: int) -> int:
    return total // 10 * 10 + chance.randrange(10) if chance.random() < 0.05 else total


def _drawn(chance: random.Random, digit: str) -> CellReading:
    """A reading of a digit whose probabilities are true, or one that says nothing."""
    if chance.random() < 0.04:
        return cell(UNREAD_CELL, 0.7, **{f"d{chance.choice(DIGITS)}": 0.25})
    # Probabilities for symbols in any order; the digit is one of them as often as they say.
    sure = 1 - 10 ** chance.uniform(-4, -0.3)
    odds = [sure, (1 - sure) * 0.7, *[(1 - sure) * 0.3 / 8] * 8]
    place = chance.choices(range(10), odds)[0]
    others = chance.sample([each for each in DIGITS if each != digit], 9)
    order = [*others[:place], digit, *others[place:]]
    by_digit = dict(zip(order, odds, strict=True))
    return cell(
        order[0], sure, **{f"d{each}": p for each, p in by_digit.items() if each != order[0]}
    )


# --- in bounded work -----------------------------------------------------------------------------


def test_fifty_numbers_and_their_sum_are_decoded_in_a_moment() -> None:
    fields = {f"n{number:02d}": NUMBER for number in range(50)}
    page = form(
        {**fields, "total": "5|type: number, unused: leading"}, "  - {sum: ['n*'], equals: total}\n"
    )
    raw = {name: f"{number:03d}" for number, name in enumerate(fields)} | {"total": "01225"}
    doubts = {(name, 2): cell(raw[name][2], 0.95) for name in list(fields)[:10]}
    began = time.process_time()
    found = judged(page, raw, doubts)
    assert time.process_time() - began < 3
    assert all(each.rule == "sum" for name, each in found.items())


def test_a_table_with_sums_both_ways_of_which_two_fail_takes_bounded_work() -> None:
    """Every number is in two checks: five balances stay open from row to row."""
    page, raw = _table(5)
    doubts = {(f"n{row}{row}", 2): cell(raw[f"n{row}{row}"][2], 0.9) for row in range(5)}
    began = time.process_time()
    found = judged(page, {**raw, "r0": "_99", "k3": "_99"}, doubts)
    assert time.process_time() - began < 5
    # n03 is in both sums that fail; the others of its row and column are in one that holds.
    failed = {name for name, each in found.items() if each.code is Code.RULE_FAILED}
    assert failed == {"r0", "k3", "n03"}
    assert found["n00"].status is found["n11"].status is Status.OK


def _table(size: int) -> tuple[Form, dict[str, str]]:
    """A table of numbers with the sums of its rows (r) and columns (k)."""
    places = [(row, column) for row in range(size) for column in range(size)]
    numbers = {f"n{row}{column}": 3 + (7 * row + 5 * column) % 11 for row, column in places}
    rows = [sum(numbers[f"n{row}{column}"] for column in range(size)) for row in range(size)]
    columns = [sum(numbers[f"n{row}{column}"] for row in range(size)) for column in range(size)]
    totals = {f"r{n}": each for n, each in enumerate(rows)}
    totals |= {f"k{n}": each for n, each in enumerate(columns)}
    checks = [
        f"  - {{sum: [{', '.join(f'n{row}{column}' for column in range(size))}], equals: r{row}}}\n"
        for row in range(size)
    ]
    checks += [
        f"  - {{sum: [{', '.join(f'n{row}{n}' for row in range(size))}], equals: k{n}}}\n"
        for n in range(size)
    ]
    raw = {name: f"{value:_>3}" for name, value in (numbers | totals).items()}
    page = form(dict.fromkeys(raw, "3|type: number, unused: leading"), "".join(checks))
    return page, raw


def test_fields_that_are_scribbled_over_are_left_to_people_in_bounded_work() -> None:
    """Each might be anything: a thousand values a field, whose sums fall together."""
    anything = tuple(Option(f"{n:03d}", n, 1.0) for n in range(1000))
    names = ("a", "b", "c", "total")
    doubtful = [Variable(name, anything) for name in names]
    check = _total("total", "a", "b", "c")
    with pytest.raises(TooOpen):
        decode(doubtful, [check], 9.0)
    one = [Variable(name, (Option("003", 3, 1.0),)) for name in names[:3]]
    found = decode([*one, doubtful[3]], [check], 9.0)
    assert found is not None
    assert found.kept["total"] == "009"
