"""The requests that wait for an engine, and whose turn it is.

A chunk of a large job takes a quarter of a second or more, and much longer on a busy host. A job of
a single chunk, often one image that somebody waits for, does not wait for all the chunks sent
before it: such jobs have every second turn, and are also read in the middle of a large chunk. Since
the turns alternate, nobody is starved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inkmill.worker.link import Frame, Link, receive


class Inbox:
    """An engine's requests, in turns.

    ``use`` is called with the header of each chunk on arrival, since the worker assumes that an
    engine uses its versions in the order of its requests.
    """

    def __init__(self, link: Link, use: Callable[[Mapping[str, Any]], None]) -> None:
        self._link = link
        self._use = use
        self._singles: deque[Frame] = deque()
        self._others: deque[Frame] = deque()
        self._load: Frame | None = None
        self._singles_went = False

    @property
    def is_empty(self) -> bool:
        """Whether no request waits now."""
        return self.is_idle(0.0)

    def is_idle(self, seconds: float) -> bool:
        """Wait for a request, for so long at most; whether none came."""
        held = self._singles or self._others or self._load is not None
        return not held and not self._link.poll(seconds)

    def turn(self) -> Iterator[Frame]:
        """Requests to be read together, as many as the caller takes: at least one. Waits for it.

        A load comes alone, after all requests before it, since the new version may take over the
        network that reads them.
        """
        self._receive(wait=not self._singles and not self._others and self._load is None)
        if self._load is not None and not self._singles and not self._others:
            load, self._load = self._load, None
            yield load
            return
        lane = self._lane()
        while lane:
            yield lane.popleft()
            self._receive(wait=False)

    def singles(self) -> Iterator[Frame]:
        """Single chunks that wait now, as many as the caller takes: usually none."""
        self._receive(wait=False)
        while self._singles:
            yield self._singles.popleft()

    def _lane(self) -> deque[Frame]:
        singles = bool(self._singles) and not (self._singles_went and self._others)
        self._singles_went = singles
        return self._singles if singles else self._others

    def _receive(self, wait: bool) -> None:
        """Sort in the requests that have arrived, up to the next load."""
        while self._load is None and (wait or self._link.poll(0)):
            wait = False
            frame = receive(self._link)
            if frame.head["op"] == "load":
                self._load = frame
                return
            self._use(frame.head)
            (self._singles if frame.head["single"] else self._others).append(frame)
