"""Patterns such as ``scans/*/*.tif``: which files and folders they match, each once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator


def is_pattern(path: str) -> bool:
    """Whether a path is a pattern, and not the name of a file that exists."""
    return glob.has_magic(path) and not os.path.lexists(path)


def matches(pattern: str) -> Iterator[str]:
    """The paths that a pattern matches, sorted, without those below a folder that it matches too.

    A pattern that matches nothing is returned as it is: it may be the name of a file that is gone,
    which must get its row.
    """
    folders: set[str] = set()
    # Two ** match a path more than once, and folders with and without a trailing slash.
    for path in sorted({match.rstrip("/") or "/" for match in found(pattern)} or {pattern}):
        if folders.isdisjoint(_above(path)):
            if os.path.isdir(path):  # noqa: PTH112 - as given
                folders.add(path)
            yield path


def found(pattern: str) -> Iterator[str]:
    """All paths that a pattern matches, unsorted; ** crosses folders that are not hidden."""
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207 - path text is kept as it was given


def _above(path: str) -> Iterator[str]:
    """The folders above a path, the innermost first."""
    while (above := os.path.dirname(path)) and above != path:  # noqa: PTH120 - as given
        yield above
        path = above
