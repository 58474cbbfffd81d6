"""What happens to one chunk: from the message to its rows in the store.

``run`` is the worker's table of contents. It may be called any number of times for the same
chunk, by several workers at once: the first result written counts, the others are dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from inkmill import names, reconcile, rows
from inkmill.codes import Code, Status
from inkmill.errors import (
    Corrupt,
    ItemError,
    ModelError,
    NotFound,
    PreconditionFailed,
    StoreDenied,
    Unreachable,
)
from inkmill.jobs import Chunk, ChunkTable, Item, Job, Message
from inkmill.queue import Queue
from inkmill.rows import Row
from inkmill.settings import Settings
from inkmill.store import Store, exists
from inkmill.worker import suspect
from inkmill.worker.engines import Engines, Files, Reading, Stopped, Task
from inkmill.worker.images import Images
from inkmill.worker.live import LiveModels

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Pauses while the store or Redis is away: from the first, doubling, to the longest (seconds).
_PAUSE = (0.5, 15.0)
#: A damaged chunk object is read again this often: the damage may have been on the way.
_READ_AGAIN = 3


@dataclass(frozen=True)
class Mill:
    """What a worker works with: the store, the queue, the engines and their models."""

    settings: Settings
    store: Store
    queue: Queue
    engines: Engines
    models: LiveModels
    images: Images
    name: str = "worker"
    stopping: threading.Event = field(default_factory=threading.Event)


def run(mill: Mill, message: Message) -> None:
    """Read one chunk and write its rows. Returns when the message may be acknowledged.

    Raises Stopped when the worker leaves first: the message then goes back to the queue.
    """
    context = {"job": message.job, "chunk": message.chunk}
    try:
        job = patiently(mill, lambda: reconcile.load_job(mill.store, message.job))
        if has_result(mill, message):
            settle(mill, job, message)
            return
        attempt = patiently(mill, lambda: begin(mill, message))
        data = patiently(mill, lambda: fetch(mill, message))
        task = prepare(mill, job, message, data)
        reading = read(mill, job, message, task, attempt)
        write(mill, message, reading)
        settle(mill, job, message)
        log.info("chunk read", extra={**context, **_figures(task, reading)})
    except NotFound as error:
        log.warning("dropped: %s", error, extra=context)
    except Corrupt as error:
        log.error("the chunk cannot be read: %s", error, extra=context)
        give_up(mill, message, error)
    except Stopped:
        hand_back(mill, message)
        raise
    except ModelError as error:
        hand_back(mill, message)
        # The reconciler sends the chunk again later; meanwhile others go first.
        log.error("put off: %s", error, extra=context)


def patiently(mill: Mill, step: Callable[[], T]) -> T:
    """Do a step that needs the store or Redis, and wait while they are away.

    The message stays ours meanwhile: an outage costs time and counts against no chunk.
    """
    pause = _PAUSE[0]
    while True:
        if mill.stopping.is_set():
            raise Stopped("the worker is leaving")
        try:
            return step()
        except (Unreachable, StoreDenied) as error:
            log.warning("%s; next try in %.1f s", error, pause)
            mill.stopping.wait(pause)
            pause = min(2 * pause, _PAUSE[1])


def has_result(mill: Mill, message: Message) -> bool:
    """Whether somebody wrote this chunk's rows already."""
    key = names.result(message.job, message.chunk)
    return patiently(mill, lambda: exists(mill.store, key))


def begin(mill: Mill, message: Message) -> int:
    """Count this attempt; returns which one it is, from 1."""
    tries = mill.queue.begin(message.job, message.chunk)
    return suspect.count(mill.store, message, tries, mill.name)


def hand_back(mill: Mill, message: Message) -> None:
    """This attempt ended through no fault of the chunk: it does not count."""
    try:
        mill.queue.give_back(message.job, message.chunk)
    except Unreachable as error:
        log.debug("attempt still counts: %s", error)


def read(mill: Mill, job: Job, message: Message, task: Task, attempt: int) -> Reading:
    """The chunk's rows; of a suspected chunk item by item, so that the guilty one is found."""

    def files() -> Files:
        return patiently(mill, lambda: mill.models.files(job.options.model, task.version))

    if not suspect.is_suspected(attempt):
        return mill.engines.read(task, files)
    log.warning("attempt %d at chunk %d: it is suspected", attempt, message.chunk)
    witness = patiently(mill, lambda: suspect.Interrogation(mill.store, message, task.count))
    task = replace(task, verdicts={**task.verdicts, **witness.verdicts})

    def before(position: int) -> None:
        if position not in task.verdicts:
            patiently(mill, lambda: witness.before(position))

    reading = mill.engines.read_one_by_one(task, files, before)
    patiently(mill, witness.over)
    return reading


def fetch(mill: Mill, message: Message) -> bytes:
    """The chunk object's bytes, their checksum verified. Raises NotFound or Corrupt."""
    for attempt in range(_READ_AGAIN):
        try:
            return mill.store.get(names.chunk(message.job, message.chunk)).data
        except Corrupt:
            if attempt == _READ_AGAIN - 1:
                raise
            time.sleep(0.2)
    raise AssertionError("not reached")


def prepare(mill: Mill, job: Job, message: Message, data: bytes) -> Task:
    """Everything that the engine needs, since it can fetch nothing itself."""
    table = ChunkTable.decode(data)
    version = patiently(mill, lambda: mill.models.version_for(job))
    patiently(mill, lambda: mill.models.ensure(job.options.model, version))
    blobs, verdicts = load_images(mill, job, table.chunk()) if table.has_keys else ({}, {})
    return Task(
        *(message.job, message.chunk, data, len(table), version),
        form=job.form,
        precision=job.options.precision,
        blobs=blobs,
        verdicts=verdicts,
    )


def load_images(
    mill: Mill, job: Job, chunk: Chunk
) -> tuple[Mapping[str, bytes], Mapping[int, tuple[Code, str]]]:
    """Bytes of the images that the chunk only names; and a verdict for each that is not there."""
    keyed = {item.key: item for item in chunk.items if item.key and item.code is None}
    blobs: dict[str, bytes] = {}
    failed: dict[str, tuple[Code, str]] = {}

    def load(item: Item) -> None:
        try:
            blobs[item.key] = patiently(mill, lambda: mill.images.load(job.job, item))
        except ItemError as error:
            failed[item.key] = (error.code, error.message)

    with ThreadPoolExecutor(8, thread_name_prefix="images") as together:
        list(together.map(load, keyed.values()))
    verdicts = {
        position: failed[item.key]
        for position, item in enumerate(chunk.items)
        if item.key in failed
    }
    return blobs, verdicts


def write(mill: Mill, message: Message, reading: Reading) -> None:
    """Write the rows, unless somebody was first; only the first writer counts them."""
    if reading.given_up:
        patiently(mill, lambda: suspect.keep_evidence(mill.store, message, dict(reading.given_up)))
    for item, picture in reading.pictures.items():
        key = names.picture(message.job, item)
        patiently(mill, lambda key=key, picture=picture: mill.store.put(key, picture))  # type: ignore[misc]
    key = names.result(message.job, message.chunk)
    try:
        patiently(mill, lambda: mill.store.put(key, reading.data, if_none_match=True))
    except PreconditionFailed:
        log.info("another worker was first", extra={"job": message.job, "chunk": message.chunk})
        return
    patiently(
        mill,
        lambda: mill.queue.record(
            message.job, message.chunk, reading.rows, reading.statuses, reading.codes
        ),
    )


def settle(mill: Mill, job: Job, message: Message) -> None:
    """The chunk is done: let the next ones in, and finish the job after its last one."""

    def step() -> None:
        mill.queue.settle(job.job, message.chunk)
        sent = mill.queue.feed(job.job, job.options.priority)
        if sent or mill.queue.busy(job.job):
            return
        record = job if job.sealed else reconcile.load_job(mill.store, job.job)
        if record.sealed and reconcile.standing(mill.store, record).finished:
            reconcile.finish(mill.store, mill.queue, record)

    patiently(mill, step)


def give_up(mill: Mill, message: Message, error: Corrupt) -> None:
    """The chunk object itself is damaged: each of its items gets a row that says so.

    How many items it held stands in the object's metadata.
    """
    key = names.chunk(message.job, message.chunk)
    about = patiently(mill, lambda: mill.store.head(key)) or {}
    first, count = int(about.get("first", 0)), int(about.get("items", 0))
    if not count:
        log.error("nobody knows how many items %s held: submit the job again", key)
        return
    lost = [
        Row(number, "", status=Status.ERROR, code=Code.QUARANTINED, message=str(error))
        for number in range(first, first + count)
    ]
    counts = rows.count(lost)
    given_up = {row.item: (str(row.code), row.message) for row in lost}
    reading = Reading(
        rows.encode(lost), counts.rows, counts.statuses, counts.codes, {}, given_up=given_up
    )
    write(mill, message, reading)
    settle(mill, patiently(mill, lambda: reconcile.load_job(mill.store, message.job)), message)


def _figures(task: Task, reading: Reading) -> dict[str, object]:
    return {
        "model": task.version,
        "rows": reading.rows,
        "crops": reading.crops,
        "seconds": round(reading.seconds, 3),
    }
