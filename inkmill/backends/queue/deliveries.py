"""Messages in the hands of workers: recorded, renewed, given back once their worker is silent.

Each delivered message has a record in a hash and a place in an index, by the time at which its
worker last renewed it. All times are Redis's. A message goes back to its queue

- after the visibility timeout without a renewal, whoever holds it; or
- earlier, if its worker is silent: nothing renewed and no report for `SILENT_SECONDS`, and still so
  at another look `_CONFIRM_SECONDS` later. That is how a worker ends that was killed.

After an outage of Redis or of the network, everybody looks silent. So a worker judges others only
if Redis has heard it without a gap for `SILENT_SECONDS`: whoever is alive has reported by then. One
worker at a time gives messages back, a bounded number at a look. A worker that was only frozen does
no harm when it wakes: a result is written once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX, UNACKED_MUTEX
from inkmill.backends.queue.aside import move_aside, set_aside
from inkmill.backends.queue.connection import take_lock
from inkmill.backends.queue.workers import WORKER_SECONDS, Presence, presences
from inkmill.errors import BadMessage
from inkmill.records.messages import Delivery

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

#: The tag of a delivery, which somebody else may have written.
Tag = str | bytes

#: A worker from which nothing was heard for this long is silent (seconds) ...
SILENT_SECONDS = WORKER_SECONDS
#: ... and is taken for dead if it still is after so many more.
_CONFIRM_SECONDS = 10.0
#: At least this long between two looks in the whole cluster (seconds); workers try every 5 s.
_LOOK_SECONDS = 4.0
#: Messages that one look gives back, and entries that are not ours that it sets aside.
_MOST = 100
#: Places in the index that are read at once, and how often in one look.
_PAGE, _PAGES = 1000, 100
#: The notes of silent workers expire with the interest in them (seconds).
_NOTE_SECONDS = 3600

#: What each key that a look touches must hold; a queue is a list.
_TYPES = {
    UNACKED: "hash",
    UNACKED_INDEX: "zset",
    names.SILENT: "zset",
    names.WORKERS: "hash",
    names.ASIDE: "list",
    names.ASIDE_COUNT: "string",
    **dict.fromkeys(names.all_queues(), "list"),
}

# Records a delivered message. The index comes first: a record without a place in it would never be
# looked at. KEYS: hash, index. ARGV: tag, record.
_RECORD = """
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""

# Renews messages that are still recorded. KEYS: index. ARGV: tags.
_RENEW = """
local now = redis.call('TIME')[1]
for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end
"""

# Moves a message back to its queue, unless something else holds its tag by now. Pushed before it is
# removed, so that a Redis that is out of memory loses nothing.
# KEYS: hash, index, queue. ARGV: tag, record, entry, command.
_GIVE_BACK = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call(ARGV[4], KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""

# Records and places in the index belong together, and no place lies in the future. What a Redis out
# of memory, a clock set back or somebody else left otherwise is put right, so that it is due once.
# KEYS: hash, index. ARGV: how many.
_TIDY = """
local now = tonumber(redis.call('TIME')[1])
local future = redis.call('ZRANGEBYSCORE', KEYS[2], now + 60, '+inf', 'LIMIT', 0, ARGV[1])
for _, tag in ipairs(future) do redis.call('ZADD', KEYS[2], now, tag) end
if redis.call('HLEN', KEYS[1]) > redis.call('ZCARD', KEYS[2]) then
  for _, tag in ipairs(redis.call('HRANDFIELD', KEYS[1], ARGV[1])) do
    redis.call('ZADD', KEYS[2], 'NX', now, tag)
  end
end
"""


def record(client: redis.Redis, tag: str, delivery: Delivery) -> None:
    """Record a delivered message with Redis's time."""
    client.eval(_RECORD, 2, UNACKED, UNACKED_INDEX, tag, delivery.encode())


def renew(client: redis.Redis, tags: Sequence[str]) -> None:
    """These messages are still in hand."""
    if tags:
        client.eval(_RENEW, 1, UNACKED_INDEX, *tags)


def forget(client: redis.Redis, tag: Tag) -> None:
    """A message is done. Without MULTI, inside which a Redis out of memory refuses deletions."""
    pipe = client.pipeline(transaction=False)
    pipe.zrem(UNACKED_INDEX, tag)
    pipe.hdel(UNACKED, tag)
    pipe.execute()


def give_back(client: redis.Redis, tag: Tag, *, first: bool = True) -> bool:
    """Move a delivered message back to its queue, to the front of it or, without ``first``, to the
    end; whether it was there. A record that is not ours is set aside."""
    found: Any = client.hget(UNACKED, tag)
    if found is None:
        client.zrem(UNACKED_INDEX, tag)
        return False
    data: bytes = found if isinstance(found, bytes) else found.encode()
    try:
        delivery = Delivery.decode(data)
    except BadMessage as error:
        forget(client, tag)
        set_aside(client, data, UNACKED, error)
        return False
    keys = (UNACKED, UNACKED_INDEX, delivery.queue)
    entry = delivery.message.entry(delivery.queue, str(uuid.uuid4()))
    command = "RPUSH" if first else "LPUSH"
    return bool(client.eval(_GIVE_BACK, len(keys), *keys, tag, data, entry, command))


def look(client: redis.Redis, process: str, visibility_timeout: float) -> int:
    """Give back what nobody holds any more, unless another worker looked just now.

    ``process`` is the id of the worker that looks. Returns how many messages went back.
    """
    if not take_lock(client, UNACKED_MUTEX, _LOOK_SECONDS):
        return 0
    move_aside(client, _TYPES)
    client.eval(_TIDY, 2, UNACKED, UNACKED_INDEX, _MOST)
    given = 0
    for tag in _abandoned(client, process, visibility_timeout):
        if give_back(client, tag):
            log.warning("a message was not acknowledged in time and is delivered again")
            given += 1
    return given


def _abandoned(client: redis.Redis, process: str, visibility_timeout: float) -> list[Tag]:
    """Tags of messages to be given back: overdue, or of a worker that is dead; some at a time."""
    seconds, micros = client.time()
    now = float(seconds) + float(micros) / 1e6
    held = _oldest(client, now - min(SILENT_SECONDS, visibility_timeout))
    reported = presences(client)
    holders = {worker for worker, _ in held.values()}
    dead = _dead(client, holders, reported, now)
    if not _is_witness(reported, process, now):
        dead = set()
    return [
        tag
        for tag, (worker, renewed) in held.items()
        if worker in dead or renewed <= now - visibility_timeout
    ][:_MOST]


def _oldest(client: redis.Redis, until: float) -> dict[Tag, tuple[str, float]]:
    """Messages that were not renewed since ``until``, the oldest first: the worker's process that
    holds each, and when it was renewed.

    What is no message of ours goes away meanwhile, however much there is: the oldest places could
    be filled with it, and no message would ever go back.
    """
    held: dict[Tag, tuple[str, float]] = {}
    for _ in range(_PAGES):
        found: Any = client.zrange(
            UNACKED_INDEX,
            "-inf",
            until,
            byscore=True,
            offset=len(held),
            num=_PAGE,
            withscores=True,
        )
        ours, places, junk = _sorted_out(client, dict(found))
        held |= ours
        if places:
            client.zrem(UNACKED_INDEX, *places)
        for tag in junk[:_MOST]:
            give_back(client, tag)  # sets it aside
        if len(found) < _PAGE or len(held) >= _PAGE or len(junk) > _MOST:
            break
    return held


def _sorted_out(
    client: redis.Redis, scores: dict[Tag, float]
) -> tuple[dict[Tag, tuple[str, float]], list[Tag], list[Tag]]:
    """Messages of ours among these; places without a record; and records that are not ours."""
    ours: dict[Tag, tuple[str, float]] = {}
    places, junk = list[Tag](), list[Tag]()
    records: Any = client.hmget(UNACKED, list(scores)) if scores else ()
    for tag, data in zip(scores, records, strict=True):
        try:
            if data is None:
                places.append(tag)
            else:
                ours[tag] = Delivery.decode(data).worker, scores[tag]
        except BadMessage:
            junk.append(tag)
    return ours, places, junk


def _dead(
    client: redis.Redis, holders: Iterable[str], reported: Sequence[Presence], now: float
) -> set[str]:
    """Which of these workers were silent at an earlier look already; notes those that are now."""
    heard = {each.process for each in reported if abs(now - each.seen) < SILENT_SECONDS}
    silent = set(holders) - heard
    noted: Any = client.zrange(names.SILENT, 0, -1, withscores=True)
    since: dict[str, float] = {
        worker.decode("utf-8", "surrogateescape"): score for worker, score in noted
    }
    pipe = client.pipeline(transaction=False)
    if over := since.keys() - silent:
        pipe.zrem(names.SILENT, *(each.encode("utf-8", "surrogateescape") for each in over))
    if new := silent - since.keys():
        pipe.zadd(names.SILENT, dict.fromkeys(new, now))
        pipe.expire(names.SILENT, _NOTE_SECONDS)
    pipe.execute()
    return {each for each in silent & since.keys() if now - since[each] >= _CONFIRM_SECONDS}


def _is_witness(reported: Sequence[Presence], process: str, now: float) -> bool:
    """Whether Redis heard this worker without a gap for so long that the living were heard, too."""
    return any(
        each.process == process
        and abs(now - each.seen) < SILENT_SECONDS
        and now - each.since >= SILENT_SECONDS
        for each in reported
    )
