"""Progress of jobs: counts that workers add up, and the signal that a job has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import HINT_SECONDS, RedisConnection, as_number
from inkmill.records.codec import MOST_ITEMS

#: A finished job's end can be waited for in Redis this long; later the store shows it.
_ENDED_SECONDS = 10

# Adds a chunk's counts, once. KEYS: progress, counted. ARGV: chunk, expiry, name, count, ...
_RECORD = """
if redis.call('SETBIT', KEYS[2], ARGV[1], 1) == 1 then return end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a running job, as far as Redis knows them: a hint, not the truth."""

    chunks: int
    rows: int
    statuses: Mapping[str, int]
    codes: Mapping[str, int]

    def is_of(self, items: int) -> bool:
        """Whether these are the counts of so many items, each with its row and its status."""
        return self.rows == items == sum(self.statuses.values())


class JobProgress(RedisConnection):
    """Counts by job, and the end of a job."""

    def record(
        self,
        job: str,
        number: int,
        rows: int,
        statuses: Mapping[str, int],
        codes: Mapping[str, int],
    ) -> None:
        """Count a chunk's rows, however often this is called for it."""
        counts = {"chunks": 1, "rows": rows}
        counts |= {f"status:{status}": count for status, count in statuses.items()}
        counts |= {f"code:{code}": count for code, count in codes.items()}
        pairs = [each for pair in counts.items() for each in pair]
        with reachable():
            self.client.register_script(_RECORD)(
                [names.progress(job), names.counted(job)], [number, HINT_SECONDS, *pairs]
            )

    def progress(self, job: str) -> Progress:
        """The counts that workers recorded. Raises BadHint."""
        with reachable():
            found: Any = self.client.hgetall(names.progress(job))
        counts = {
            name.decode(errors="replace"): as_number(value, MOST_ITEMS)
            for name, value in found.items()
        }

        def part(prefix: str) -> dict[str, int]:
            return {
                name.removeprefix(prefix): value
                for name, value in counts.items()
                if name.startswith(prefix)
            }

        return Progress(
            chunks=counts.get("chunks", 0),
            rows=counts.get("rows", 0),
            statuses=part("status:"),
            codes=part("code:"),
        )

    def recount(self, job: str) -> None:
        """Drop a job's counts, which are no longer right; its end counts the rows."""
        with reachable():
            self.client.delete(names.progress(job), names.counted(job))

    def hints(self, job: str) -> list[str]:
        """The hints of a job that Redis holds; none once it is finished."""
        with reachable():
            return [key for key in names.hints(job) if self.client.exists(key)]

    def forget(self, job: str) -> None:
        """Drop everything that Redis keeps of a job besides its messages."""
        beside = names.ended(job), names.leases(job), names.desk_report(job)
        with reachable():
            self.client.delete(*names.hints(job), *beside)

    def end(self, job: str) -> None:
        """The job is finished: drop its hints, and wake everyone who waits for it."""
        with reachable(), self._pipeline() as pipe:
            pipe.delete(*names.hints(job), names.ended(job))
            pipe.rpush(names.ended(job), 1)
            pipe.expire(names.ended(job), _ENDED_SECONDS)
            pipe.execute()

    def wait_end(self, job: str, seconds: float) -> bool:
        """Wait up to ``seconds`` for the end of a job; whether it ended. A hint, as all of Redis.

        The entry is moved to its own place, so that all who wait see it.
        """
        ended = names.ended(job)
        with reachable():
            entry: Any = self.client.blmove(ended, ended, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]
        return entry is not None
