"""Which workers are alive, and which of them does the shared housekeeping."""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, RedisConnection, as_text, take_lock
from inkmill.backends.ttl_cache import TTLCache
from inkmill.errors import BadHint, InkmillError, Newer
from inkmill.records import codec
from inkmill.records.codec import NameOrEmpty, Timestamp, Within

if TYPE_CHECKING:
    import redis

    from inkmill.settings import Settings

log = logging.getLogger(__name__)

_SCHEMA = 1
#: A worker that did not report for this long does not count.
WORKER_SECONDS = 30.0
#: A worker whose last report is older than this has not been heard all the time (seconds).
_GAP_SECONDS = 15.0
#: Who is alive is asked so often (seconds) where it sizes a window: reading a report takes longer
#: than sending a chunk, and each of many workers has one.
_SLOTS_SECONDS = 1.0
#: No worker holds more chunks at once, and a cluster no more than all of these.
_MOST_SLOTS, _MOST_SLOTS_TOGETHER = 1_000, 100_000
#: Items per second that nobody reads.
_HIGHEST_RATE = 1e9

#: Identifies this process among all that ever ran, also those of the same host and number.
PROCESS = secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Presence:
    """What a worker reports: it holds up to ``slots`` chunks at once.

    ``seen`` is when it reported last, ``since`` from when on without a gap (Redis's clock, seconds
    since the epoch). ``process`` is the id of its process, by which deliveries name their worker;
    ``rate`` the items per second that it read in the last minute.
    """

    slots: Annotated[int, Within(1, _MOST_SLOTS)]
    seen: Timestamp
    since: Timestamp = 0.0
    process: NameOrEmpty = ""
    rate: Annotated[float, Within(0, _HIGHEST_RATE)] = 0.0
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def encode(self) -> bytes:
        """The report as JSON."""
        return codec.encode(self, "the report of a worker")

    @classmethod
    def decode(cls, data: bytes) -> Presence:
        """A worker's report. Of a newer one, what is known counts: a worker of the next version is
        alive, and nobody must take its chunks away. Raises Corrupt."""
        try:
            return codec.decode(cls, data, "the report of a worker", schema=_SCHEMA)
        except Newer:
            content = json.loads(data)
            known = {each.name: content[each.name] for each in fields(cls) if each.name in content}
            older = json.dumps({**known, "schema": _SCHEMA})
            return codec.decode(cls, older, "the report of a newer worker", schema=_SCHEMA)


class Workers(RedisConnection):
    """Workers report here; locks say that one of them took a task of housekeeping."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        super().__init__(settings, client)
        self._reports: dict[str, Presence] = {}
        self._slots = TTLCache[int](_SLOTS_SECONDS, lambda _: self.slots())

    def report_worker(
        self, worker: str, slots: int, process: str = PROCESS, rate: float = 0.0
    ) -> None:
        """A worker is alive, holds up to ``slots`` chunks at once and reads ``rate`` items per
        second."""
        now = self.clock()
        last = self._reports.get(worker)
        heard = last is not None and 0 <= now - last.seen < _GAP_SECONDS
        since = last.since if last is not None and heard else now
        report = Presence(
            slots=min(slots, _MOST_SLOTS), seen=now, since=since, process=process, rate=rate
        )
        with reachable(), self._pipeline() as pipe:
            pipe.hset(names.WORKERS, worker, report.encode())
            pipe.expire(names.WORKERS, HINT_SECONDS)
            pipe.execute()
        self._reports[worker] = report
        self._slots.forget("")

    def forget_worker(self, worker: str) -> None:
        """A worker stops."""
        with reachable():
            self.client.hdel(names.WORKERS, worker)
        self._slots.forget("")

    def workers(self) -> dict[str, int]:
        """Workers that reported lately, with their slots."""
        return {worker: report.slots for worker, report in self.presences().items()}

    def presences(self) -> dict[str, Presence]:
        """The latest reports of workers that reported lately."""
        try:
            with reachable():
                found = _reports(self.client)
        except BadHint as error:
            log.debug("nobody reports, until a worker has put this right: %s", error)
            return {}
        now = self.clock() if found else 0.0
        return {
            worker: report
            for worker, report in found.items()
            if abs(now - report.seen) < WORKER_SECONDS
        }

    def slots(self) -> int:
        """Chunks that all live workers together hold at once."""
        return min(sum(self.workers().values()), _MOST_SLOTS_TOGETHER)

    def may_sweep(self, interval: float) -> bool:
        """Whether no sweep began within the interval (seconds); the caller then begins one."""
        return self._lock(names.SWEEP_LOCK, interval)

    def may_expire(self, interval: float) -> bool:
        """Whether no look for expired jobs began in the interval; the caller then begins one."""
        return self._lock(names.EXPIRY_LOCK, interval)

    def may_deliver(self, interval: float) -> bool:
        """Whether no look for notices began in the interval; the caller then begins one."""
        return self._lock(names.OUTBOX_LOCK, interval)

    def _lock(self, key: str, seconds: float) -> bool:
        with reachable():
            return take_lock(self.client, key, seconds)


def presences(client: redis.Redis) -> list[Presence]:
    """What workers reported, also those that are silent by now."""
    return list(_reports(client).values())


def _reports(client: redis.Redis) -> dict[str, Presence]:
    found: Any = client.hgetall(names.WORKERS)
    reports = {}
    for worker, data in found.items():
        try:
            reports[as_text(worker)] = Presence.decode(data)
        except (InkmillError, UnicodeDecodeError) as error:
            log.debug("skipped a report: %s", error)
    return reports
