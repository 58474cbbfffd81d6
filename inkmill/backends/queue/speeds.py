"""How fast engines read, as workers measured it: from this, a submit sizes its chunks."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, RedisConnection

log = logging.getLogger(__name__)

#: Items that an engine reads in a second: no report is outside, and what is there counts as none.
_SLOWEST, _FASTEST = 1e-3, 1e7
#: Of a new report and the one before, the new one counts so much: hosts differ, and moments.
_NEW = 0.5
#: Kinds of work (a model and a template) in the key; then all are forgotten, and reported again.
_MOST_KINDS = 1000


class Speeds(RedisConnection):
    """Items per second of one engine, by kind of work (`inkmill.names.kind_of_work`)."""

    def report_speeds(self, speeds: Mapping[str, float]) -> None:
        """What a worker measured lately, to be blended with what was reported before."""
        if not speeds:
            return
        with reachable():
            before = self.client.hmget(names.SPEEDS, list(speeds))
            full = self.client.hlen(names.SPEEDS) >= _MOST_KINDS
            blended = {
                kind: f"{_NEW * now + (1 - _NEW) * (_speed(old) or now):.6g}"
                for (kind, now), old in zip(speeds.items(), before, strict=True)
            }
            with self._pipeline() as pipe:
                if full:
                    pipe.delete(names.SPEEDS)
                pipe.hset(names.SPEEDS, mapping=blended)
                pipe.expire(names.SPEEDS, HINT_SECONDS)
                pipe.execute()

    def speed(self, kind: str) -> float:
        """Items per second of one engine; 0 where no worker reported it in the last week."""
        with reachable():
            return _speed(self.client.hget(names.SPEEDS, kind))


def _speed(value: bytes | str | None) -> float:
    """What a report says; 0 for none, and for what is none."""
    try:
        found = float(value or 0)
    except ValueError:
        return 0.0
    return found if _SLOWEST <= found <= _FASTEST else 0.0
