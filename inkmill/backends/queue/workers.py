"""Which workers are alive, and which of them does the shared housekeeping."""

from __future__ import annotations

import json
from typing import Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, RedisConnection, as_text

#: A worker that did not report for this long does not count.
WORKER_SECONDS = 30.0


class Workers(RedisConnection):
    """Workers report here; locks say that one of them took a task of housekeeping."""

    def report_worker(self, worker: str, slots: int) -> None:
        """A worker is alive and holds up to ``slots`` chunks at once."""
        now = self.clock()
        with reachable(), self._pipeline() as pipe:
            pipe.hset(names.WORKERS, worker, json.dumps({"slots": slots, "seen": now}))
            pipe.expire(names.WORKERS, HINT_SECONDS)
            pipe.execute()

    def forget_worker(self, worker: str) -> None:
        """A worker stops."""
        with reachable():
            self.client.hdel(names.WORKERS, worker)

    def workers(self) -> dict[str, int]:
        """Workers that reported lately, with their slots."""
        with reachable():
            found: Any = self.client.hgetall(names.WORKERS)
        now = self.clock() if found else 0.0
        alive: dict[str, int] = {}
        for worker, text in found.items():
            try:
                report = json.loads(text)
                if abs(now - report["seen"]) < WORKER_SECONDS:
                    alive[as_text(worker)] = int(report["slots"])
            except (ValueError, LookupError, TypeError):
                continue
        return alive

    def slots(self) -> int:
        """Chunks that all live workers together hold at once."""
        return sum(self.workers().values())

    def may_sweep(self, interval: float) -> bool:
        """Whether no sweep began within the interval (seconds); the caller then begins one."""
        with reachable():
            return bool(
                self.client.set(names.SWEEP_LOCK, "1", nx=True, px=max(1, int(interval * 1000)))
            )

    def may_expire(self, interval: float) -> bool:
        """Whether no look for expired jobs began in the interval; the caller then begins one."""
        with reachable():
            return bool(
                self.client.set(names.EXPIRY_LOCK, "1", nx=True, px=max(1, int(interval * 1000)))
            )
