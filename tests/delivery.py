"""A state machine over the delivery of chunks: what may happen to a job, in any order.

The product's own code does the work: submit, queue, reconciler, cancel, delete, and the
worker's ``chunk.run``. Only servers and engines are stand-ins. A worker may be killed at each
of its requests to the store; Redis may lose, double or forget anything at any time. Whatever
happened: once it is over, each job has kept its promise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import fakeredis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inkmill import names, producer
from inkmill.backends.queue import Queue
from inkmill.backends.store import MemoryStore, Store, exists
from inkmill.codes import Code, Status
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.identity import resolve
from inkmill.lifecycle.invariants import judge
from inkmill.producer import Connection
from inkmill.records import rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.messages import Message
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.chunk import run
from inkmill.worker.chunk.context import Context
from inkmill.worker.link import ChunkResult, Task
from tests.fakes import VERSION, FakeCluster, FakeQueue, png

JOBS = ("ant", "bee", "cat")
_PER_CHUNK = 2


class Killed(BaseException):
    """The process is no more: nothing may catch this."""


class MortalStore(MemoryStore):
    """Kills the one who uses it, at a request that was chosen before."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    def _step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def get(self, key: str) -> Any:
        self._step()
        return super().get(key)

    def put(self, key: str, data: bytes, **options: Any) -> str:
        self._step()
        etag = super().put(key, data, **options)
        self._step()
        return etag

    def delete(self, keys: Any) -> None:
        for key in list(keys):  # a delete of many may be done in part
            self._step()
            super().delete([key])

    def delete_if_match(self, key: str, etag: str) -> None:
        self._step()
        super().delete_if_match(key, etag)
        self._step()


def right_digit(item: Item) -> str:
    """What the stand-in for an engine reads."""
    return str(sum(item.data) % 10)


class StandInEngines:
    """Reads by arithmetic; dies of items that are poison; lets something happen meanwhile."""

    def __init__(self, poison: set[bytes]) -> None:
        self.poison = poison
        self.meanwhile: Callable[[], None] | None = None

    def read(self, task: Task, files: object) -> ChunkResult:
        return self._read(task, range(task.count))

    def read_one_by_one(
        self, task: Task, files: object, before: Callable[[int], None]
    ) -> ChunkResult:
        for position in range(task.count):
            before(position)
            self._read(task, [position])
        return self._read(task, range(task.count))

    def _read(self, task: Task, positions: Any) -> ChunkResult:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            happening()
        items = Chunk.decode(task.data).items
        made = [self._row(items[position], task.verdicts.get(position)) for position in positions]
        counts = rows.count(made)
        return ChunkResult(rows.encode(made), counts.rows, counts.statuses, counts.codes, {})

    def _row(self, item: Item, verdict: tuple[Code, str] | None) -> Row:
        row = Row(item.item, item.source, item.page, sha256=item.sha256)
        if verdict is not None:
            return row.failed(*verdict)
        if item.data in self.poison:
            raise Killed
        return Row(item.item, item.source, item.page, digit=right_digit(item), confidence=1.0)


class StandInModels:
    """One version, always there."""

    def version_for(self, job: object) -> str:
        return VERSION

    def strips_version_for(self, job: object) -> str:
        return ""

    def ensure(self, name: str, version: str) -> None:
        return None


def worker_of(
    settings: Settings, store: Store, queue: Queue, engines: StandInEngines | None = None
) -> Context:
    """The product's worker, with stand-ins for engines and models."""
    pool: Any = engines if engines is not None else StandInEngines(set())
    context = Context.of(settings, store, queue, pool)
    return replace(context, models=cast(Any, StandInModels()))


class Delivery(RuleBasedStateMachine):
    """The machine; ``truth`` is the model: job -> what its user asked for last."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MortalStore()
        settings = Settings(window=3, reconcile_interval=0.001)
        self.queue = FakeQueue(settings, fakeredis.FakeStrictRedis())
        self.connection = Connection(settings, self.store, self.queue)
        FakeCluster.publish(cast(FakeCluster, self), VERSION)
        self.engines = StandInEngines(set())
        # Two workers: what one of them holds never waits for what the other does.
        self.context, self.other = (
            worker_of(settings, self.store, self.queue, self.engines) for _ in range(2)
        )
        self.folder = tempfile.TemporaryDirectory()
        self.truth: dict[str, str] = {}
        #: Every id that a job ever had -> its label.
        self.ids: dict[str, str] = {}
        self.images: dict[str, Path] = {}
        self.unacked: list[Message] = []
        self.made = 0

    def teardown(self) -> None:
        try:
            self._calm_down()
            for job in self.truth:
                self._judge(job)
            self._nothing_is_left()
        finally:
            self.folder.cleanup()

    # --- what users do ---------------------------------------------------------------------

    @rule(job=st.sampled_from(JOBS), count=st.integers(1, 9), poisonous=st.booleans())
    def submit(self, job: str, count: int, poisonous: bool) -> None:
        if self.truth.get(job, "deleted") != "deleted":
            return
        self.made += 1
        folder = Path(self.folder.name) / f"{job}-{self.made}"
        folder.mkdir()
        for number in range(count):
            data = png(self.made * 100 + number)
            (folder / f"{number}.png").write_bytes(data)
            if poisonous and number == count // 2:
                self.engines.poison.add(data)
        self.truth[job], self.images[job] = "submitting", folder
        self._submit(job)
        self.truth[job] = "running"

    def _submit(self, job: str) -> None:
        producer.submit(
            self.images[job], name=job, chunk_size=_PER_CHUNK, connection=self.connection
        )
        self.ids[resolve(self.store, job)] = job

    @rule(job=st.sampled_from(JOBS))
    def submit_again(self, job: str) -> None:
        if self.truth.get(job) == "running":
            self._submit(job)

    @rule(job=st.sampled_from(JOBS))
    def cancel(self, job: str) -> None:
        if self.truth.get(job) == "running":
            producer.cancel(job, connection=self.connection)
            self.truth[job] = "cancelled"

    @rule(job=st.sampled_from(JOBS))
    def delete(self, job: str) -> None:
        if self.truth.get(job, "deleted") != "deleted":
            producer.delete(job, connection=self.connection)
            self.truth[job] = "deleted"

    @rule(job=st.sampled_from(JOBS))
    def resume(self, job: str) -> None:
        if self.truth.get(job) == "running":
            producer.resume(job, connection=self.connection)

    # --- what workers do -------------------------------------------------------------------

    @rule()
    def read(self) -> None:
        if (message := self.queue.take()) is not None:
            self._run(message)

    @rule(requests=st.integers(0, 14))
    def read_and_die(self, requests: int) -> None:
        """Killed at some request to the store, or while it reads a poisonous image."""
        if (message := self.queue.take()) is not None:
            self._run(message, requests)

    @rule(what=st.sampled_from(["cancel", "delete", "again", "other", "flush", "sweep"]))
    def read_while_something_happens(self, what: str) -> None:
        """A late writer: between the look for a result and its own write, much may happen."""
        message = self.queue.take()
        if message is None:
            return

        job = self.ids[message.job]

        def happen() -> None:
            if what in ("cancel", "delete"):
                getattr(self, what)(job)
            elif what == "again":
                self.delete(job)
                self.submit(job, 3, False)
            elif what == "other":
                self._run(message, context=self.other)
            elif what == "flush":
                self.queue.client.flushall()
            else:
                self.sweep()

        self.engines.meanwhile = happen
        self._run(message)
        self.engines.meanwhile = None

    def _run(
        self, message: Message, requests: int | None = None, context: Context | None = None
    ) -> None:
        self.store.left = requests
        try:
            run.run(context or self.context, message)
        except Killed:
            self.unacked.append(message)
        finally:
            self.store.left = None

    # --- what befalls Redis ----------------------------------------------------------------

    @rule()
    def lose_a_message(self) -> None:
        for queue in names.queues("normal"):
            self.queue.client.rpop(queue)

    @rule()
    def double_a_message(self) -> None:
        for queue in names.queues("normal"):
            if (entry := self.queue.client.lindex(queue, 0)) is not None:
                self.queue.client.lpush(queue, cast(bytes, entry))

    @rule()
    def flush(self) -> None:
        self.queue.client.flushall()

    @rule()
    def deliver_again(self) -> None:
        if not self.unacked:
            return
        message = self.unacked.pop(0)
        self.queue.send(message.job, message.chunk, "normal")

    @rule()
    def sweep(self) -> None:
        reconcile.sweep(self.store, self.queue, -1.0, force=True)

    # --- what must be true -----------------------------------------------------------------

    @invariant()
    def no_row_is_wrong(self) -> None:
        """At any time: a result holds its chunk's items, each read right or in error."""
        for job, wish in self.truth.items():
            if wish in ("running", "cancelled"):
                current = resolve(self.store, job)
                for entry in self.store.list(names.results(current)):
                    self._right_rows(current, names.number_of(entry.key))

    def _right_rows(self, job: str, number: int) -> None:
        items = Chunk.decode(self.store.get(names.chunk(job, number)).data).items
        read = rows.decode(self.store.get(names.result(job, number)).data)
        assert [(row.item, row.source) for row in read] == [
            (item.item, item.source) for item in items
        ]
        for row, item in zip(read, items, strict=True):
            if row.status is Status.ERROR:
                assert self._may_fail(job, row, item), row
            else:
                assert row.digit == right_digit(item)

    def _may_fail(self, job: str, row: Row, item: Item) -> bool:
        if row.code is Code.CANCELLED:
            return exists(self.store, names.cancel_marker(job))
        # A kill while an item is in hand may cost an innocent one its reading, but only in a
        # chunk that took down one worker after the other before.
        return row.code is Code.QUARANTINED and self._was_suspected(job, row.item)

    def _was_suspected(self, job: str, item: int) -> bool:
        return exists(self.store, names.suspect(job, item // _PER_CHUNK))

    def _calm_down(self) -> None:
        """No more faults: what is left is carried on until nothing happens any more."""
        for _ in range(40):
            while self.unacked:
                self.deliver_again()
            self.sweep()
            while (message := self.queue.take()) is not None:
                self._run(message)
            if not self.unacked and not list(self.store.list(names.OPEN)):
                return
        raise AssertionError(f"still open: {list(self.store.list(names.OPEN))}")

    def _nothing_is_left(self) -> None:
        """Of a job that was deleted, whatever happened to its name since."""
        for identity, label in self.ids.items():
            if self.truth[label] == "deleted":
                assert not exists(self.store, names.name_pointer(label))
            elif resolve(self.store, label) == identity:
                continue
            left = [entry.key for entry in self.store.list(names.job_root(identity))]
            assert (left, self.queue.hints(identity)) == ([], [])

    def _judge(self, job: str) -> None:
        if self.truth[job] == "deleted":
            return
        verdict = judge(self.store, self.queue, job)
        assert verdict.problems == ()
        count = len(list(self.images[job].iterdir()))
        assert len(verdict.rows) == count
