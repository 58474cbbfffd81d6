"""Sources: the names that rows give to images, each only once in a job."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import PurePath


def as_given(path: str) -> str:
    """A path as a source: as given, with / between its parts."""
    if "://" in path:
        return path.rstrip("/")
    return printable(PurePath(path).as_posix())


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become \\x.. escapes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def distinct(source: str, path: str, taken: set[bytes]) -> str:
    """The source, or one made of it that is not ``taken``; ``path`` is the input it is from.

    ``taken`` holds digests, and gets the new one.
    """
    for name in _candidates(source, path):
        mark = blake2b(name.encode(), digest_size=8).digest()
        if mark not in taken:
            taken.add(mark)
            return name
    raise AssertionError("names never run out")


def _candidates(source: str, path: str) -> Iterator[str]:
    yield source
    if source != as_given(path):
        yield f"{as_given(path)}/{source}"
    for count in itertools.count(2):
        yield f"{source} ({count})"


def named(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """The paths of a submit as a list of text, whether one or several were given."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    return [os.fspath(path) for path in paths]
