"""Storing chunks, several at a time; each is sent as soon as it is stored."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from types import TracebackType

from inkmill import names
from inkmill.errors import PreconditionFailed, Unreachable
from inkmill.lifecycle import reconcile
from inkmill.producer.connection import Connection
from inkmill.producer.inputs.unchanged import Known
from inkmill.records.chunks import DIGEST, FIRST, ITEMS, Chunk
from inkmill.records.jobs import Job

_THREADS = 6
#: Bytes of images in memory during their upload; a larger chunk is uploaded alone.
_IN_FLIGHT_BYTES = 32 * 2**20
#: Encoding needs several times a chunk's size: larger ones are encoded one at a time.
_LARGE_BYTES = 2**20
#: Small chunks uploading or waiting: enough to keep the threads busy.
_IN_FLIGHT_CHUNKS = 2 * _THREADS


def about(chunk: Chunk, digest: str) -> dict[str, str]:
    """Metadata of a chunk, which can be read without it."""
    return {DIGEST: digest, FIRST: str(chunk.items[0].item), ITEMS: str(len(chunk.items))}


class Differs(Exception):
    """The store has this chunk with other content. Becomes JobMismatch."""

    def __init__(self, chunk: Chunk) -> None:
        super().__init__(f"chunk {chunk.number}")
        self.chunk = chunk


class Upload:
    """A context in which a job's chunks are uploaded in parallel and offered to the queue.

    ``there`` are the chunks that the store has already. They are compared by digest, and no other
    chunk is uploaded before all of them were found equal, so that a submit of other images under
    the same name leaves nothing in the job. Chunks missing between them wait in memory meanwhile:
    no more than were uploading when an earlier submit was killed. If Redis does not answer, the
    upload continues, since the store is the truth; ``unsent`` then is the error.
    """

    def __init__(
        self, connection: Connection, job: str, priority: str, there: frozenset[int] = frozenset()
    ) -> None:
        self._connection = connection
        self._job = job
        self._priority = priority
        self._there = there
        self._last_there = max(there, default=-1)
        self._aside: list[Chunk] = []
        self._seen = -1
        self._digests: dict[int, str] = {}
        self._hints: dict[int, Mapping[str, str]] = {}
        self._free = threading.Condition()
        self._chunks = self._bytes = 0
        self._failed: dict[int, BaseException] = {}
        self._encoding = threading.Lock()
        self._sending = threading.Lock()
        self.unsent: Unreachable | None = None

    def __enter__(self) -> Upload:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inkmill-upload")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def known(self, chunk: Known) -> None:
        """The next chunk is stored, and its files are as they were then."""
        self._digests[chunk.number] = chunk.digest
        self._seen = chunk.number

    def add(self, chunk: Chunk, hints: Mapping[str, str]) -> None:
        """Upload a chunk, now or soon; waits while enough others are uploading.

        ``hints`` are metadata besides `about`. Raises the error of an earlier one: Differs,
        Unreachable, StoreDenied.
        """
        self._hints[chunk.number] = hints
        if chunk.number in self._there:
            self._start(chunk)
        elif chunk.number < self._last_there and self._has_room(chunk):
            self._aside.append(chunk)
        else:
            if self._aside or chunk.number == self._last_there + 1:
                self._fill_in()
            self._start(chunk)
        self._seen = chunk.number

    def _has_room(self, chunk: Chunk) -> bool:
        """Whether one more chunk may wait: if chunks were deleted, many may be missing."""
        waiting = sum(len(item.data) for each in self._aside for item in each.items)
        size = sum(len(item.data) for item in chunk.items)
        few = len(self._aside) < _IN_FLIGHT_CHUNKS
        return not self._aside or (few and waiting + size <= _IN_FLIGHT_BYTES)

    def _fill_in(self) -> None:
        """All chunks that were there so far are equal: upload those missing between them."""
        self._wait()
        while self._aside:
            self._start(self._aside.pop(0))

    def _start(self, chunk: Chunk) -> None:
        size = sum(len(item.data) for item in chunk.items)
        with self._free:
            while not self._failed and (
                self._chunks >= _IN_FLIGHT_CHUNKS
                or (self._chunks and self._bytes + size > _IN_FLIGHT_BYTES)
            ):
                self._free.wait()
            self._raise()
            self._chunks += 1
            self._bytes += size
        # In a list that `_run` empties; otherwise the pool would keep the images until the end.
        self._pool.submit(self._run, [chunk], size)

    def finish(self) -> list[str]:
        """Wait for all chunks; returns their digests in order.

        If the last chunk that was there has not been added, the missing ones are not uploaded.
        """
        if self._seen >= self._last_there:
            self._fill_in()
        self._wait()
        return [self._digests[number] for number in sorted(self._digests)]

    def _wait(self) -> None:
        with self._free:
            while self._chunks and not self._failed:
                self._free.wait()
            self._raise()

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[min(self._failed)]

    def _run(self, box: list[Chunk], size: int) -> None:
        chunk = box.pop()
        number = chunk.number
        failure: BaseException | None = None
        try:
            self._digests[number] = digest = chunk.digest
            if number in self._there:
                self._compare(chunk, digest)
            else:
                with self._encoding if size > _LARGE_BYTES else nullcontext():
                    data = chunk.encode()
                chunk = _without_images(chunk) if size > _LARGE_BYTES else chunk
                self._write(chunk, data, digest)
                self._send(number)
        except BaseException as error:
            failure = error
        with self._free:
            del self._hints[number]
            if failure is not None:
                self._failed[number] = failure
            self._chunks -= 1
            self._bytes -= size
            self._free.notify_all()

    def _compare(self, chunk: Chunk, digest: str) -> None:
        """Raises Differs unless the chunk in the store has this digest."""
        found = self._connection.store.head(names.chunk(self._job, chunk.number)) or {}
        if found.get(DIGEST) != digest:
            raise Differs(chunk)

    def _write(self, chunk: Chunk, data: bytes, digest: str) -> None:
        key = names.chunk(self._job, chunk.number)
        metadata = {**about(chunk, digest), **self._hints[chunk.number]}
        try:
            self._connection.store.put(key, data, if_none_match=True, metadata=metadata)
        except PreconditionFailed:
            # The same submit runs twice, or an answer was lost and the request repeated.
            self._compare(chunk, digest)

    def _send(self, number: int) -> None:
        with self._sending:
            if self.unsent is not None:
                return
            try:
                self._connection.queue.offer(self._job, [number])
                self._connection.queue.feed(self._job, self._priority)
            except Unreachable as error:
                self.unsent = error


def _without_images(chunk: Chunk) -> Chunk:
    """The chunk without images, to compare it: they are encoded already."""
    return replace(chunk, items=tuple(replace(item, data=b"") for item in chunk.items))


def send(connection: Connection, record: Job) -> None:
    """Offer all chunks without a result and feed the window; finish the job if there are none."""
    state = reconcile.standing(connection.store, record)
    if state.finished:
        reconcile.finish(connection.store, connection.queue, record)
        return
    flight = connection.queue.in_flight(record.job)
    unsent = (each for each in state.missing if each not in flight)
    connection.queue.offer(record.job, unsent)
    connection.queue.feed(record.job, record.options.priority)
