"""What the codes of a form's pages have in common, and where they say the page's number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class PageNumbers:
    """A ``pattern`` for the codes of all pages, with the group ``page``; the ``order`` in which the
    pages were given, from 1; ``others``, numbers that all codes share, such as a document's.
    """

    pattern: str
    order: tuple[int, ...]
    others: tuple[str, ...]


def page_numbers(texts: Sequence[str]) -> PageNumbers | None:
    """Where the codes of different pages say which page it is; None if they do not.

    >>> page_numbers(["exam-7-2", "exam-7-1"]).pattern
    'exam\\\\-7\\\\-(?P<page>[0-9]+)'
    """
    parts = [_NUMBER.split(text) for text in texts]
    count = len(texts)
    if count < 2 or len({len(each) for each in parts}) > 1:
        return None
    columns = list(zip(*parts, strict=True))
    differing = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return None
    place = differing[0]
    order = tuple(int(number) for number in columns[place])
    if sorted(order) != list(range(1, count + 1)):
        return None
    pieces = [re.escape(column[0]) for column in columns]
    pieces[place] = "(?P<page>[0-9]+)"
    others = tuple(
        column[0] for k, column in enumerate(columns) if k % 2 and k != place and column[0]
    )
    return PageNumbers("".join(pieces), order, others)
