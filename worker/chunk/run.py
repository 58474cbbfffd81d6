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

from inkmill import names
from inkmill.backends.store import delete_prefix, exists
from inkmill.codes import Code
from inkmill.errors import (
    Corrupt,
    InkmillError,
    ItemError,
    ModelError,
    Newer,
    NotFound,
    PreconditionFailed,
    ShuttingDown,
    StoreDenied,
    Unreachable,
)
from inkmill.lifecycle import reconcile, retention
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.summary import Summary, has_one_chunk
from inkmill.records.jobs import Chunk, ChunkTable, Item, Job, Message
from inkmill.worker.chunk import isolation, salvage
from inkmill.worker.context import Context, patiently
from inkmill.worker.link.task import ChunkResult, ModelPayload, Task

log = logging.getLogger(__name__)

#: A chunk object that is not there is looked for on so many attempts before it is given up.
_LOOKS = 3


def run(context: Context, message: Message) -> None:
    """Read one chunk and write its rows. Returns when the message may be acknowledged.

    Raises ShuttingDown when the worker leaves first: the message then goes back to the queue.
    """
    logged = {"job": message.job, "chunk": message.chunk}
    attempt = 0
    try:
        job = patiently(context, lambda: context.jobs.get(message.job))
        attempt = patiently(context, lambda: begin(context, message))
        # A small job's first attempt finds none; where Redis forgot an earlier one, the write
        # is refused and what was read is dropped.
        if (attempt > 1 or not has_one_chunk(job)) and has_result(context, job, message):
            settle(context, job, message)
            return
        version, reading = work(context, job, message, attempt)
        if write(context, job, message, reading):
            end(context, job)
        else:
            settle(context, job, message)
        log.info("chunk read", extra={**logged, "model": version, **_figures(reading)})
    except NotFound as error:
        log.warning("dropped: %s", error, extra=logged)
        context.jobs.forget(message.job)
        forget(context, message)
    except (ModelError, Newer) as error:
        hand_back(context, message, attempt)
        # The reconciler sends the chunk again later; meanwhile others go first.
        log.error("put off: %s", error, extra=logged)
    except Corrupt as error:
        log.error("put off: %s", error, extra=logged)
    except ShuttingDown:
        hand_back(context, message, attempt)
        raise


def work(context: Context, job: Job, message: Message, attempt: int) -> tuple[str, ChunkResult]:
    """The model version and the rows; of a chunk damaged beyond reading, rows that say so."""
    try:
        data, verdicts = fetch(context, job, message, attempt)
        task = prepare(context, job, message, data, verdicts)
        return task.version, read(context, job, message, task, attempt)
    except salvage.ChunkLost as lost:
        log.error("lost: %s", lost, extra={"job": message.job, "chunk": message.chunk})
        return "", salvage.rows_of(lost)


def has_result(context: Context, job: Job, message: Message) -> bool:
    """Whether somebody wrote this chunk's rows already."""
    return patiently(context, lambda: exists(context.store, names.result(job.job, message.chunk)))


def begin(context: Context, message: Message) -> int:
    """Count this attempt; returns which one it is, from 1."""
    tries = context.queue.begin(message.job, message.chunk)
    return tries if tries < 2 else isolation.count(context.store, message, tries, context.name)


def hand_back(context: Context, message: Message, attempt: int) -> None:
    """This attempt, if it was begun, ended through no fault of the chunk: it does not count."""
    if not attempt:
        return
    try:
        context.queue.give_back(message.job, message.chunk)
        isolation.uncount(context.store, message, attempt)
    except (Unreachable, StoreDenied) as error:
        log.debug("attempt still counts: %s", error)


def forget(context: Context, message: Message) -> None:
    """There is no such job (any more), or no such chunk in it: leave nothing of it in Redis."""
    try:
        context.queue.settle(message.job, message.chunk)
        if not exists(context.store, names.job_record(message.job)):
            # The job was deleted. A worker that was killed right after its write may have left
            # rows below its id, which nobody else will ever use.
            delete_prefix(context.store, names.job_root(message.job))
            context.queue.forget(message.job)
    except (Unreachable, StoreDenied) as error:
        log.debug("hints of a job that is gone stay until they expire: %s", error)


def read(context: Context, job: Job, message: Message, task: Task, attempt: int) -> ChunkResult:
    """The chunk's rows; of a suspected chunk item by item, so that the guilty one is found."""

    def files() -> ModelPayload:
        return patiently(context, lambda: context.models.files(job.options.model, task.version))

    if not isolation.is_suspected(attempt):
        with context.solitude.shared():
            return context.engines.read(task, files)
    log.warning("attempt %d at chunk %d: it is suspected", attempt, message.chunk)
    with context.solitude.alone():
        return interrogate(context, message, task, files)


def interrogate(
    context: Context, message: Message, task: Task, files: Callable[[], ModelPayload]
) -> ChunkResult:
    """Read a suspected chunk item by item; the store is told which one is in hand."""
    witness = patiently(
        context, lambda: isolation.Interrogation(context.store, message, task.count)
    )
    task = replace(task, verdicts={**task.verdicts, **witness.verdicts})

    def before(position: int) -> None:
        if position not in task.verdicts:
            patiently(context, lambda: witness.before(position))

    try:
        reading = context.engines.read_one_by_one(task, files, before)
    except InkmillError:  # it is no death, and the next attempt must not take it for one
        witness.excuse()
        raise
    patiently(context, witness.over)
    return reading


def fetch(
    context: Context, job: Job, message: Message, attempt: int
) -> tuple[bytes, isolation.Verdicts]:
    """The chunk object's bytes, and a verdict on each image in them that is damaged.

    Raises Lost where nothing of it can be read, Corrupt where it is to be looked for again, and
    NotFound where there is no such job or chunk.
    """
    key = names.chunk(message.job, message.chunk)
    try:
        return patiently(context, lambda: context.store.get(key)).data, {}
    except Corrupt as error:
        log.error("damaged: %s", error, extra={"job": message.job, "chunk": message.chunk})
        damaged = error
    except NotFound:
        if message.chunk >= job.chunks or not is_wanted(context, job):
            raise
        if attempt < _LOOKS:
            raise Corrupt(f"the object {key} is not in the store: it is looked for again") from None
        raise salvage.gone(job, message.chunk) from None
    return patiently(context, lambda: salvage.salvage(context.store, message, damaged))


def prepare(
    context: Context, job: Job, message: Message, data: bytes, damaged: isolation.Verdicts
) -> Task:
    """Everything that the engine needs, since it can fetch nothing itself."""
    try:
        table = ChunkTable.decode(data)
    except Newer:
        raise
    except Corrupt as error:
        broken = error
        patiently(context, lambda: salvage.salvage(context.store, message, broken))
        raise
    version = patiently(context, lambda: context.models.version_for(job))
    patiently(context, lambda: context.models.ensure(job.options.model, version))
    blobs, verdicts = load_images(context, job, table.chunk()) if table.has_keys else ({}, {})
    return Task(
        *(message.job, message.chunk, data, len(table), version),
        form=job.form,
        precision=job.options.precision,
        blobs=blobs,
        verdicts={**verdicts, **damaged},
        single=has_one_chunk(job),
    )


def load_images(
    context: Context, job: Job, chunk: Chunk
) -> tuple[Mapping[str, bytes], Mapping[int, tuple[Code, str]]]:
    """Bytes of the images that the chunk only names; and a verdict for each that is not there."""
    keyed = {item.key: item for item in chunk.items if item.key and item.code is None}
    blobs: dict[str, bytes] = {}
    failed: dict[str, tuple[Code, str]] = {}

    def load(item: Item) -> None:
        try:
            blobs[item.key] = patiently(context, lambda: context.images.load(job.job, item))
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


def is_wanted(context: Context, job: Job) -> bool:
    """Whether the job is still there."""
    return patiently(context, lambda: exists(context.store, names.job_record(job.job)))


def write(context: Context, job: Job, message: Message, reading: ChunkResult) -> bool:
    """Write the rows, unless somebody was first; returns whether that finished the job.

    Raises NotFound if the job was deleted. A delete removes the record first and then what it
    finds. So rows that are written before the record is looked at are removed by the one or by
    the other, and none is left behind.
    """
    evidence = {names.picture(job.job, item): data for item, data in reading.pictures.items()}
    if reading.given_up:
        key, data = isolation.evidence(message, reading.given_up)
        evidence[key] = data
    for key, data in evidence.items():
        patiently(context, lambda key=key, data=data: context.store.put(key, data))  # type: ignore[misc]
    only = has_one_chunk(job)
    told = _summary(job, reading).as_metadata() if only else {}
    key = names.result(job.job, message.chunk)
    try:
        patiently(
            context,
            lambda: context.store.put(key, reading.data, if_none_match=True, metadata=told),
        )
    except PreconditionFailed:
        log.info("another worker was first", extra={"job": message.job, "chunk": message.chunk})
        return False
    if not is_wanted(context, job):
        patiently(context, lambda: take_away(context, job, message.chunk, evidence))
        raise NotFound(f"job {message.job} was deleted while its chunk {message.chunk} was read")
    if not only:
        patiently(context, lambda: _record(context, message, reading))
    return only


def take_away(context: Context, job: Job, number: int, evidence: Iterable[str]) -> None:
    """The job was deleted: nothing of it may stay."""
    context.store.delete([names.result(job.job, number), *evidence])


def _summary(job: Job, reading: ChunkResult) -> Summary:
    """How a job of one chunk ends."""
    counts = dict(reading.statuses), dict(reading.codes)
    return Summary(job.job, time.time(), 1, reading.rows, *counts)


def _record(context: Context, message: Message, reading: ChunkResult) -> None:
    counts = reading.rows, reading.statuses, reading.codes
    context.queue.record(message.job, message.chunk, *counts)


def end(context: Context, job: Job) -> None:
    """A job of one chunk is finished by its rows: who waits is told, the marker goes soon."""
    patiently(context, lambda: context.queue.end(job.job))
    if job.retention_days:
        patiently(context, lambda: retention.schedule(context.store, job, time.time()))
    context.markers.drop(job.job)


def settle(context: Context, job: Job, message: Message) -> None:
    """The chunk is done: let the next ones in, and finish the job after its last one.

    Raises NotFound if the job was deleted.
    """

    def step() -> None:
        context.queue.settle(job.job, message.chunk)
        sent = context.queue.feed(job.job, job.options.priority)
        if sent or context.queue.busy(job.job):
            return
        record = read_record(context.store, job.job)
        if record.sealed and reconcile.standing(context.store, record).finished:
            reconcile.finish(context.store, context.queue, record)

    patiently(context, step)


def _figures(reading: ChunkResult) -> dict[str, object]:
    seconds = round(reading.seconds, 3)
    return {"rows": reading.rows, "crops": reading.crops, "seconds": seconds}
