"""The names in a folder, sorted, in bounded memory however many there are."""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import IO

#: Names that are sorted in memory, some 30 MB; more are sorted in parts, which are merged from
#: temporary files.
_IN_MEMORY = 200_000
#: Names that are read from each of those at a time: ten million names lie in fifty.
_AT_ONCE = 1000

_LENGTH, _BETWEEN = struct.Struct("<I"), "\0"
_LINK, _NONE = "l", "-"

#: A name, with / at the end of a folder's, and whether it is a link.
Name = tuple[str, bool]


def names(folder: str) -> Iterator[Name]:
    """The names in a folder in a fixed order. Raises OSError where it cannot be listed, before the
    first name."""
    runs = list[IO[bytes]]()
    with os.scandir(folder) as entries:
        found = _names(entries)
        part = sorted(islice(found, _IN_MEMORY))
        while len(part) == _IN_MEMORY:
            runs.append(_written(part))
            part = sorted(islice(found, _IN_MEMORY))
    if not runs:
        return iter(part)
    return heapq.merge(*map(_read, runs), part)


def _names(entries: Iterator[os.DirEntry[str]]) -> Iterator[Name]:
    for entry in entries:
        yield f"{entry.name}/" if entry.is_dir() else entry.name, entry.is_symlink()


def _written(part: list[Name]) -> IO[bytes]:
    """A temporary file without a name that holds these names; the system removes it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed once it has been read
    for start in range(0, len(part), _AT_ONCE):
        some = part[start : start + _AT_ONCE]
        block = _BETWEEN.join(f"{_LINK if is_link else _NONE}{name}" for name, is_link in some)
        # Names may hold bytes that are no text, and any character but NUL and /.
        data = os.fsencode(block)
        file.write(_LENGTH.pack(len(data)) + data)
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> Iterator[Name]:
    with file:
        while head := file.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(head)
            for each in os.fsdecode(file.read(length)).split(_BETWEEN):
                yield each[1:], each[0] == _LINK
