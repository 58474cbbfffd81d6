"""One connection to Redis, shared by all parts of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inkmill.backends.broker import connect, reachable
from inkmill.errors import BadHint
from inkmill.records.codec import MOST_CHUNKS, shorten

if TYPE_CHECKING:
    import redis

    from inkmill.settings import Settings

#: Hints of a job that nothing touched for this many seconds are dropped; the store rebuilds them.
HINT_SECONDS = 7 * 24 * 3600
_MOST_DIGITS = 20

# Takes a lock for a while. One without an expiry is none of ours, whatever it holds; nor is one
# that would outlast the caller's, and so could lock everybody out for years.
# KEYS: lock. ARGV: milliseconds.
_LOCK = """
local left = redis.call('PTTL', KEYS[1])
if left > 0 and left <= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
"""


class RedisConnection:
    """A client of the Redis that the settings name; connects at the first request."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        self.settings = settings
        self.client = client if client is not None else connect(settings)

    def _pipeline(self) -> Any:
        """Commands in one round trip, without MULTI: inside of it, a Redis that is out of memory
        refuses even commands that free some."""
        return self.client.pipeline(transaction=False)

    def clock(self) -> float:
        """Redis's time, seconds since the epoch: the one clock that all processes agree on."""
        with reachable():
            seconds, micros = self.client.time()
        return float(seconds) + float(micros) / 1e6


def as_text(value: bytes | str) -> str:
    """A key or value of Redis as text."""
    return value.decode() if isinstance(value, bytes) else value


def as_number(value: bytes | str, most: int = MOST_CHUNKS) -> int:
    """A count, or a chunk's number, that a hint holds. Raises BadHint for anything else."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not (
        text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= most
    ):
        raise BadHint(f"Redis holds {shorten(value)} where a number up to {most} belongs")
    return int(text)


def take_lock(client: redis.Redis, key: str, seconds: float) -> bool:
    """Whether nobody took this lock within so many seconds; the caller then has it."""
    return bool(client.eval(_LOCK, 1, key, max(1, int(seconds * 1000))))
