"""Counts attempts at chunks, a hint for finding chunks that kill workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, RedisConnection

#: Ids of so many attempts at a chunk are kept: a request is repeated at once or not at all.
_ATTEMPT_IDS = 16

# Counts an attempt once, however often this is called with its id. A value is the count, then
# the ids of the latest attempts (all of one length), the newest first. Also says whether the
# chunk's rows are counted: then somebody wrote them.
# KEYS: tries, counted. ARGV: chunk, id, ids kept, seconds until a hint expires.
_BEGIN = """
local done = redis.call('GETBIT', KEYS[2], ARGV[1])
local value = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local count, ids = string.match(value, '^(%d+)(.*)$')
local place = string.find(ids, ' ' .. ARGV[2], 1, true)
local width = #ARGV[2] + 1
if place then return {tonumber(count) - math.floor((place - 1) / width), done} end
ids = string.sub(' ' .. ARGV[2] .. ids, 1, tonumber(ARGV[3]) * width)
redis.call('HSET', KEYS[1], ARGV[1], (tonumber(count) + 1) .. ids)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {tonumber(count) + 1, done}
"""

# Takes an attempt off, once. A chunk that others finished meanwhile has none to take it from, and
# nothing may be left of it. KEYS: tries. ARGV: chunk, id.
_GIVE_BACK = """
local value = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local count, ids = string.match(value, '^(%d+)(.*)$')
local first, last = string.find(ids, ' ' .. ARGV[2], 1, true)
if not first then return end
if tonumber(count) == 1 then return redis.call('HDEL', KEYS[1], ARGV[1]) end
ids = string.sub(ids, 1, first - 1) .. string.sub(ids, last + 1)
redis.call('HSET', KEYS[1], ARGV[1], (tonumber(count) - 1) .. ids)
"""


class Begun(NamedTuple):
    """An attempt that began: which one it is, from 1, and whether the chunk's rows are counted."""

    number: int
    counted: bool


class Attempts(RedisConnection):
    """Counts attempts at chunks that were begun and neither finished nor given back."""

    def begin(self, job: str, number: int, attempt: str) -> Begun:
        """An attempt at a chunk begins.

        ``attempt`` is an id of eight characters: one that is counted already is not counted again,
        so that the request may be repeated where its answer was lost.
        """
        with reachable():
            begun, counted = self.client.register_script(_BEGIN)(
                [names.tries(job), names.counted(job)],
                [number, attempt, _ATTEMPT_IDS, HINT_SECONDS],
            )
        return Begun(int(begun), bool(counted))

    def recall(self, job: str, attempts: Mapping[int, int]) -> None:
        """Attempts at chunks that the store remembers and Redis may have forgotten."""
        known = {str(number): count for number, count in attempts.items()}
        if known:
            with reachable(), self._pipeline() as pipe:
                for number, count in known.items():
                    pipe.hsetnx(names.tries(job), number, count)
                pipe.expire(names.tries(job), HINT_SECONDS)
                pipe.execute()

    def give_back(self, job: str, number: int, attempt: str) -> None:
        """The attempt of that id ended through no fault of the chunk, and does not count."""
        with reachable():
            self.client.register_script(_GIVE_BACK)([names.tries(job)], [number, attempt])
