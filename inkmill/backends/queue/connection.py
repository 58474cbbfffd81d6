"""One connection to Redis, shared by all parts of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inkmill.backends.broker import connect, reachable

if TYPE_CHECKING:
    import redis

    from inkmill.settings import Settings

#: Hints of a job that nothing touched for this many seconds are dropped; the store rebuilds them.
HINT_SECONDS = 7 * 24 * 3600


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
