"""Attempts at a chunk: counted in Redis, and from the second one on also in the store.

An attempt that ends with its worker's death stays counted; one that ends otherwise is handed
back. A Redis that was emptied cannot forget what the store remembers.
"""

from __future__ import annotations

import logging
import secrets
import time

from inkmill import names
from inkmill.errors import BadHint, StoreDenied, Unreachable
from inkmill.records.evidence import AttemptMark
from inkmill.records.messages import Message
from inkmill.worker.chunk.context import Context

log = logging.getLogger(__name__)


class Attempt:
    """One attempt at a chunk; ``number`` counts from 1, and is 0 until it has begun.

    ``repeated`` says that somebody may have written the chunk's rows already: this is not the first
    attempt, or its rows are counted. Where Redis forgot both, the write of the rows is refused.
    """

    def __init__(self, context: Context, message: Message) -> None:
        self.number = 0
        self.repeated = False
        self._begun = False
        self._context = context
        self._message = message
        # Counted under an id, so that no repeated request counts it twice.
        self._id = secrets.token_hex(4)

    def begin(self) -> None:
        """Count the attempt. Raises ShuttingDown."""
        message, self._begun = self._message, True
        self.number, counted = self._context.queue.begin(message.job, message.chunk, self._id)
        self.repeated = counted or self.number > 1
        if self.number > 1:
            self._remember()

    def _remember(self) -> None:
        """Leave a mark in the store, which may know of more attempts than Redis does.

        After Redis forgot the attempts, a sweep restores those that the store remembers before it
        sends the chunk again.
        """
        store, message = self._context.store, self._message
        keys = (entry.key for entry in store.list(names.attempts_of(message.job, message.chunk)))
        marks = [found[1] for key in keys if (found := names.attempt_of(key)) is not None]
        self.number = max(self.number, max(marks, default=0) + 1)
        mark = AttemptMark(self._context.name, time.time(), self.number)
        store.put(self._mark, mark.encode())

    @property
    def _mark(self) -> str:
        return names.attempt(self._message.job, self._message.chunk, self.number)

    def hand_back(self) -> None:
        """Uncount an attempt that ended through no fault of the chunk.

        Does not wait for a server that is away: the worker may be stopping.
        """
        if not self._begun:
            return
        message = self._message
        try:
            self._context.queue.plain.give_back(message.job, message.chunk, self._id)
            if self.number > 1:
                self._context.store.plain.delete([self._mark])
        except (Unreachable, StoreDenied, BadHint) as error:
            log.debug("the attempt still counts: %s", error)
