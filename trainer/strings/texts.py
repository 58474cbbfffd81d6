"""What is written: numbers and amounts as forms ask for them, as symbols of a strip reader."""

from __future__ import annotations

import numpy as np

from inkmill.models.strips import CURRENCY, DASH, SEPARATOR

Random = np.random.Generator

#: How often a number has 1, 2, 3 ... digits, before the longest ones are cut off.
_LENGTHS = (3, 6, 8, 10, 10, 8, 6, 4, 3, 3)
#: Share of amounts that are made round.
_ROUND = 0.25
#: A gap without a symbol, as many leave between thousands.
GAP = " "


def number(digits: str, most: int, rng: Random) -> str:
    """A number of 1 to ``most`` digits, of those that a hand has."""
    weights = np.array([*_LENGTHS, *[2] * 10][:most], np.float64)
    length = 1 + int(rng.choice(most, p=weights / weights.sum()))
    drawn = [digits[at] for at in rng.integers(len(digits), size=length)]
    kind = rng.random()
    if kind < 0.2:
        # Runs of one digit: 11 and 000 are what a reader of strings counts wrong.
        for at in range(1, length):
            if rng.random() < 0.5:
                drawn[at] = drawn[at - 1]
    elif kind < 0.35 and "0" in digits:
        round_from = int(rng.integers(1, length + 1))
        drawn[round_from:] = "0" * (length - round_from)
    return "".join(drawn)


def amount(digits: str, most: int, rng: Random) -> str:
    """A number with what people write around it; ``GAP`` stands for a wider space."""
    text = number(digits, most, rng)
    if rng.random() < _ROUND and "0" in digits:
        # People pay round sums: one to three digits, and zeros.
        text = text[: int(rng.integers(1, 4))].ljust(min(most, max(len(text), 3)), "0")
    decimals = text[-2:] if len(text) > 2 and rng.random() < 0.35 else ""
    whole = text[: len(text) - len(decimals)]
    between = str(rng.choice([SEPARATOR, GAP, ""], p=[0.6, 0.2, 0.2]))
    if between:
        first = len(whole) % 3 or 3
        parts = [whole[:first], *(whole[at : at + 3] for at in range(first, len(whole), 3))]
        whole = between.join(filter(None, parts))
    if decimals:
        text = whole + str(rng.choice([SEPARATOR, GAP], p=[0.85, 0.15])) + decimals
    else:
        ends = ["", DASH, SEPARATOR + DASH, SEPARATOR]
        text = whole + str(rng.choice(ends, p=[0.35, 0.35, 0.15, 0.15]))
    where = rng.random()
    if where < 0.12:
        return CURRENCY + text
    return text + CURRENCY if where < 0.17 else text
