"""Rules as people type them into a table: ``range 0-999; check_digit luhn``."""

from __future__ import annotations

import re
from typing import Any

from inkmill.suggestions import did_you_mean
from inkmill.template.rule import COMPANIONS, Rule

_RULES = tuple(name for name in Rule.model_fields if name not in COMPANIONS)
_TO = r"\s*(?:-|\.\.+|to|\u2013|\u2026)\s*"
_RANGE = re.compile(rf"(\d+){_TO}(\d+)", re.IGNORECASE)
_DAY = r"(\d{4}-\d{2}-\d{2})"
_DATE = re.compile(rf"([^\s,]+),?\s+(?:from\s+)?{_DAY}{_TO}{_DAY}", re.IGNORECASE)


def parse_rules(text: str) -> list[dict[str, Any]]:
    """The rules in a cell of a table, separated by semicolons or lines, as a template has them.

    Each is a word and what it demands: ``range 0-999``, ``length 8``, ``length 3-5``,
    ``allowed 101, 102``, ``regex [1-9][0-9]+``, ``date %d%m%Y``, ``date %d%m%Y 2026-01-01 to
    2026-12-31``, ``check_digit luhn``. Raises ValueError.
    """
    return [_parsed(part) for part in re.split(r"[;\n]", text) if part.strip()]


def _parsed(text: str) -> dict[str, Any]:
    word, _, given = text.strip().partition(" ")
    word, given = word.rstrip(":=").lower(), given.strip(" \t:=")
    if word not in _RULES:
        hint = did_you_mean(word, _RULES) or f": use one of {', '.join(_RULES)}"
        raise ValueError(f"{word!r} is not a rule{hint}")
    if not given:
        raise ValueError(f"{word} demands nothing: write what follows it, as in {_EXAMPLES[word]}")
    if word in ("range", "length"):
        return {word: _ends(word, given)}
    if word == "allowed":
        values, once = given.removesuffix("once").rstrip(" ,"), given.endswith("once")
        allowed = [value for value in re.split(r"[\s,]+", values) if value]
        return {"allowed": allowed, "once": True} if once else {"allowed": allowed}
    if word == "date" and " " in given:
        return _date_between(given)
    return {word: given}


_EXAMPLES = {
    "range": "range 0-999",
    "length": "length 8",
    "regex": "regex [1-9][0-9]+",
    "allowed": "allowed 101, 102",
    "date": "date %d%m%Y",
    "check_digit": "check_digit luhn",
}


def _ends(word: str, given: str) -> int | list[int]:
    if word == "length" and given.isdecimal():
        return int(given)
    ends = _RANGE.fullmatch(given)
    if ends is None:
        raise ValueError(f"{word} {given}: give two numbers, as in {word} 3-5")
    return [int(ends[1]), int(ends[2])]


def _date_between(given: str) -> dict[str, Any]:
    found = _DATE.fullmatch(given)
    if found is None:
        raise ValueError(
            f"date {given}: give the first and the last day, as in date %d%m%Y 2026-01-01 to "
            "2026-12-31"
        )
    return {"date": found[1], "between": [found[2], found[3]]}
