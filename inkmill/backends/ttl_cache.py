"""A small TTL cache for objects read from the store: one request, not one per chunk or job."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Most values that are kept: a worker processes few jobs at a time.
_KEPT = 256


class TTLCache(Generic[T]):
    """Values by key, read by ``read`` and read again when older than ``seconds``.

    An S3 request costs its process more than a millisecond of processor time, as much as seven
    digit images. Errors are raised and not kept.
    """

    def __init__(self, seconds: float, read: Callable[[str], T]) -> None:
        self._seconds = seconds
        self._read = read
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T:
        """The value of a key. Raises whatever ``read`` raises."""
        with self._lock:
            since, value = self._known.get(key, (float("-inf"), None))
        if time.monotonic() - since < self._seconds:
            return value  # type: ignore[return-value]
        began = time.monotonic()
        fresh = self._read(key)
        with self._lock:
            self._keep(key, began, fresh)
        return fresh

    def _keep(self, key: str, since: float, value: T) -> None:
        self._known[key] = (since, value)
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def tell(self, key: str, value: T) -> None:
        """Store a value that is known, so that it need not be read."""
        with self._lock:
            self._keep(key, time.monotonic(), value)

    def has(self, key: str) -> bool:
        """Whether there is a value of a key that is not outdated."""
        with self._lock:
            since, _ = self._known.get(key, (float("-inf"), None))
        return time.monotonic() - since < self._seconds

    def forget(self, key: str) -> None:
        """Drop a value that is known to be outdated: it is read again next time."""
        with self._lock:
            self._known.pop(key, None)
