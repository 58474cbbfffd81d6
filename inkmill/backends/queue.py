"""The queue: chunks on their way to workers, through Celery and Redis.

Of each job only a bounded window of chunks is in Redis at a time. ``offer`` says which chunks
exist, ``feed`` sends as many as the window allows, ``settle`` takes out one that is done. All
that lies in Redis is a hint: the store alone is the truth, and ``inkmill.lifecycle.reconcile``
rebuilds the hints from it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from inkmill import names
from inkmill.backends.broker import UNACKED, celery_app, connect, reachable
from inkmill.records.jobs import Message

if TYPE_CHECKING:
    import redis
    from celery import Celery

    from inkmill.settings import Settings


#: Hints of a job that nobody touched for this long are dropped; the store rebuilds them.
_HINT_SECONDS = 7 * 24 * 3600
#: So long a finished job's end can be waited for in Redis; the store tells it for ever.
_ENDED_SECONDS = 10
#: A worker that did not report for this long does not count.
WORKER_SECONDS = 30.0
#: Smallest window when it is chosen by the number of workers: keeps one worker busy.
_LEAST_WINDOW = 6
#: Ids of so many attempts at a chunk are kept: a request is repeated at once or not at all.
_ATTEMPT_IDS = 16

# Takes chunks from the backlog into the window, lowest number first.
# Added before it is removed: a script that Redis stops for want of memory is not undone.
# KEYS: backlog, sent. ARGV: window, seconds until a hint expires.
_FEED = """
local room = tonumber(ARGV[1]) - redis.call('ZCARD', KEYS[2])
if room <= 0 then return {} end
local taken = redis.call('ZRANGE', KEYS[1], 0, room - 1)
local now = redis.call('TIME')[1]
for _, chunk in ipairs(taken) do
  redis.call('ZADD', KEYS[2], now, chunk)
  redis.call('ZREM', KEYS[1], chunk)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return taken
"""

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


# A job's only chunk goes into the window without a detour. KEYS: sent. ARGV: expiry.
_ONLY = """
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], 0)
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


# Adds a chunk's counts, once. KEYS: progress, counted. ARGV: chunk, expiry, name, count, ...
_RECORD = """
if redis.call('SETBIT', KEYS[2], ARGV[1], 1) == 1 then return end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
"""


# Counts an attempt once, however often this is called with its id. A value is the count, then
# the ids of the latest attempts (all of one length), the newest first.
# KEYS: tries. ARGV: chunk, id, ids kept, seconds until a hint expires.
_BEGIN = """
local value = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local count, ids = string.match(value, '^(%d+)(.*)$')
local place = string.find(ids, ' ' .. ARGV[2], 1, true)
local width = #ARGV[2] + 1
if place then return tonumber(count) - math.floor((place - 1) / width) end
ids = string.sub(' ' .. ARGV[2] .. ids, 1, tonumber(ARGV[3]) * width)
redis.call('HSET', KEYS[1], ARGV[1], (tonumber(count) + 1) .. ids)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return tonumber(count) + 1
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


_MAKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a running job, as far as Redis knows them: a hint, not the truth."""

    chunks: int
    rows: int
    statuses: Mapping[str, int]
    codes: Mapping[str, int]


class Queue:
    """One connection to Redis for sending, windows, presence and progress."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        self.settings = settings
        self.client = client if client is not None else connect(settings)
        self._app: Celery | None = None

    @property
    def app(self) -> Celery:
        # One thread at a time: Celery's lazy modules fail when two import from them at once.
        with _MAKING:
            if self._app is None:
                self._app = celery_app(self.settings)
        return self._app

    def _pipeline(self) -> Any:
        """Commands in one round trip, without MULTI: inside of it, a Redis that is out of memory
        refuses even what frees some."""
        return self.client.pipeline(transaction=False)

    # --- sending ---------------------------------------------------------------------------

    def offer(self, job: str, chunks: Iterable[int]) -> int:
        """Make chunks that lie in the store known; returns how many were not known yet."""
        with reachable():
            script = self.client.register_script(_OFFER)
            keys = [names.backlog(job), names.sent(job)]
            added, pending = 0, list(chunks)
            for start in range(0, len(pending), 1000):
                added += int(script(keys, [_HINT_SECONDS, *pending[start : start + 1000]]))
            return added

    def feed(self, job: str, priority: str, single: bool = False) -> int:
        """Send as many of the job's offered chunks as its window allows; returns how many."""
        taken = self.admit(job)
        for number in taken:
            self.send(job, number, priority, single)
        return len(taken)

    def admit(self, job: str) -> list[int]:
        """Move as many of the job's offered chunks into its window as fit: they are to be sent."""
        with reachable():
            taken = self.client.register_script(_FEED)(
                [names.backlog(job), names.sent(job)],
                [self.window(), _HINT_SECONDS],
            )
        return [int(number) for number in taken]

    def send(self, job: str, number: int, priority: str, single: bool = False) -> None:
        """Put one chunk's message into its queue; ``single`` says that the job has no other."""
        with reachable():
            self.app.send_task(
                names.TASK,
                kwargs=Message(job, number).encode(),
                task_id=names.task_id(job, number),
                queue=names.queue(priority, single),
                ignore_result=True,
            )

    def send_only(self, job: str, priority: str) -> None:
        """Send the only chunk of a new job, of which Redis knows nothing yet."""
        with reachable():
            self.client.register_script(_ONLY)([names.sent(job)], [_HINT_SECONDS])
        self.send(job, 0, priority, single=True)

    def settle(self, job: str, number: int) -> None:
        """A chunk has its result: it leaves the window."""
        with reachable(), self._pipeline() as pipe:
            pipe.zrem(names.sent(job), number)
            pipe.zrem(names.backlog(job), number)
            pipe.hdel(names.tries(job), str(number))
            pipe.execute()

    def begin(self, job: str, number: int, attempt: str) -> int:
        """An attempt at a chunk begins; returns which one it is, from 1.

        ``attempt`` is an id of eight characters: one that is counted already is not counted again,
        so that the request may be repeated where its answer was lost.
        """
        with reachable():
            return int(
                self.client.register_script(_BEGIN)(
                    [names.tries(job)], [number, attempt, _ATTEMPT_IDS, _HINT_SECONDS]
                )
            )

    def recall(self, job: str, attempts: Mapping[int, int]) -> None:
        """Attempts at chunks that the store remembers and Redis may have forgotten."""
        known = {str(number): count for number, count in attempts.items()}
        if known:
            with reachable(), self._pipeline() as pipe:
                for number, count in known.items():
                    pipe.hsetnx(names.tries(job), number, count)
                pipe.expire(names.tries(job), _HINT_SECONDS)
                pipe.execute()

    def give_back(self, job: str, number: int, attempt: str) -> None:
        """The attempt of that id ended through no fault of the chunk, and does not count."""
        with reachable():
            self.client.register_script(_GIVE_BACK)([names.tries(job)], [number, attempt])

    def window(self) -> int:
        """Chunks of one job that may be in flight.

        Chosen by the slots of the workers that reported lately, and half as many, so that a
        slot that falls free finds its next chunk at once, while a job of several chunks that
        arrives behind a large one waits for little: each chunk of the window goes before it.
        """
        if self.settings.window != "auto":
            return self.settings.window
        slots = self.slots()
        return max(_LEAST_WINDOW, slots + (slots + 1) // 2)

    # --- what is there ---------------------------------------------------------------------

    def clock(self) -> float:
        """Redis's time, seconds since the epoch: the one clock that all who ask agree on."""
        with reachable():
            seconds, micros = self.client.time()
        return float(seconds) + float(micros) / 1e6

    def in_flight(self, job: str) -> dict[int, float]:
        """Chunks of the job that were sent and not settled, with the seconds since then."""
        with reachable():
            found: Any = self.client.zrange(names.sent(job), 0, -1, withscores=True)
        now = self.clock() if found else 0.0
        return {int(number): now - float(sent) for number, sent in found}

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

    def present(self) -> set[str]:
        """Task ids of all messages that Redis holds, queued or delivered to a worker.

        The queues are read before the delivered ones: a message moves from the one to the
        other, so none that is there the whole time is overlooked.
        """
        found: set[str] = set()
        with reachable():
            for queue in chain.from_iterable(map(names.queues, names.PRIORITIES)):
                entries: Any = self.client.lrange(queue, 0, -1)
                found.update(filter(None, map(_task_of, entries)))
            delivered: Any = self.client.hvals(UNACKED)
        for entry in delivered:
            try:
                found.add(json.loads(entry)[0]["headers"]["id"])
            except (ValueError, LookupError, TypeError):
                continue
        return found

    def lengths(self) -> dict[str, int]:
        """Messages waiting, by priority."""
        with reachable():
            return {
                priority: sum(int(self.client.llen(queue)) for queue in names.queues(priority))
                for priority in names.PRIORITIES
            }

    def forget(self, job: str) -> None:
        """Drop all hints of a job."""
        with reachable():
            self.client.delete(*names.hints(job))

    def end(self, job: str) -> None:
        """The job is finished: drop its hints, and wake who waits for it."""
        with reachable(), self._pipeline() as pipe:
            pipe.delete(*names.hints(job), names.ended(job))
            pipe.rpush(names.ended(job), 1)
            pipe.expire(names.ended(job), _ENDED_SECONDS)
            pipe.execute()

    def wait_end(self, job: str, seconds: float) -> bool:
        """Wait so long, or until the job is told to be finished: whether it was. A hint.

        The entry is moved to where it was, so that all who wait see it.
        """
        ended = names.ended(job)
        with reachable():
            told: Any = self.client.blmove(ended, ended, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]
        return told is not None

    def recount(self, job: str) -> None:
        """Drop a job's counts: they are not right any more, and its end counts the rows."""
        with reachable():
            self.client.delete(names.progress(job), names.counted(job))

    def hints(self, job: str) -> list[str]:
        """The hints of a job that Redis holds; none once it is finished."""
        with reachable():
            return [key for key in names.hints(job) if self.client.exists(key)]

    def lose(self, job: str, numbers: Iterable[int]) -> None:
        """Put sent chunks that Redis no longer holds back into the backlog."""
        lost = list(numbers)
        if lost:
            with reachable(), self._pipeline() as pipe:
                pipe.zrem(names.sent(job), *lost)
                pipe.zadd(names.backlog(job), {str(number): number for number in lost}, nx=True)
                pipe.execute()

    # --- progress and workers --------------------------------------------------------------

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
                [names.progress(job), names.counted(job)], [number, _HINT_SECONDS, *pairs]
            )

    def progress(self, job: str) -> Progress:
        """The counts that workers recorded."""
        with reachable():
            found: Any = self.client.hgetall(names.progress(job))
        counts = {_text(name): int(value) for name, value in found.items()}

        def part(prefix: str) -> dict[str, int]:
            return {
                name.removeprefix(prefix): value
                for name, value in counts.items()
                if name.startswith(prefix)
            }

        return Progress(
            counts.get("chunks", 0), counts.get("rows", 0), part("status:"), part("code:")
        )

    def report_worker(self, worker: str, slots: int) -> None:
        """A worker is alive and holds up to ``slots`` chunks at once."""
        now = self.clock()
        with reachable(), self._pipeline() as pipe:
            pipe.hset(names.WORKERS, worker, json.dumps({"slots": slots, "seen": now}))
            pipe.expire(names.WORKERS, _HINT_SECONDS)
            pipe.execute()

    def forget_worker(self, worker: str) -> None:
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
                    alive[_text(worker)] = int(report["slots"])
            except (ValueError, LookupError, TypeError):
                continue
        return alive

    def slots(self) -> int:
        """Chunks that all live workers together hold at once."""
        return sum(self.workers().values())

    def may_sweep(self, interval: float) -> bool:
        """Whether nobody swept within the interval; the caller then does."""
        with reachable():
            return bool(
                self.client.set(names.SWEEP_LOCK, "1", nx=True, px=max(1, int(interval * 1000)))
            )

    def may_expire(self, interval: float) -> bool:
        """Whether nobody looked for expired jobs within the interval (seconds)."""
        with reachable():
            return bool(
                self.client.set(names.EXPIRY_LOCK, "1", nx=True, px=max(1, int(interval * 1000)))
            )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _task_of(entry: bytes | str) -> str | None:
    try:
        return str(json.loads(entry)["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return None
