"""Whether a value keeps a rule of its own field: range, length, pattern, list, date, check digit.

Check digits are python-stdnum's. A regular expression runs with a time limit
(`inkmill.template.patterns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from importlib import import_module

from inkmill.template.form import FormField, Rule
from inkmill.template.numbers import is_between
from inkmill.template.patterns import match_all
from inkmill.template.rule import has_year

#: Where python-stdnum keeps the schemes that have common names.
_MODULES = {
    "luhn": "luhn",
    "ean": "ean",
    "isbn": "isbn",
    "mod97": "iso7064.mod_97_10",
    "mod11_10": "iso7064.mod_11_10",
    "verhoeff": "verhoeff",
    "damm": "damm",
}


def broken(field: FormField, value: str) -> Rule | None:
    """The first of a field's own rules that ``value`` does not keep; an empty value keeps all."""
    if not value:
        return None
    return next((rule for rule in field.rules if not keeps(rule, value)), None)


def keeps(rule: Rule, value: str) -> bool:
    """Whether a value (digits) keeps one rule."""
    if rule.range is not None:
        return is_between(value, rule.range)
    if rule.length is not None:
        low, high = (rule.length, rule.length) if isinstance(rule.length, int) else rule.length
        return low <= len(value) <= high
    if rule.regex is not None:
        return match_all(rule.regex, value) is not None
    if rule.allowed is not None:
        return value in _listed(rule.allowed)
    if rule.date is not None:
        return _is_date(value, rule.date, rule.between)
    assert rule.check_digit is not None
    return bool(_check_digit(rule.check_digit)(value))


def wanted(rule: Rule) -> str:
    """What a rule requires, for messages."""
    if rule.range is not None:
        return f"from {rule.range[0]} to {rule.range[1]}"
    if rule.length is not None:
        length = rule.length
        return f"{length if isinstance(length, int) else f'{length[0]} to {length[1]}'} digits"
    if rule.allowed is not None:
        return f"one of {len(rule.allowed)} values"
    if rule.between is not None:
        return f"{rule.date} from {rule.between[0]} to {rule.between[1]}"
    return str(getattr(rule, rule.word))


@lru_cache(maxsize=64)
def _listed(allowed: tuple[str, ...]) -> frozenset[str]:
    return frozenset(allowed)


def _is_date(value: str, layout: str, between: tuple[date, date] | None) -> bool:
    if not has_year(layout):
        value, layout = f"{value}2000", f"{layout}%Y"  # any year has a 29 February for us
    try:
        # A date on paper has no time zone; only whether it exists matters.
        found = datetime.strptime(value, layout)
        # Without the way back, strptime would take 1124 for %d%m%y too.
        if found.strftime(layout) != value:
            return False
    except ValueError:
        return False
    return between is None or _lies_between(found.date(), between, any_century="%y" in layout)


def _lies_between(day: date, between: tuple[date, date], any_century: bool) -> bool:
    """Whether a day lies in a range, to which both ends belong; two digits fit any century."""
    first, last = between
    if not any_century:
        return first <= day <= last
    years = range(first.year - (first.year - day.year) % 100, last.year + 1, 100)
    return any(first <= each <= last for each in _same_days(day, years))


def _same_days(day: date, years: Iterable[int]) -> Iterator[date]:
    for year in years:
        with suppress(ValueError):  # 29 February
            yield day.replace(year=max(year, 1))


@lru_cache(maxsize=64)
def _check_digit(name: str) -> Callable[[str], bool]:
    if name == "mod11":
        return _mod11
    module = import_module(f"stdnum.{_MODULES.get(name, name)}")
    valid: Callable[[str], bool] = module.is_valid
    return valid


def _mod11(value: str) -> bool:
    """Weights 1, 2, 3 ... from the right, as ISBN-10's, for a number of any length."""
    return sum(int(digit) * (i + 1) for i, digit in enumerate(reversed(value))) % 11 == 0
