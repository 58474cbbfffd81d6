"""Waiting for a store or a Redis that is away: round each single request, never round a block.

A request that failed is sent again after a pause, for as long as it takes: an outage costs time
and counts against no chunk. What is done in several requests goes on at the one that failed, so
nothing that was counted is counted again. Each request wrapped here may be sent twice, since the
answer to the first may be what was lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from inkmill.backends.queue import Begun, Progress, Queue
from inkmill.backends.store import ObjectInfo, Store, Stored
from inkmill.errors import (
    Corrupt,
    InkmillError,
    NotFound,
    PreconditionFailed,
    ShuttingDown,
    StoreDenied,
    Unreachable,
)
from inkmill.worker import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

#: First pause in seconds, doubled each time up to the longest.
_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
#: A server that is away or refuses: an operator can help in both cases.
_AWAY = (Unreachable, StoreDenied)


class Patience:
    """Sends a request until it is answered, or until the worker stops.

    ``server`` is where it goes, in the metrics: "store" or "redis".
    """

    def __init__(self, stopping: threading.Event, server: str = "store") -> None:
        self._stopping = stopping
        self._server = server

    def __call__(self, request: Callable[[], T], away: tuple[type[InkmillError], ...] = _AWAY) -> T:
        """The answer to ``request``, which may be sent several times.

        ``away`` are the errors after which it is sent again; others are raised at once. Raises
        ShuttingDown.
        """
        pause = _PAUSE
        while True:
            if self._stopping.is_set():
                raise ShuttingDown("the worker is stopping")
            try:
                return request()
            except away as error:
                log.warning("%s; next try in %.1f s", error, pause)
                metrics.WAITS.labels(self._server, type(error).__name__).inc()
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


class PatientStore:
    """A store whose requests wait while it is away. Every method may raise ShuttingDown.

    ``plain`` is the same store without waiting, for what must not hold up its caller.
    """

    def __init__(self, plain: Store, patience: Patience) -> None:
        self.plain = plain
        self.patience = patience

    def get(self, key: str) -> Stored:
        return self.patience(lambda: self.plain.get(key))

    def get_if_changed(self, key: str, etag: str) -> Stored | None:
        return self.patience(lambda: self.plain.get_if_changed(key, etag))

    def head(self, key: str) -> Mapping[str, str] | None:
        return self.patience(lambda: self.plain.head(key))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write an object. A condition that fails only because an earlier try was carried out, and
        its answer lost, counts as met."""
        repeated = False

        def write() -> str:
            nonlocal repeated
            try:
                return self.plain.put(
                    key,
                    data,
                    if_match=if_match,
                    if_none_match=if_none_match,
                    metadata=metadata,
                )
            except PreconditionFailed:
                if repeated and (etag := self._etag_of(key, data)):
                    return etag
                raise
            except _AWAY:
                repeated = True
                raise

        return self.patience(write)

    def _etag_of(self, key: str, data: bytes) -> str | None:
        """The etag of an object that holds these bytes; None where it holds others."""
        try:
            found = self.plain.get(key)
        except (NotFound, Corrupt):
            return None
        return found.etag if found.data == data else None

    def delete(self, keys: Iterable[str]) -> None:
        listed = list(keys)
        self.patience(lambda: self.plain.delete(listed))

    def delete_if_match(self, key: str, etag: str) -> None:
        """Delete an object in this state. One that an earlier try deleted counts as deleted."""
        repeated = False

        def delete() -> None:
            nonlocal repeated
            try:
                self.plain.delete_if_match(key, etag)
            except PreconditionFailed:
                if not repeated or self.plain.head(key) is not None:
                    raise
            except _AWAY:
                repeated = True
                raise

        self.patience(delete)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """A listing that is interrupted goes on after the last key that it gave."""
        entries: Iterator[ObjectInfo] | None = None

        def following() -> ObjectInfo | None:
            nonlocal entries
            try:
                if entries is None:
                    entries = iter(self.plain.list(prefix, after=after))
                return next(entries, None)
            except _AWAY:
                entries = None  # a generator that raised has ended
                raise

        while (entry := self.patience(following)) is not None:
            after = entry.key
            yield entry

    def folders(self, prefix: str) -> Iterator[str]:
        return iter(self.patience(lambda: [*self.plain.folders(prefix)]))


class PatientQueue(Queue):
    """A queue whose requests on a chunk's way wait while Redis is away; they may raise
    ShuttingDown.

    ``plain`` is the same queue without waiting, for what must not hold up its caller.
    """

    def __init__(self, plain: Queue, patience: Patience) -> None:
        super().__init__(plain.settings, plain.client)
        self.plain = plain
        self.patience = patience

    def admit(self, job: str) -> list[int]:
        """Where an answer is lost, chunks have left the backlog unsent: a sweep finds them."""
        return self.patience(lambda: self.plain.admit(job))

    def send(self, job: str, number: int, priority: str, single: bool = False) -> None:
        """Where an answer is lost, a message is sent twice: the second finds the result."""
        self.patience(lambda: self.plain.send(job, number, priority, single))

    def begin(self, job: str, number: int, attempt: str) -> Begun:
        return self.patience(lambda: self.plain.begin(job, number, attempt))

    def complete(self, job: str, number: int) -> None:
        self.patience(lambda: self.plain.complete(job, number))

    def busy(self, job: str) -> bool:
        return self.patience(lambda: self.plain.busy(job))

    def progress(self, job: str) -> Progress:
        return self.patience(lambda: self.plain.progress(job))

    def record(
        self,
        job: str,
        number: int,
        rows: int,
        statuses: Mapping[str, int],
        codes: Mapping[str, int],
    ) -> None:
        self.patience(lambda: self.plain.record(job, number, rows, statuses, codes))

    def forget(self, job: str) -> None:
        self.patience(lambda: self.plain.forget(job))

    def end(self, job: str) -> None:
        self.patience(lambda: self.plain.end(job))
