"""Regular expressions in templates: checked when a template is loaded, matched with a time limit.

Templates are not trusted, and some patterns never finish on the wrong text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import regex

#: Characters of a pattern, at most.
LONGEST_PATTERN = 200
#: Seconds that a pattern may take for one text: a sane one takes microseconds.
_SECONDS = 0.1


def check_pattern(pattern: str) -> None:
    """Raise ValueError for an invalid regular expression."""
    import regex

    try:
        re.compile(pattern)
        _compiled(pattern)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


def match_all(pattern: str, text: str) -> regex.Match[str] | None:
    """The match of a checked pattern with a whole text; None also if it takes too long."""
    return _within_time(_compiled(pattern).fullmatch, text)


def match_part(pattern: str, text: str) -> regex.Match[str] | None:
    """The first match of a checked pattern within a text; None also if it takes too long."""
    return _within_time(_compiled(pattern).search, text)


def _within_time(match: Any, text: str) -> Any:
    try:
        return match(text, timeout=_SECONDS)
    except TimeoutError:
        return None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import regex

    return regex.compile(pattern)
