"""What an engine has in hand: a few numbers in memory that it shares with its worker.

The worker reads them when an engine dies or falls silent, to find the item in hand.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from dataclasses import dataclass

_LAYOUT = struct.Struct("<qqq")

#: ``item`` while the engine works on no item in particular: predicting, loading, waiting.
NO_ITEM = -1
#: ``request`` while the engine predicts: the batch may hold crops of all that it was given.
EVERY_REQUEST = -1


@dataclass(frozen=True, slots=True)
class Position:
    """``beat`` grows with every step; ``request`` and ``item`` (its position in the chunk) are what
    the engine has in hand."""

    beat: int
    request: int
    item: int


class SharedPosition:
    """Shared by two processes: one writes, the other reads. Torn reads do no harm: any change of
    ``beat`` is a sign of life, and a dead engine writes no more."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor, self._memory = shared_memory(_LAYOUT.size, descriptor)
        self._beat = 0
        if descriptor is None:
            self.step(0)  # until the engine says otherwise, it has no item in hand

    def step(self, request: int, item: int = NO_ITEM) -> None:
        """Write the position: the engine begins another step."""
        self._beat += 1
        _LAYOUT.pack_into(self._memory, 0, self._beat, request, item)

    def read(self) -> Position:
        return Position(*_LAYOUT.unpack_from(self._memory, 0))

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)


def shared_memory(size: int, descriptor: int | None) -> tuple[int, mmap.mmap]:
    """The descriptor and the memory of a new file without a name, of so many bytes, all 0; or those
    of another process's file. Raises OSError, and leaves nothing open."""
    made = _anonymous_file() if descriptor is None else descriptor
    try:
        if descriptor is None:
            os.ftruncate(made, size)
        return made, mmap.mmap(made, size)
    except OSError:
        os.close(made)
        raise


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("inkmill-shared")
    else:  # macOS
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)  # noqa: PTH108
    return descriptor
