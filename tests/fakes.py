"""A cluster without servers: the in-memory store, Redis by fakeredis (with Lua), a quick worker."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from typing import Any, cast

import fakeredis
from PIL import Image

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import MemoryStore, Store, exists
from inkmill.codes import Status
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.identity import Name, resolve
from inkmill.lifecycle.lookup import read_record
from inkmill.producer import Connection
from inkmill.records import rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.records.pointer import Pointer
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.patience import Patience, PatientStore

VERSION = "ab" * 32


class FakeQueue(Queue):
    """The real queue over fakeredis; only Celery's way of sending is replaced."""

    def _send(self, message: Message, queue: str) -> None:
        self.client.lpush(queue, self._signer.sign(message).entry(queue, "tag"))

    def take(self) -> Message | None:
        """The next message, by priority, or None."""
        for queue in chain.from_iterable(map(names.queues, names.PRIORITIES)):
            if (entry := self.client.rpop(queue)) is not None:
                return Message.in_entry(cast(bytes, entry))
        return None


class FakeCluster:
    """A connection to fakes, and a worker that gives every item a row without looking at it."""

    def __init__(self, store: Store | None = None, **settings: object) -> None:
        self.settings = Settings(reconcile_interval=0.05, **settings)
        self.store: Store = store if store is not None else MemoryStore()
        self.queue = FakeQueue(self.settings, fakeredis.FakeStrictRedis())
        self.connection = Connection(self.settings, self.store, self.queue)
        self.worked: list[tuple[str, int]] = []
        self.publish(VERSION)

    def publish(self, version: str) -> None:
        self.store.put(names.model_pointer("digits"), Pointer(version).encode())

    def id(self, label: str) -> str:
        """The id of the job that a label refers to; an id is its own."""
        return label if exists(self.store, names.job_record(label)) else resolve(self.store, label)

    def keep(self, record: Job) -> None:
        """Write the record of a job that no submit made; its id can be used as its label."""
        self.store.put(names.job_record(record.job), record.encode())
        self.store.put(names.name_pointer(record.job), Name(record.job, {1: record.job}).encode())

    def work(self, limit: int | None = None) -> int:
        """Read chunks until no message is left, or ``limit`` are read; returns how many."""
        count = 0
        while (limit is None or count < limit) and (message := self.queue.take()) is not None:
            self.read(message)
            count += 1
        return count

    def read(self, message: Message) -> None:
        result = names.result(message.job, message.chunk)
        if exists(self.store, result) or not exists(self.store, names.job_record(message.job)):
            return
        chunk = Chunk.decode(self.store.get(names.chunk(message.job, message.chunk)).data)
        self.worked.append((message.job, message.chunk))
        outcome = [
            Row(
                item.item,
                item.source,
                item.page,
                Status.ERROR if item.code else Status.OK,
                item.code,
                item.message,
                digit="" if item.code else "7",
                confidence=None if item.code else 0.98765,
                model=VERSION,
                precision="float32",
                sha256=item.sha256,
            )
            for item in chunk.items
        ]
        counts = rows.count(outcome)
        self.store.put(result, rows.encode(outcome), if_none_match=True)
        self.queue.record(message.job, message.chunk, counts.rows, counts.statuses, counts.codes)
        self.queue.complete(message.job, message.chunk)
        record = read_record(self.store, message.job)
        if reconcile.standing(self.store, record).finished:
            reconcile.finish(self.store, self.queue, record)
        else:
            self.queue.feed(message.job, record.options.priority)


def patient(store: Store) -> PatientStore:
    """The store as a worker uses it: with waits while it is away."""
    return PatientStore(store, Patience(threading.Event()))


def stored_items(cluster: FakeCluster, job: str) -> list[Item]:
    """A job's items as they lie in the store, in order."""
    return [
        item
        for entry in cluster.store.list(names.chunks(cluster.id(job)))
        for item in Chunk.decode(cluster.store.get(entry.key).data).items
    ]


def sources(cluster: FakeCluster, job: str) -> list[str]:
    """What a job's items are called."""
    return [item.source for item in stored_items(cluster, job)]


def png(seed: int) -> bytes:
    """A small PNG that differs with its seed."""
    buffer = BytesIO()
    image = Image.new("L", (28, 28))
    image.putpixel((seed % 28, seed // 28 % 28), 255)
    image.putpixel((27, 27), seed // 784 % 256)
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tiff(pages: int) -> bytes:
    """A TIFF of so many small pages."""
    buffer = BytesIO()
    images = [Image.new("L", (40, 40), page) for page in range(pages)]
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it and go on."""


class DyingStore(MemoryStore):
    """A store whose owner is killed at the n-th change (put or delete) from ``arm(n)`` on."""

    def __init__(self) -> None:
        super().__init__()
        self._left: int | None = None

    def arm(self, left: int | None) -> None:
        self._left = left

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        self._count_down()
        return super().put(key, data, **conditions)

    def delete(self, keys: Iterable[str]) -> None:
        self._count_down()
        super().delete(keys)

    def delete_if_match(self, key: str, etag: str) -> None:
        self._count_down()
        super().delete_if_match(key, etag)

    def _count_down(self) -> None:
        if self._left is None:
            return
        if self._left == 0:
            raise Killed
        self._left -= 1
