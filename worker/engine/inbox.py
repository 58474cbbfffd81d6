"""What waits for an engine, and whose turn it is.

A chunk of a large job takes a quarter of a second and more, many times that where others use the
processor too. A job of a single chunk, often one image of somebody who waits, does not stand
behind all that were sent before it: between two turns of the others comes one of theirs, and in
the middle of a long one as well. Nobody is starved, for the turns alternate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from inkmill.worker.link.frames import Frame, Link, receive


class Inbox:
    """An engine's requests, in turns.

    ``use`` is called with the version of each chunk as it comes. The worker believes that an
    engine uses its versions in the order in which it asked for them, and so it must be.
    """

    def __init__(self, link: Link, use: Callable[[str], None]) -> None:
        self._link = link
        self._use = use
        self._singles: deque[Frame] = deque()
        self._others: deque[Frame] = deque()
        self._load: Frame | None = None
        self._singles_went = False

    def turn(self) -> Iterator[Frame]:
        """Requests to be worked on together, as many of them as the caller takes: at least one.

        A load comes alone, after all that came before it: the new version may take over the
        network by which those are to be read.
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
        """Single chunks that wait now, as many of them as the caller takes: none, as a rule."""
        self._receive(wait=False)
        while self._singles:
            yield self._singles.popleft()

    def _lane(self) -> deque[Frame]:
        singles = bool(self._singles) and not (self._singles_went and self._others)
        self._singles_went = singles
        return self._singles if singles else self._others

    def _receive(self, wait: bool) -> None:
        """Take in what lies on the connection, up to the next load."""
        while self._load is None and (wait or self._link.poll(0)):
            wait = False
            frame = receive(self._link)
            if frame.head["op"] == "load":
                self._load = frame
                return
            self._use(frame.head["version"])
            (self._singles if frame.head["single"] else self._others).append(frame)
