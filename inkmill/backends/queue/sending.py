"""Messages: sent through Celery, and what Redis holds of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX, celery_app, reachable
from inkmill.backends.queue.signing import Signer
from inkmill.backends.queue.window import Window
from inkmill.errors import BadHint, BadMessage
from inkmill.records.messages import Delivery, Message

if TYPE_CHECKING:
    import redis
    from celery import Celery

    from inkmill.settings import Settings

log = logging.getLogger(__name__)

_MAKING = threading.Lock()
#: Entries of queues, and records of deliveries, that are read in one request.
_AT_ONCE = 1000


@contextmanager
def _passing_over(key: str) -> Iterator[None]:
    try:
        yield
    except BadHint as error:
        log.warning("%s: %s", key, error)


class Sending(Window):
    """Sends the messages of the chunks that the window admits."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        super().__init__(settings, client)
        self._app: Celery | None = None
        self._signer = Signer.of(settings)

    @property
    def app(self) -> Celery:
        """The Celery application, made at the first use."""
        # One thread at a time: Celery's lazy modules fail when two import from them at once.
        with _MAKING:
            if self._app is None:
                self._app = celery_app(self.settings)
        return self._app

    def feed(self, job: str, priority: str, single: bool = False) -> int:
        """Send as many of the job's offered chunks as its window allows; returns how many."""
        taken = self.admit(job)
        for number in taken:
            self.send(job, number, priority, single)
        return len(taken)

    def send(self, job: str, number: int, priority: str, single: bool = False) -> None:
        """Put one chunk's message into its queue; ``single`` says that the job has no other."""
        self._send(Message(job, number), names.queue(priority, single))

    def send_trainings(self, runs: Iterable[str]) -> list[str]:
        """Put runs into the queue of trainings, but for those that wait there; returns the others.

        Should two do so at once, a message too many finds nothing to do.
        """
        found = map(self._message_in_queue, self._queued(names.TRAIN), repeat(names.TRAIN))
        waiting = {each.job for each in found if each is not None}
        sent = [run for run in runs if run not in waiting]
        for run in sent:
            self._send(Message(run, 0), names.TRAIN)
        return sent

    def _send(self, message: Message, queue: str) -> None:
        with reachable():
            self.app.send_task(
                names.task_of(queue),
                kwargs=self._signer.sign(message).encode(),
                task_id=names.task_id(message.job, message.chunk),
                queue=queue,
                ignore_result=True,
            )

    def send_only(self, job: str, priority: str) -> None:
        """Send the only chunk of a new job, of which Redis knows nothing yet."""
        self.admit_only(job)
        self.send(job, 0, priority, single=True)

    def present(self) -> set[str]:
        """Task ids of all chunks' messages that Redis holds, queued or delivered to a worker.

        The queues are read before the delivered ones: a message moves from the one to the
        other, so none that exists the whole time is overlooked. A key of another type holds no
        message: a worker puts it right within seconds.
        """
        found: set[str] = set()
        for queue in chain.from_iterable(map(names.queues, names.PRIORITIES)):
            with _passing_over(queue):
                messages = filter(None, map(self._message_in_queue, self._queued(queue)))
                found.update(names.task_id(each.job, each.chunk) for each in messages)
        with _passing_over(UNACKED):
            found.update(each.task for each in self.in_hand())
        return found

    def _queued(self, queue: str) -> Iterator[bytes]:
        """The entries of a queue, some at a time: others may have filled it.

        From where entries are added to where they are taken, so that what moves meanwhile is read
        twice, and never overlooked.
        """
        start = 0
        while True:
            with reachable():
                entries: Any = self.client.lrange(queue, start, start + _AT_ONCE - 1)
            yield from entries
            if len(entries) < _AT_ONCE:
                return
            start += _AT_ONCE

    def in_hand(self) -> Iterator[Delivery]:
        """The messages of chunks that were delivered to workers and not acknowledged yet.

        Only what the index knows: no other record is ever given back. Records that are not ours are
        passed over.
        """
        with reachable():
            tags: Any = self.client.zrange(UNACKED_INDEX, 0, -1)
        for start in range(0, len(tags), _AT_ONCE):
            with reachable():
                records: Any = self.client.hmget(UNACKED, tags[start : start + _AT_ONCE])
            yield from filter(None, map(self._delivery, records))

    def lengths(self) -> dict[str, int]:
        """Messages waiting, by priority."""
        with reachable():
            return {
                priority: sum(int(self.client.llen(queue)) for queue in names.queues(priority))
                for priority in names.PRIORITIES
            }

    def _message_in_queue(self, entry: bytes, queue: str = "") -> Message | None:
        try:
            return self._signer.check(Message.in_entry(entry, queue))
        except BadMessage:
            return None  # set aside by the worker that takes it

    def _delivery(self, record: bytes | None) -> Delivery | None:
        try:
            if record is None:
                return None
            delivery = Delivery.decode(record)
            self._signer.check(delivery.message)
        except BadMessage:
            return None
        return delivery if delivery.queue != names.TRAIN else None
