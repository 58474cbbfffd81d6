"""What happens to one chunk: from the message to its rows in the store.

``run`` is the worker's table of contents. It may be called any number of times for the same
chunk, by several workers at once: the first result written counts, the others are dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from inkmill import belonging, names, reconcile, retention
from inkmill.codes import Code
from inkmill.errors import (
    Corrupt,
    InkmillError,
    ItemError,
    ModelError,
    Newer,
    NotFound,
    StoreDenied,
    Unreachable,
)
from inkmill.jobs import Chunk, ChunkTable, Item, Job, Message
from inkmill.store import exists
from inkmill.summary import Summary, has_one_chunk
from inkmill.worker import damage, suspect
from inkmill.worker.engines import Stopped
from inkmill.worker.mill import Mill, patiently
from inkmill.worker.task import Files, Reading, Task

log = logging.getLogger(__name__)

#: A chunk object that is not there is looked for on so many attempts before it is given up.
_LOOKS = 3


def run(mill: Mill, message: Message) -> None:
    """Read one chunk and write its rows. Returns when the message may be acknowledged.

    Raises Stopped when the worker leaves first: the message then goes back to the queue.
    """
    context = {"job": message.job, "chunk": message.chunk}
    attempt = 0
    try:
        job = patiently(mill, lambda: mill.jobs.get(message.job))
        attempt = patiently(mill, lambda: begin(mill, message))
        # A small job's first attempt finds none; where Redis forgot an earlier one, the write
        # is refused and what was read is dropped.
        if (attempt > 1 or not has_one_chunk(job)) and has_result(mill, job, message):
            settle(mill, job, message)
            return
        version, reading = work(mill, job, message, attempt)
        if write(mill, job, message, reading):
            end(mill, job)
        else:
            settle(mill, job, message)
        log.info("chunk read", extra={**context, "model": version, **_figures(reading)})
    except NotFound as error:
        log.warning("dropped: %s", error, extra=context)
        mill.jobs.forget(message.job)
        forget(mill, message)
    except (ModelError, Newer) as error:
        hand_back(mill, message, attempt)
        # The reconciler sends the chunk again later; meanwhile others go first.
        log.error("put off: %s", error, extra=context)
    except Corrupt as error:
        log.error("put off: %s", error, extra=context)
    except Stopped:
        hand_back(mill, message, attempt)
        raise


def work(mill: Mill, job: Job, message: Message, attempt: int) -> tuple[str, Reading]:
    """The model version and the rows; of a chunk damaged beyond reading, rows that say so."""
    try:
        data, verdicts = fetch(mill, job, message, attempt)
        task = prepare(mill, job, message, data, verdicts)
        return task.version, read(mill, job, message, task, attempt)
    except damage.Lost as lost:
        log.error("lost: %s", lost, extra={"job": message.job, "chunk": message.chunk})
        return "", damage.rows_of(lost)


def has_result(mill: Mill, job: Job, message: Message) -> bool:
    """Whether somebody wrote this chunk's rows already."""
    return patiently(mill, lambda: belonging.has_rows(mill.store, job, message.chunk))


def begin(mill: Mill, message: Message) -> int:
    """Count this attempt; returns which one it is, from 1."""
    tries = mill.queue.begin(message.job, message.chunk)
    return tries if tries < 2 else suspect.count(mill.store, message, tries, mill.name)


def hand_back(mill: Mill, message: Message, attempt: int) -> None:
    """This attempt, if it was begun, ended through no fault of the chunk: it does not count."""
    if not attempt:
        return
    try:
        mill.queue.give_back(message.job, message.chunk)
        suspect.uncount(mill.store, message, attempt)
    except (Unreachable, StoreDenied) as error:
        log.debug("attempt still counts: %s", error)


def forget(mill: Mill, message: Message) -> None:
    """There is no such job (any more), or no such chunk in it: leave nothing of it in Redis."""
    try:
        mill.queue.settle(message.job, message.chunk)
        if not exists(mill.store, names.job_record(message.job)):
            mill.queue.forget(message.job)
    except (Unreachable, StoreDenied) as error:
        log.debug("hints of a job that is gone stay until they expire: %s", error)


def read(mill: Mill, job: Job, message: Message, task: Task, attempt: int) -> Reading:
    """The chunk's rows; of a suspected chunk item by item, so that the guilty one is found."""

    def files() -> Files:
        return patiently(mill, lambda: mill.models.files(job.options.model, task.version))

    if not suspect.is_suspected(attempt):
        with mill.solitude.shared():
            return mill.engines.read(task, files)
    log.warning("attempt %d at chunk %d: it is suspected", attempt, message.chunk)
    with mill.solitude.alone():
        return interrogate(mill, message, task, files)


def interrogate(mill: Mill, message: Message, task: Task, files: Callable[[], Files]) -> Reading:
    """Read a suspected chunk item by item; the store is told which one is in hand."""
    witness = patiently(mill, lambda: suspect.Interrogation(mill.store, message, task.count))
    task = replace(task, verdicts={**task.verdicts, **witness.verdicts})

    def before(position: int) -> None:
        if position not in task.verdicts:
            patiently(mill, lambda: witness.before(position))

    try:
        reading = mill.engines.read_one_by_one(task, files, before)
    except InkmillError:  # it is no death, and the next attempt must not take it for one
        witness.excuse()
        raise
    patiently(mill, witness.over)
    return reading


def fetch(mill: Mill, job: Job, message: Message, attempt: int) -> tuple[bytes, suspect.Verdicts]:
    """The chunk object's bytes, and a verdict on each image in them that is damaged.

    Raises Lost where nothing of it can be read, Corrupt where it is to be looked for again, and
    NotFound where there is no such job or chunk.
    """
    key = names.chunk(message.job, message.chunk)
    try:
        return patiently(mill, lambda: mill.store.get(key)).data, {}
    except Corrupt as error:
        log.error("damaged: %s", error, extra={"job": message.job, "chunk": message.chunk})
        damaged = error
    except NotFound:
        if message.chunk >= job.chunks or not is_wanted(mill, job):
            raise
        if attempt < _LOOKS:
            raise Corrupt(f"the object {key} is not in the store: it is looked for again") from None
        raise patiently(mill, lambda: damage.gone(mill.store, job, message.chunk)) from None
    return patiently(mill, lambda: damage.salvage(mill.store, message, damaged))


def prepare(mill: Mill, job: Job, message: Message, data: bytes, damaged: suspect.Verdicts) -> Task:
    """Everything that the engine needs, since it can fetch nothing itself."""
    try:
        table = ChunkTable.decode(data)
    except Newer:
        raise
    except Corrupt as error:
        broken = error
        patiently(mill, lambda: damage.salvage(mill.store, message, broken))
        raise
    version = patiently(mill, lambda: mill.models.version_for(job))
    patiently(mill, lambda: mill.models.ensure(job.options.model, version))
    blobs, verdicts = load_images(mill, job, table.chunk()) if table.has_keys else ({}, {})
    return Task(
        *(message.job, message.chunk, data, len(table), version),
        form=job.form,
        precision=job.options.precision,
        blobs=blobs,
        verdicts={**verdicts, **damaged},
        single=has_one_chunk(job),
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


def is_wanted(mill: Mill, job: Job) -> bool:
    """Whether the job is still there."""
    return patiently(mill, lambda: belonging.is_wanted(mill.store, job))


def write(mill: Mill, job: Job, message: Message, reading: Reading) -> bool:
    """Write the rows, unless somebody was first; returns whether that finished the job.

    Raises NotFound if the job was deleted. A delete removes the record first and then what it
    finds. So rows that are written before the record is looked at are removed by the one or by
    the other, and none is left behind.
    """
    evidence = {names.picture(job.job, item): data for item, data in reading.pictures.items()}
    if reading.given_up:
        key, data = suspect.evidence(message, reading.given_up)
        evidence[key] = data
    for key, data in evidence.items():
        patiently(mill, lambda key=key, data=data: mill.store.put(key, data))  # type: ignore[misc]
    only = has_one_chunk(job)
    told = _summary(job, reading).as_metadata() if only else {}
    if not patiently(
        mill, lambda: belonging.put_first(mill.store, job, message.chunk, reading.data, told)
    ):
        log.info("another worker was first", extra={"job": message.job, "chunk": message.chunk})
        return False
    if not is_wanted(mill, job):
        patiently(mill, lambda: take_away(mill, job, message.chunk, evidence))
        raise NotFound(f"job {message.job} was deleted while its chunk {message.chunk} was read")
    if not only:
        patiently(mill, lambda: _record(mill, message, reading))
    return only


def take_away(mill: Mill, job: Job, number: int, evidence: Iterable[str]) -> None:
    """The job was deleted: nothing of it may stay; what a new one of its name wrote, may."""
    key = names.result(job.job, number)
    there = mill.store.head(key)
    if there is not None and not belonging.is_anothers(job, there):
        mill.store.delete([key, *evidence])


def _summary(job: Job, reading: Reading) -> Summary:
    """How a job of one chunk ends."""
    counts = dict(reading.statuses), dict(reading.codes)
    return Summary(job.job, time.time(), 1, reading.rows, *counts)


def _record(mill: Mill, message: Message, reading: Reading) -> None:
    counts = reading.rows, reading.statuses, reading.codes
    mill.queue.record(message.job, message.chunk, *counts)


def end(mill: Mill, job: Job) -> None:
    """A job of one chunk is finished by its rows: who waits is told, the marker goes soon."""
    patiently(mill, lambda: mill.queue.end(job.job))
    if job.retention_days:
        patiently(mill, lambda: retention.schedule(mill.store, job, time.time()))
    mill.markers.drop(job.job)


def settle(mill: Mill, job: Job, message: Message) -> None:
    """The chunk is done: let the next ones in, and finish the job after its last one.

    Raises NotFound if the job was deleted.
    """

    def step() -> None:
        mill.queue.settle(job.job, message.chunk)
        sent = mill.queue.feed(job.job, job.options.priority)
        if sent or mill.queue.busy(job.job):
            return
        record = reconcile.load_job(mill.store, job.job)
        if record.created != job.created:
            raise NotFound(f"job {job.job} was deleted, and its name was taken anew")
        if record.sealed and reconcile.standing(mill.store, record).finished:
            reconcile.finish(mill.store, mill.queue, record)

    patiently(mill, step)


def _figures(reading: Reading) -> dict[str, object]:
    seconds = round(reading.seconds, 3)
    return {"rows": reading.rows, "crops": reading.crops, "seconds": seconds}
