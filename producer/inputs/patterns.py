"""Patterns such as ``scans/*/*.tif``: which files and folders they stand for, each once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator


def is_pattern(path: str) -> bool:
    """Whether a path stands for what it matches; a file that is called like one is that file."""
    return glob.has_magic(path) and not os.path.lexists(path)


def matches(pattern: str) -> Iterator[str]:
    """What a pattern matches, sorted, without what is below a folder that it matches as well.

    One that matches nothing is taken for the name of a file that is gone, which must not be lost.
    """
    folders: set[str] = set()
    # Two ** match the same more than once, and folders with and without a slash behind them.
    for path in sorted({match.rstrip("/") or "/" for match in found(pattern)} or {pattern}):
        if folders.isdisjoint(_above(path)):
            if os.path.isdir(path):  # noqa: PTH112 - as given
                folders.add(path)
            yield path


def found(pattern: str) -> Iterator[str]:
    """All that a pattern matches, unsorted; ** goes through folders, hidden ones left out."""
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207 - path text is kept as it was given


def _above(path: str) -> Iterator[str]:
    """The folders above a path, the next one first."""
    while (above := os.path.dirname(path)) and above != path:  # noqa: PTH120 - as given
        yield above
        path = above
