"""How messages leave Redis: kombu's transport, hardened where tests showed that it matters.

- Nothing that Celery sees was written by somebody else: the envelope of a message is rebuilt from
  the job and the chunk that it names (`inkmill.records.messages`). An entry that names none is set
  aside in a list of its own, counted and logged, and never executed. A key that holds something
  else than a list is renamed. Neither ends a worker.
- Where messages are signed, one without a right signature is set aside, too.
- Redeliveries go by Redis's clock. With the workers' own clocks, one that is ahead by more than the
  visibility timeout would deliver everything in flight again.
- A live worker renews the messages it holds, so that a slow chunk is not delivered again, and only
  attempts whose worker died or fell silent count against a chunk.
- The messages of a worker that died go back within a minute (`inkmill.backends.queue.deliveries`).
- A Redis that is out of memory cannot record a delivered message: the chunk is read all the same.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import Sentinel

from inkmill.backends.queue import deliveries
from inkmill.backends.queue.aside import move_aside, set_aside
from inkmill.backends.queue.signing import Signer
from inkmill.backends.queue.workers import PROCESS
from inkmill.errors import BadMessage, InkmillError
from inkmill.records.messages import Delivery, Message

log = logging.getLogger(__name__)

#: A message is renewed for so many visibility timeouts, and for an hour at least (seconds); after
#: that its worker counts as stuck.
_RENEWALS, _LEAST_HOLD = 12, 3600.0
#: Before the next try where Redis refuses to deliver anything (seconds).
_REFUSED_PAUSE = 1.0


class QoS(redis.QoS):  # type: ignore[misc]
    """Bookkeeping of delivered messages by Redis's clock instead of this host's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: dict[str, float] = {}
        # Done while Redis was away: neither renewed nor counted as in hand.
        self._owed: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        _, fields, _ = message.payload
        delivery = Delivery(
            job=fields["job"],
            chunk=fields["chunk"],
            queue=message.delivery_info["routing_key"],
            worker=PROCESS,
            signature=fields.get("signature", ""),
        )
        try:
            with self.channel.conn_or_acquire() as client:
                deliveries.record(client, delivery_tag, delivery)
        except ResponseError as error:
            # Raised from here, it would end the worker, which has the message already. Should it
            # die before the result is written, the reconciler sends the chunk again.
            log.warning("a chunk is read without a record of its delivery in Redis: %s", error)
        self._since[delivery_tag] = time.monotonic()
        # Skips the parent, which would write this host's time.
        super(redis.QoS, self).append(message, delivery_tag)

    def _renew(self, client: Any) -> None:
        """Tell Redis which messages are still in hand here, and which are done."""
        for tag in self._owed.copy():
            deliveries.forget(client, tag)
            self._owed.discard(tag)
        # kombu keeps done messages among the delivered ones until the next one comes.
        held = set(self._delivered) - self._dirty
        self._since = {tag: began for tag, began in self._since.items() if tag in held}
        longest = max(_LEAST_HOLD, _RENEWALS * self.visibility_timeout)
        oldest = time.monotonic() - longest
        deliveries.renew(client, [tag for tag, began in self._since.items() if began > oldest])

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; where Redis is away, tell it later.

        A message that stayed in hand until Redis is back would be renewed for an hour and take the
        place of one that follows.
        """
        try:
            with self.channel.conn_or_acquire() as client:
                deliveries.forget(client, delivery_tag)
        except (RedisError, OSError) as error:
            log.warning("a message is acknowledged once Redis answers again: %s", error)
            self._owed.add(delivery_tag)
        super(redis.QoS, self).ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not requeue:
            self.ack(delivery_tag)
            return
        try:
            self.restore_by_tag(delivery_tag, leftmost=True)
        except (RedisError, OSError) as error:
            log.warning("a message goes back only once this worker is silent: %s", error)
        super(redis.QoS, self).ack(delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Give one message back: to the front of its queue, with ``leftmost`` to the end."""
        with self.channel.conn_or_acquire(client) as client:
            try:
                deliveries.give_back(client, tag, first=not leftmost)
            except ResponseError as error:
                log.warning("a message goes back only once this worker is silent: %s", error)

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:  # noqa: ARG002
        """Called by kombu now and then, and when a connection is made: renew what is in hand, and
        give back what others no longer hold. Only a lost connection is raised."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        with self.channel.conn_or_acquire() as client:
            try:
                self._renew(client)
            except ResponseError as error:
                log.warning("messages in hand cannot be renewed now: %s", error)
            try:
                deliveries.look(client, PROCESS, self.visibility_timeout)
            except (ResponseError, InkmillError, ValueError) as error:
                log.warning("unacknowledged messages cannot be checked now: %s", error)


class _Guarded:
    """A mix-in for kombu's channels: delivers only messages of ours, in an envelope of ours.

    ``signer`` is a transport option: whose signatures messages must have.
    """

    QoS = QoS
    signer = Signer()

    def _queue_bind(self: Any, *_: Any) -> None:
        """Messages name their queue: nobody reads the tables that kombu would write to Redis."""

    def _brpop_read(self: Any, **options: Any) -> bool:
        try:
            try:
                found = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except ResponseError as error:
                self._refused(error)
                raise redis.Empty from error
            except self.connection_errors:
                # The next poll reconnects.
                self.client.connection.disconnect()
                raise
            if not found:
                raise redis.Empty
            queue, entry = found
            queue = queue.decode() if isinstance(queue, bytes) else queue
            self._queue_cycle.rotate(queue)
            self.connection._deliver(self._ours(queue, entry), queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _refused(self: Any, error: ResponseError) -> None:
        """Redis refuses to deliver: a queue's key may hold something else than a list.

        Raises a connection error where that is not so: this server may be the wrong one by now.
        """
        with self.conn_or_acquire() as client, suppress(ResponseError):
            if move_aside(client, dict.fromkeys(self.active_queues, "list")):
                return
        log.error("Redis refuses to deliver messages: %s", error)
        time.sleep(_REFUSED_PAUSE)
        self.client.connection.disconnect()
        raise RedisConnectionError(str(error)) from error

    def _get(self: Any, queue: str) -> dict[str, Any]:
        with self.conn_or_acquire() as client:
            entry = client.rpop(queue)
        if not entry:
            raise redis.Empty
        message: dict[str, Any] = self._ours(queue, entry)
        return message

    def _ours(self: Any, queue: str, entry: bytes) -> dict[str, Any]:
        """The envelope for the message in a queue entry. Anything else is set aside, and Empty is
        raised. Each delivery has a tag of its own, whatever the entry says."""
        try:
            message: Message = self.signer.check(Message.in_entry(entry, queue))
            return message.envelope(queue, str(uuid.uuid4()))
        except BadMessage as error:
            with self.conn_or_acquire() as client:
                set_aside(client, entry, f"queue {queue}", error)
            raise redis.Empty from error


class Channel(_Guarded, redis.Channel):  # type: ignore[misc]
    """A channel to one Redis."""

    from_transport_options = (*redis.Channel.from_transport_options, "signer")


class SentinelChannel(_Guarded, redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the master that Sentinels name, asked one after the other."""

    from_transport_options = (
        *redis.SentinelChannel.from_transport_options,
        *("sentinels", "signer"),
    )

    def _sentinel_managed_pool(self: Any, asynchronous: bool = False) -> Any:
        """kombu's own finds Sentinels only in URLs that begin with sentinel://, not in ours."""
        options = self._connparams(asynchronous)
        options = {name: value for name, value in options.items() if name not in ("host", "port")}
        manager: Any = Sentinel(  # type: ignore[no-untyped-call]
            self.sentinels, sentinel_kwargs=self.sentinel_kwargs
        )
        # Where kombu looks for the connections that it has to close.
        setattr(self, "_async_sentinel_manager" if asynchronous else "_sentinel_manager", manager)
        return manager.master_for(self.master_name, **options).connection_pool


class Transport(redis.Transport):  # type: ignore[misc]
    """kombu's Redis transport with the channel of this module."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):  # type: ignore[misc]
    """The same through Sentinel."""

    Channel = SentinelChannel


_SCHEMES = {
    "redis": ("inkmill", "Transport"),
    "rediss": ("inkmills", "Transport"),
    "sentinel": ("inkmillsentinel", "SentinelTransport"),
}


def hardened(url: str) -> str:
    """The broker URL by which kombu picks this module's transport."""
    for scheme, (alias, name) in _SCHEMES.items():
        TRANSPORT_ALIASES[alias] = f"{__name__}:{name}"
        if url.startswith(f"{scheme}://"):
            return url.replace(f"{scheme}://", f"{alias}://")
    return url
