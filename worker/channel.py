"""How messages leave Redis: kombu's transport, hardened where tests showed that it matters.

- A queue entry that is not one of our messages makes Celery 5.7's consumer raise; here it is set
  aside in a list of its own, counted and logged, and never executed.
- Redeliveries go by Redis's clock. With the workers' own clocks, one that is ahead by more than the
  visibility timeout would deliver everything in flight again.
- A live worker renews the messages it holds, so that a slow chunk is not delivered again, and only
  attempts whose worker died or fell silent count against a chunk.
- A Redis that is out of memory cannot record a delivered message: the chunk is read all the same.
- ``high`` goes first, and ``low`` is never starved.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from kombu.exceptions import KombuError
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.json import dumps
from redis.exceptions import RedisError, ResponseError

from inkmill import names
from inkmill.errors import BadMessage
from inkmill.records.messages import Message

log = logging.getLogger(__name__)

#: A chunk message has some 700 bytes; far larger entries are not parsed as JSON.
_LARGEST = 16 * 1024
#: Entries kept in the list of those set aside, and bytes kept of each.
_ASIDE, _ASIDE_BYTES = 1000, 4096

# Records a delivered message with Redis's time. KEYS: hash, index. ARGV: tag, payload.
_RECORD = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
"""


# Renews messages that are still recorded. KEYS: index. ARGV: tags.
_RENEW = """
local now = redis.call('TIME')[1]
for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end
"""

#: A message is renewed for so many visibility timeouts, and for an hour at least (seconds); after
#: that its worker counts as stuck.
_RENEWALS, _LEAST_HOLD = 12, 3600.0


class QoS(redis.QoS):  # type: ignore[misc]
    """Bookkeeping of delivered messages by Redis's clock instead of this host's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: dict[str, float] = {}
        # Done while Redis was away: neither renewed nor counted as in hand.
        self._owed: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        info = message.delivery_info
        payload = dumps([message._raw, info["exchange"], info["routing_key"]])
        keys = (self.unacked_key, self.unacked_index_key)
        try:
            with self.channel.conn_or_acquire() as client:
                client.eval(_RECORD, len(keys), *keys, delivery_tag, payload)
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
            self._forget(tag, client)
            self._owed.discard(tag)
        # kombu keeps done messages among the delivered ones until the next one comes.
        held = set(self._delivered) - self._dirty
        self._since = {tag: began for tag, began in self._since.items() if tag in held}
        longest = max(_LEAST_HOLD, _RENEWALS * self.visibility_timeout)
        oldest = time.monotonic() - longest
        if tags := [tag for tag, began in self._since.items() if began > oldest]:
            client.eval(_RENEW, 1, self.unacked_index_key, *tags)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; where Redis is away, tell it later.

        A message that stayed in hand until Redis is back would be renewed for an hour and take the
        place of one that follows.
        """
        try:
            with self.channel.conn_or_acquire() as client:
                self._forget(delivery_tag, client)
        except (RedisError, OSError) as error:
            log.warning("a message is acknowledged once Redis answers again: %s", error)
            self._owed.add(delivery_tag)
        super(redis.QoS, self).ack(delivery_tag)

    def _forget(self, delivery_tag: str, client: Any) -> None:
        """Without the parent's MULTI, inside which a Redis out of memory refuses even deletions."""
        pipe = client.pipeline(transaction=False)
        self._remove_from_indices(delivery_tag, pipe).execute()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)
        except (RedisError, OSError) as error:
            log.warning("a message goes back only after the visibility timeout: %s", error)
            super(redis.QoS, self).ack(delivery_tag)

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        try:
            self._restore_visible(start, num, interval)
        except ResponseError as error:
            log.warning("unacknowledged messages cannot be checked now: %s", error)

    def _restore_visible(self, start: int, num: int | None, interval: int) -> None:
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        with self.channel.conn_or_acquire() as client:
            self._renew(client)
            oldest = client.time()[0] - self.visibility_timeout
            try:
                with redis.Mutex(client, self.unacked_mutex_key, self.unacked_mutex_expire):
                    silent = client.zrange(
                        self.unacked_index_key, 0, oldest, byscore=True, **_part(start, num)
                    )
                    for tag in silent or []:
                        log.warning("a message was not acknowledged in time and is delivered again")
                        self.restore_by_tag(tag, client)
            except redis.MutexHeld:
                pass


def _part(start: int, num: int | None) -> dict[str, int]:
    """kombu passes ``num=None`` for everything; redis-py then accepts neither argument."""
    return {} if num is None else {"offset": start, "num": num}


class WeightedOrder:
    """Queue order: high first, but every 4th turn starts with normal and every 16th with low.

    Within a priority, jobs of a single chunk go before the chunks of larger ones in four turns of
    five. An empty queue passes its turn on, so that no turn is wasted.
    """

    def __init__(self, items: Iterable[str] = ()) -> None:
        self._turn = 0
        self.update(items)

    def update(self, items: Iterable[str]) -> None:
        served = set(items)
        found = [[q for q in names.queues(each) if q in served] for each in names.PRIORITIES]
        self._priorities = [queues for queues in found if queues]

    def consume(self, count: int) -> list[str]:
        self._turn += 1
        first = 2 if self._turn % 16 == 0 else 1 if self._turn % 4 == 0 else 0
        order = list(self._priorities)
        if first < len(order):
            order.insert(0, order.pop(first))
        step = -1 if self._turn % 5 == 2 else 1
        return [queue for queues in order for queue in queues[::step]][:count]

    def rotate(self, last_used: str) -> str:
        return last_used


class _Guarded:
    """A mix-in for kombu's channels: sets aside queue entries that are not our messages."""

    QoS = QoS

    def _brpop_read(self: Any, **options: Any) -> bool:
        try:
            try:
                found = self.client.parse_response(self.client.connection, "BRPOP", **options)
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

    def _get(self: Any, queue: str) -> dict[str, Any]:
        with self.conn_or_acquire() as client:
            entry = client.rpop(queue)
        if not entry:
            raise redis.Empty
        message: dict[str, Any] = self._ours(queue, entry)
        return message

    def _ours(self: Any, queue: str, entry: bytes) -> dict[str, Any]:
        """The message in a queue entry. Anything else is set aside, and Empty is raised."""
        try:
            return parse_entry(entry)
        except BadMessage as error:
            log.error("an entry of queue %s was set aside in %s: %s", queue, names.ASIDE, error)
            with self.conn_or_acquire() as client:
                client.lpush(names.ASIDE, entry[:_ASIDE_BYTES])
                client.ltrim(names.ASIDE, 0, _ASIDE - 1)
                client.incr(names.ASIDE_COUNT)
            raise redis.Empty from error


def parse_entry(entry: bytes) -> dict[str, Any]:
    """The Celery envelope of one of our messages. Raises BadMessage for anything else."""
    if len(entry) > _LARGEST:
        raise BadMessage(f"{len(entry)} bytes: a message has at most {_LARGEST}", entry)
    try:
        envelope: dict[str, Any] = json.loads(entry)
        task = envelope["headers"]["task"]
        delivery = envelope["properties"]["delivery_info"]
        whole = (
            isinstance(envelope["properties"]["delivery_tag"], str)
            and isinstance(envelope["headers"]["id"], str)
            and isinstance(delivery["exchange"], str)
            and isinstance(delivery["routing_key"], str)
            and envelope["properties"]["body_encoding"] == "base64"
            and envelope["content-type"] == "application/json"
        )
        fields = json.loads(base64.b64decode(envelope["body"]))[1]
    except (ValueError, LookupError, TypeError, KombuError, RecursionError) as error:
        raise BadMessage(
            f"not a Celery message ({type(error).__name__}: {error})", entry
        ) from error
    if not whole or task != names.TASK or not isinstance(fields, dict):
        raise BadMessage(f"a message for {task!r}, not for {names.TASK}", entry)
    Message.decode(fields)
    return envelope


class Channel(_Guarded, redis.Channel):  # type: ignore[misc]
    """A channel to one Redis."""


class SentinelChannel(_Guarded, redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the master that Sentinel names."""


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
