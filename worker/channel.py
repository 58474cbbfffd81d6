"""How messages leave Redis: kombu's transport, hardened where it was measured to matter.

- An entry that is not one of our messages makes Celery 5.7's consumer raise; here it is set
  aside in a list of its own, counted and logged, and never executed.
- Redeliveries go by Redis's clock. By the workers' own clocks, one that runs ahead by more
  than the visibility timeout would send everything that is in flight again.
- A worker that lives renews what it holds, so that a slow chunk is not delivered again, and
  attempts that are counted against a chunk are those whose worker died or fell silent.
- Redis that is out of memory cannot record a delivered message: it is worked on all the same.
- ``high`` goes first and ``low`` is never starved.
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
from inkmill.records.jobs import Message

log = logging.getLogger(__name__)

#: A chunk message has some 700 bytes; far larger ones are not read into memory as JSON.
_LARGEST = 16 * 1024
#: So many entries are kept aside, each cut to so many bytes.
_ASIDE, _ASIDE_BYTES = 1000, 4096

# Record a delivered message, with Redis's time. KEYS: hash, index. ARGV: tag, payload.
_RECORD = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
"""


# Renew messages that are still recorded. KEYS: index. ARGV: tags.
_RENEW = """
local now = redis.call('TIME')[1]
for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end
"""

#: A message is renewed for so many visibility timeouts, and for an hour at least (seconds);
#: after that its worker is taken to be stuck, whatever it says.
_RENEWALS, _LEAST_HOLD = 12, 3600.0


class QoS(redis.QoS):  # type: ignore[misc]
    """Bookkeeping of delivered messages by Redis's clock instead of this host's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: dict[str, float] = {}
        # Done, but Redis could not be told: neither renewed nor counted as in hand.
        self._owed: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        info = message.delivery_info
        payload = dumps([message._raw, info["exchange"], info["routing_key"]])
        keys = (self.unacked_key, self.unacked_index_key)
        try:
            with self.channel.conn_or_acquire() as client:
                client.eval(_RECORD, len(keys), *keys, delivery_tag, payload)
        except ResponseError as error:
            # Raised from here, it would end the worker. The message is ours already; should we
            # die before the result is written, the reconciler sends the chunk again.
            log.warning("a message is worked on without a record of it in Redis: %s", error)
        self._since[delivery_tag] = time.monotonic()
        # Past the parent, which would write the host's time, to the in-memory bookkeeping.
        super(redis.QoS, self).append(message, delivery_tag)

    def _renew(self, client: Any) -> None:
        """Say that what is in hand here is being worked on, and what is not any more."""
        for tag in self._owed.copy():
            self._forget(tag, client)
            self._owed.discard(tag)
        # Done messages stay among the delivered ones until the next one comes.
        held = set(self._delivered) - self._dirty
        self._since = {tag: began for tag, began in self._since.items() if tag in held}
        longest = max(_LEAST_HOLD, _RENEWALS * self.visibility_timeout)
        oldest = time.monotonic() - longest
        if tags := [tag for tag, began in self._since.items() if began > oldest]:
            client.eval(_RENEW, 1, self.unacked_index_key, *tags)

    def ack(self, delivery_tag: str) -> None:
        """Take the message off Redis's books, later if Redis is away.

        Were it held as long as Redis does not know, it would be renewed for an hour and take a
        place from the messages that follow.
        """
        try:
            with self.channel.conn_or_acquire() as client:
                self._forget(delivery_tag, client)
        except (RedisError, OSError) as error:
            log.warning("Redis learns later that a message is done: %s", error)
            self._owed.add(delivery_tag)
        super(redis.QoS, self).ack(delivery_tag)

    def _forget(self, delivery_tag: str, client: Any) -> None:
        """Without the parent's MULTI, in which a Redis out of memory refuses even a removal."""
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
            log.warning("unacknowledged messages cannot be looked after now: %s", error)

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
                        log.warning("a message was not acknowledged in time: delivered again")
                        self.restore_by_tag(tag, client)
            except redis.MutexHeld:
                pass


def _part(start: int, num: int | None) -> dict[str, int]:
    """kombu asks for everything by ``num=None``; redis-py then wants neither argument."""
    return {} if num is None else {"offset": start, "num": num}


class Weighted:
    """Queue order: high first, but each 4th turn begins with normal and each 16th with low.

    Of each priority, jobs of a single chunk go before the chunks of larger ones, but for one
    turn of five. Each list that is empty passes its turn on, so nothing is lost while one is
    idle.
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
    """Reads entries of a queue and sets aside what is not ours. Mixed into kombu's channels."""

    QoS = QoS

    def _brpop_read(self: Any, **options: Any) -> bool:
        try:
            try:
                found = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                # The next turn connects again.
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
        """The message in a queue entry; one that is none is set aside, and Empty is raised."""
        try:
            return understand(entry)
        except BadMessage as error:
            log.error("an entry of queue %s was set aside in %s: %s", queue, names.ASIDE, error)
            with self.conn_or_acquire() as client:
                client.lpush(names.ASIDE, entry[:_ASIDE_BYTES])
                client.ltrim(names.ASIDE, 0, _ASIDE - 1)
                client.incr(names.ASIDE_COUNT)
            raise redis.Empty from error


def understand(entry: bytes) -> dict[str, Any]:
    """The Celery envelope of one of our messages. Raises BadMessage for anything else."""
    if len(entry) > _LARGEST:
        raise BadMessage(f"{len(entry)} bytes, where a message has fewer than {_LARGEST}", entry)
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
    """A channel to the master that Sentinels name."""


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel


class SentinelTransport(redis.SentinelTransport):  # type: ignore[misc]
    Channel = SentinelChannel


_SCHEMES = {
    "redis": ("inkmill", "Transport"),
    "rediss": ("inkmills", "Transport"),
    "sentinel": ("inkmillsentinel", "SentinelTransport"),
}


def hardened(url: str) -> str:
    """The broker URL that makes kombu use this module's transport."""
    for scheme, (alias, name) in _SCHEMES.items():
        TRANSPORT_ALIASES[alias] = f"{__name__}:{name}"
        if url.startswith(f"{scheme}://"):
            return url.replace(f"{scheme}://", f"{alias}://")
    return url
