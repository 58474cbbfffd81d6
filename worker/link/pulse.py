"""State of a predictor process: a few numbers in memory that it shares with its worker."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from inkmill.worker.link.position import shared_memory

_LAYOUT = struct.Struct("<qqqq")


class Beat(NamedTuple):
    """``beat`` grows with every round of the process, busy or not. It has computed ``batches``,
    which held ``requests`` of engines with ``crops`` in all."""

    beat: int
    requests: int
    batches: int
    crops: int


class Pulse:
    """Shared by two processes: one writes, the other reads. Torn reads do no harm: any change of
    ``beat`` is a sign of life, and the counts are read again."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor, self._memory = shared_memory(_LAYOUT.size, descriptor)
        self._last = Beat(0, 0, 0, 0)

    def beat(self, requests: int = 0, crops: int = 0) -> None:
        """The process is alive; it has computed a batch if ``requests`` is not 0."""
        last = self._last
        self._last = Beat(
            last.beat + 1,
            last.requests + requests,
            last.batches + bool(requests),
            last.crops + crops,
        )
        _LAYOUT.pack_into(self._memory, 0, *self._last)

    def read(self) -> Beat:
        return Beat(*_LAYOUT.unpack_from(self._memory, 0))

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)
