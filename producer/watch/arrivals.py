"""Which files of a watched place have arrived whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from inkmill.errors import ItemError
from inkmill.imagefile.ending import TAIL_BYTES, is_whole
from inkmill.imagefile.sniff import HEAD_BYTES
from inkmill.producer.inputs.regular import open_regular
from inkmill.producer.inputs.sources import Found

log = logging.getLogger(__name__)


class Arrivals:
    """Tells when a file counts as complete.

    That is once it stayed the same for ``settle`` seconds and has its end. A file without its end
    is waited for until it stayed the same for ``patience`` seconds more; then it is taken as it is,
    and gets a row that says what is wrong. An object in S3 is complete at once.
    """

    def __init__(self, settle: float, patience: float, clock: Callable[[], float]) -> None:
        self._settle = settle
        self._patience = patience
        self._clock = clock
        #: Since when each file, in its present state, stays the same.
        self._since: dict[bytes, float] = {}
        self._seen: dict[bytes, float] = {}
        self._noted: set[bytes] = set()
        self._now = 0.0

    def begin(self) -> None:
        """Begin a look at all files."""
        self._now, self._seen = self._clock(), {}

    def end(self) -> None:
        """End a look: files that were not asked for have gone or changed."""
        self._since = self._seen
        self._noted &= self._seen.keys()

    def forget(self) -> None:
        """Files that come back have to settle again."""
        self._since = {}

    def has_come(self, found: Found, state: bytes) -> bool:
        """Whether a file counts as complete; ``state`` identifies it as it is now."""
        if found.ref:
            return True
        since = self._since.get(state, self._now)
        passed = self._now - since
        if passed >= self._settle and (passed >= self._settle + self._patience or _whole(found)):
            return True
        if passed >= self._settle and state not in self._noted:
            log.info("%s has no end yet: waiting for the rest", found.source)
            self._noted.add(state)
        self._seen[state] = since
        return False


def _whole(found: Found) -> bool:
    """Whether a file has its end. One that cannot be read gets a row that says so."""
    try:
        file = open_regular(found.path, found.within)
    except (OSError, ItemError):
        return True
    try:
        size = os.fstat(file).st_size
        head = os.pread(file, HEAD_BYTES, 0)
        tail = os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES))
    except OSError:
        return True
    finally:
        os.close(file)
    return is_whole(head, tail, size)
