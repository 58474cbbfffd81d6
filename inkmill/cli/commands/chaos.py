"""inkmill chaos: run a job on a staging cluster while faults are injected, and judge the result.

The faults are those that Redis and networks really cause. They are aimed at this one job; only
with --kill-workers and --flush are others affected.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import say
from inkmill.cli.options import COUNT, paths_argument

if TYPE_CHECKING:
    from inkmill.producer import Connection
    from inkmill.producer.submission.options import SubmitOptions
    from inkmill.records.rows import Row

#: Confidences of two runs agree within this: batch shapes change float32 sums.
_CONFIDENCE = 0.001


class Chaos:
    """The faults: each method injects one, and returns whether it found a target."""

    def __init__(self, connection: Connection, job: str, chance: random.Random) -> None:
        self._connection = connection
        self._redis: Any = connection.queue.client
        self._job = job
        self._chance = chance

    def lose_a_message(self) -> bool:
        """A message disappears from its queue, as if a worker were killed while taking it."""
        return any(self._redis.lrem(self._queue, 1, entry) for entry in self._messages())

    def double_a_message(self) -> bool:
        """A message is delivered twice, as after a reconnect."""
        for entry in self._messages():
            self._redis.lpush(self._queue, entry)
            return True
        return False

    def forget_a_delivery(self) -> bool:
        """Redis forgets that a worker has a message, as after a restart without its last second."""
        from inkmill.backends.broker import UNACKED, UNACKED_INDEX

        for tag, entry in self._redis.hgetall(UNACKED).items():
            if self._names_job(entry):
                self._redis.hdel(UNACKED, tag)
                self._redis.zrem(UNACKED_INDEX, tag)
                return True
        return False

    def _names_job(self, record: bytes) -> bool:
        from inkmill.errors import BadMessage
        from inkmill.records.messages import Delivery

        try:
            return Delivery.decode(record).job == self._job
        except BadMessage:
            return False

    def forget_the_hints(self) -> bool:
        """Redis forgets the progress of the job."""
        known = bool(self._connection.queue.hints(self._job))
        self._connection.queue.forget(self._job)
        return known

    def send_rubbish(self) -> bool:
        """Bytes that are not a message arrive in the queue."""
        self._redis.lpush(self._queue, self._chance.randbytes(64))
        return True

    def cut_connections(self) -> bool:
        """All connections of all clients are closed."""
        return bool(self._redis.client_kill_filter(_type="normal", skipme=True))

    def kill_a_worker(self) -> bool:
        """SIGKILL to a worker on this host."""
        here = f"{socket.gethostname()}:"
        mine = [name for name in self._connection.queue.workers() if name.startswith(here)]
        if not mine:
            return False
        try:
            os.kill(int(self._chance.choice(mine).removeprefix(here)), signal.SIGKILL)
        except (OSError, ValueError):
            return False
        return True

    def flush(self) -> bool:
        """Redis loses all data, of all jobs."""
        self._redis.flushdb()
        return True

    @property
    def _queue(self) -> str:
        from inkmill import names

        return names.queue("normal")

    def _messages(self) -> list[bytes]:
        entries: list[bytes] = self._redis.lrange(self._queue, 0, -1)
        mine = [entry for entry in entries if f'"{self._job}:'.encode() in entry]
        self._chance.shuffle(mine)
        return mine


@click.command()
@paths_argument
@click.option("--form", metavar="FILE", help="Template of the scanned form (YAML).")
@click.option("--chunk-size", type=COUNT, default=16, show_default=True, help="Items per chunk.")
@click.option(
    "--every", default=1.0, show_default=True, metavar="SECONDS", help="Time between two faults."
)
@click.option(
    "--timeout", default=1800.0, show_default=True, metavar="SECONDS", help="When to give up."
)
@click.option("--seed", type=int, help="Repeat the faults of an earlier run.")
@click.option("--kill-workers", is_flag=True, help="Also SIGKILL workers on this host.")
@click.option("--flush", is_flag=True, help="Also empty the Redis database: affects every job.")
@click.option("--keep", is_flag=True, help="Keep the two jobs.")
def chaos(
    paths: tuple[str, ...],
    form: str | None,
    chunk_size: int,
    every: float,
    timeout: float,
    seed: int | None,
    kill_workers: bool,
    flush: bool,
    keep: bool,
) -> None:
    """Test a staging cluster: read PATH undisturbed, then under faults, and compare.

    Use it only on a cluster whose other users can tolerate it: connections are cut, and more with
    --kill-workers and --flush. Every image must have exactly one row, the same as in the
    undisturbed run, and nothing may be left behind; otherwise the exit code is 1.
    """
    from inkmill import producer
    from inkmill.lifecycle.invariants import judge

    connection = producer.connect()
    seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - not a secret
    options: SubmitOptions = {"form": form, "chunk_size": chunk_size}
    calm = producer.submit(paths, connection=connection, **options)
    say(f"undisturbed run: job {calm}")
    producer.wait(calm, timeout=timeout, connection=connection)
    job = producer.submit(paths, connection=connection, **options)
    say(f"under faults: job {job}, seed {seed}")
    made = Chaos(connection, job, random.Random(seed))  # noqa: S311 - not a secret
    began = time.monotonic()
    struck = _torment(connection, job, _faults(made, kill_workers, flush), every, timeout, seed)
    taken = time.monotonic() - began
    _settle(connection, job)
    judgement = judge(connection.store, connection.queue, job)
    wanted = judge(connection.store, connection.queue, calm)
    problems = [*judgement.problems, *_differences(wanted.rows, judgement.rows)]
    for name, count in sorted(struck.items()):
        click.echo(f"{count:>6}  {name}")
    click.echo(f"{judgement.items} items, {len(judgement.rows)} rows, {taken:.0f} s")
    for problem in problems:
        click.echo(f"BAD  {problem}")
    if not keep and not problems:
        for each in (calm, job):
            producer.delete(each, connection=connection)
    click.echo("rows were lost or changed" if problems else "nothing lost, nothing wrong")
    sys.exit(1 if problems else 0)


def _faults(made: Chaos, kill_workers: bool, flush: bool) -> list[Callable[[], bool]]:
    chosen = [
        made.lose_a_message,
        made.double_a_message,
        made.forget_a_delivery,
        made.forget_the_hints,
        made.send_rubbish,
        made.cut_connections,
    ]
    if kill_workers:
        chosen.append(made.kill_a_worker)
    if flush:
        chosen.append(made.flush)
    return chosen


def _torment(
    connection: Connection,
    job: str,
    faults: list[Callable[[], bool]],
    every: float,
    timeout: float,
    seed: int,
) -> Counter[str]:
    """Inject faults until the job is finished; returns how often each one found a target."""
    from inkmill.backends.broker import reachable
    from inkmill.errors import NotFinished
    from inkmill.lifecycle.lookup import read_record
    from inkmill.lifecycle.summary import load_summary

    chance, struck = random.Random(seed), Counter[str]()  # noqa: S311 - not a secret
    deadline = time.monotonic() + timeout
    while load_summary(connection.store, read_record(connection.store, job)) is None:
        if time.monotonic() > deadline:
            raise NotFinished(f"job {job} is not finished after {timeout:.0f} s: check its workers")
        fault = chance.choice(faults)
        with reachable():
            struck[fault.__name__.replace("_", " ")] += fault()
        time.sleep(every)
    return struck


def _settle(connection: Connection, job: str) -> None:
    """Wait until workers have acknowledged all deliveries of the job and removed its marker.

    The time is limited, since some may be dead.
    """
    from inkmill import names
    from inkmill.backends.store import exists

    deadline = time.monotonic() + connection.settings.visibility_timeout + 30
    while time.monotonic() < deadline:
        held = any(task.startswith(f"{job}:") for task in connection.queue.present())
        if not held and not exists(connection.store, names.open_marker(job)):
            return
        time.sleep(0.5)


def _differences(calm: dict[int, Row], rows: dict[int, Row]) -> list[str]:
    """Items whose outcome differs from that of the undisturbed run."""
    found = []
    for item, wanted in calm.items():
        row = rows.get(item)
        if row is None or _outcome(row) != _outcome(wanted):
            found.append(f"item {item} ({wanted.source}): differs from the undisturbed run")
        elif abs((row.confidence or 0.0) - (wanted.confidence or 0.0)) > _CONFIDENCE:
            found.append(f"item {item} ({wanted.source}): its confidence differs")
    return found


def _outcome(row: Row) -> tuple[object, ...]:
    values = [(field.name, field.value) for field in row.fields]
    return row.status, row.code, row.digit, values
