"""Leases: which task of a review is in whose hands, so that no two people do the same.

A lease is a hint, like everything in Redis: it spares people work, and nothing depends on it. The
store takes one answer to a task (`inkmill.backends.event_log.answer`), with or without a lease. One
that is not renewed runs out by Redis's clock, and the task goes to whoever asks next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import RedisConnection, as_text

#: Candidates that one request looks at: it takes microseconds for each.
_MOST_CANDIDATES = 500

# Leases the first candidate that is free, or the holder's own. A value is the time at which the
# lease runs out (milliseconds), a space, and the holder; one that ends with a slash is a person,
# in whichever tab.
# KEYS: leases. ARGV: holder, milliseconds, candidates.
_LEASE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local anywhere = string.match(ARGV[1], '^(.*/)')
local mine, free
for i = 3, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  local till, holder = string.match(value or '', '^(%d+) (.*)$')
  if till and tonumber(till) >= now then
    if holder == ARGV[1] or holder == anywhere then mine = ARGV[i] break end
  elseif not free then free = ARGV[i] end
end
local task = mine or free
if not task then return false end
redis.call('HSET', KEYS[1], task, string.format('%.0f', now + ARGV[2]) .. ' ' .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2])
return task
"""

# Renews a lease, or takes it where it ran out; returns the holder if that is somebody else.
# KEYS: leases. ARGV: holder, milliseconds, task.
_HOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local value = redis.call('HGET', KEYS[1], ARGV[3])
local till, holder = string.match(value or '', '^(%d+) (.*)$')
local mine = holder == ARGV[1] or holder == string.match(ARGV[1], '^(.*/)')
if till and tonumber(till) >= now and not mine then return holder end
redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f', now + ARGV[2]) .. ' ' .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2])
return ''
"""

# Gives tasks to a holder, whoever has them.
# KEYS: leases. ARGV: holder, milliseconds, tasks.
_ASSIGN = """
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
for i = 3, #ARGV do
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f', till) .. ' ' .. ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2])
"""

# Ends a lease that is still the holder's. KEYS: leases. ARGV: holder, task.
_RELEASE = """
local value = redis.call('HGET', KEYS[1], ARGV[2])
local till, holder = string.match(value or '', '^(%d+) (.*)$')
if holder == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[2]) end
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A task in somebody's hands until ``till`` (seconds since the epoch, Redis's clock)."""

    holder: str
    till: float


class Leases(RedisConnection):
    """Tasks of a review, leased to people. ``holder`` is a person and their browser tab."""

    def lease(self, job: str, holder: str, seconds: float, candidates: Sequence[str]) -> str | None:
        """Lease the first of the tasks that nobody holds; one that the holder has comes first.

        Looks at some hundreds of candidates; None if all of them are in other hands.
        """
        if not candidates:
            return None
        with reachable():
            found: Any = self.client.register_script(_LEASE)(
                [names.leases(job)],
                [holder, int(1000 * seconds), *candidates[:_MOST_CANDIDATES]],
            )
        return as_text(found) if found else None

    def hold(self, job: str, holder: str, seconds: float, task: str) -> str:
        """Renew a lease, also one that ran out; returns "" or who holds the task by now."""
        with reachable():
            found: Any = self.client.register_script(_HOLD)(
                [names.leases(job)], [holder, int(1000 * seconds), task]
            )
        return as_text(found)

    def release(self, job: str, holder: str, task: str) -> None:
        """End a lease, if it is still this holder's."""
        with reachable():
            self.client.register_script(_RELEASE)([names.leases(job)], [holder, task])

    def revoke(self, job: str, tasks: Sequence[str]) -> None:
        """Take tasks out of people's hands: they go to whoever asks next."""
        if tasks:
            with reachable():
                self.client.hdel(names.leases(job), *tasks)

    def assign(self, job: str, who: str, seconds: float, tasks: Sequence[str]) -> None:
        """Give tasks to a person, in whichever tab they ask next, and take them from others.

        Whoever asks gets a task that the person has not taken after so many seconds.
        """
        if tasks:
            with reachable():
                self.client.register_script(_ASSIGN)(
                    [names.leases(job)], [f"{who}/", int(1000 * seconds), *tasks]
                )

    def leases(self, job: str) -> Mapping[str, Lease]:
        """The tasks that are in somebody's hands."""
        with reachable():
            found: Any = self.client.hgetall(names.leases(job))
        if not found:
            return {}
        now, held = self.clock(), dict[str, Lease]()
        for task, value in found.items():
            till, _, holder = as_text(value).partition(" ")
            if till.isdecimal() and int(till) >= 1000 * now:
                held[as_text(task)] = Lease(holder, int(till) / 1000)
        return held
