"""A job's window: which chunks exist, which are in flight, and how many may be."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, as_number
from inkmill.backends.queue.workers import Workers

#: Smallest window when it is chosen by the number of workers: keeps one worker busy.
_LEAST_WINDOW = 6
#: Chunks that one request makes known.
_AT_ONCE = 1000

# Adds chunks to the backlog unless they are in flight. KEYS: backlog, sent. ARGV: expiry, chunks.
_OFFER = """
local added = 0
for i = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    added = added + redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return added
"""

# Takes chunks from the backlog into the window, lowest number first.
# Added before it is removed: a script that Redis stops when it is out of memory is not undone.
# KEYS: backlog, sent. ARGV: window, seconds until a hint expires.
_ADMIT = """
local room = tonumber(ARGV[1]) - redis.call('ZCARD', KEYS[2])
if room <= 0 then return {} end
local taken = redis.call('ZRANGE', KEYS[1], 0, room - 1)
local time = redis.call('TIME')
local now = string.format('%.3f', time[1] + time[2] / 1000000)
for _, chunk in ipairs(taken) do
  redis.call('ZADD', KEYS[2], now, chunk)
  redis.call('ZREM', KEYS[1], chunk)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return taken
"""

# A job's only chunk goes into the window without a detour. KEYS: sent. ARGV: expiry.
_ONLY = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%.3f', time[1] + time[2] / 1000000), 0)
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class Window(Workers):
    """A job's backlog and its window: only chunks in the window have messages."""

    def offer(self, job: str, chunks: Iterable[int]) -> int:
        """Make stored chunks known to Redis; returns how many were not known yet."""
        with reachable():
            script = self.client.register_script(_OFFER)
            keys = [names.backlog(job), names.sent(job)]
            added, pending = 0, iter(chunks)
            while part := list(islice(pending, _AT_ONCE)):
                added += int(script(keys, [HINT_SECONDS, *part]))
            return added

    def admit(self, job: str) -> list[int]:
        """Move the job's offered chunks into its window while they fit; the caller sends them."""
        with reachable():
            taken = self.client.register_script(_ADMIT)(
                [names.backlog(job), names.sent(job)],
                [self.window(), HINT_SECONDS],
            )
        return [as_number(number) for number in taken]

    def admit_only(self, job: str) -> None:
        """Put the only chunk of a new job, of which Redis knows nothing yet, into the window."""
        with reachable():
            self.client.register_script(_ONLY)([names.sent(job)], [HINT_SECONDS])

    def complete(self, job: str, number: int) -> None:
        """A chunk has its result: it leaves the window and the backlog."""
        with reachable(), self._pipeline() as pipe:
            pipe.zrem(names.sent(job), number)
            pipe.zrem(names.backlog(job), number)
            pipe.hdel(names.tries(job), str(number))
            pipe.execute()

    def requeue(self, job: str, numbers: Iterable[int]) -> None:
        """Put sent chunks that Redis no longer holds back into the backlog."""
        lost = list(numbers)
        if lost:
            with reachable(), self._pipeline() as pipe:
                pipe.zrem(names.sent(job), *lost)
                pipe.zadd(names.backlog(job), {str(number): number for number in lost}, nx=True)
                pipe.execute()

    def window(self) -> int:
        """Chunks of one job that may be in flight.

        With "auto", one and a half times the slots of the live workers: a slot that becomes free
        finds its next chunk at once, and a job that arrives after a large one waits only for the
        chunks in that one's window.
        """
        if self.settings.window != "auto":
            return self.settings.window
        slots = self._slots.get("")
        return max(_LEAST_WINDOW, slots + (slots + 1) // 2)

    def in_flight(self, job: str) -> dict[int, float]:
        """Chunks of the job that were sent and are not complete, with the seconds since then.

        Raises BadHint.
        """
        with reachable():
            found: Any = self.client.zrange(names.sent(job), 0, -1, withscores=True)
        now = self.clock() if found else 0.0
        # A time that lies ahead, by a clock that was set back, says as little as an old one.
        return {as_number(number): abs(now - float(sent)) for number, sent in found}

    def waiting(self, job: str) -> int:
        """Number of the job's chunks that are known and not sent yet."""
        with reachable():
            return int(self.client.zcard(names.backlog(job)))

    def busy(self, job: str) -> bool:
        """Whether any of the job's chunks is in flight or waits to be sent."""
        with reachable(), self._pipeline() as pipe:
            pipe.zcard(names.sent(job))
            pipe.zcard(names.backlog(job))
            return any(pipe.execute())
