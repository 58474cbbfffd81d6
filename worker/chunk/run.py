"""What happens to one chunk: from the message to its rows in the store.

``run`` is the worker's table of contents. It may be called any number of times for the same
chunk, by several workers at once: the first result written counts, the others are dropped. Every
request to the store or to Redis waits while they are away, except where said otherwise.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from inkmill import names
from inkmill.backends.store import delete_prefix, exists
from inkmill.errors import (
    BadHint,
    Corrupt,
    ModelError,
    Newer,
    NotFound,
    PreconditionFailed,
    ShuttingDown,
    StoreDenied,
    Unreachable,
)
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.worker import metrics
from inkmill.worker.chunk import inputs, isolation, salvage
from inkmill.worker.chunk.attempts import Attempt
from inkmill.worker.chunk.completion import Completion, chunk_done
from inkmill.worker.chunk.context import Context
from inkmill.worker.chunk.tracing import ChunkTrace
from inkmill.worker.link import ChunkResult, ModelPayload, Task

log = logging.getLogger(__name__)


def run(context: Context, message: Message) -> None:
    """Read one chunk and write its rows. Returns when the message may be acknowledged.

    Raises ShuttingDown when the worker stops first: the message then goes back to the queue.
    """
    logged = {"job": message.job, "chunk": message.chunk}
    attempt, outcome = Attempt(context, message), "put_off"
    try:
        outcome = read_and_write(context, message, attempt)
    except NotFound as error:
        outcome = "dropped"
        log.warning("dropped: %s", error, extra=logged)
        context.jobs.forget(message.job)
        forget(context, message)
    except (ModelError, Newer) as error:
        attempt.hand_back()
        # The reconciler sends the chunk again later; meanwhile others go first.
        log.error("put off: %s", error, extra=logged)
    except Corrupt as error:
        log.error("put off: %s", error, extra=logged)
    except BadHint as error:
        log.error("put off, and the job's hints are rebuilt: %s", error, extra=logged)
        context.queue.forget(message.job)
    except ShuttingDown:
        outcome = "returned"
        attempt.hand_back()
        raise
    finally:
        metrics.CHUNKS.labels(outcome).inc()


def read_and_write(context: Context, message: Message, attempt: Attempt) -> str:
    """Read the chunk, write its rows and see to what follows; "read", or "others_first"."""
    begun = time.monotonic()
    trace = ChunkTrace(context, message)
    job = context.jobs.get(message.job)
    attempt.begin()
    metrics.count_attempt(attempt.number)
    completion = Completion(job)
    if attempt.repeated and has_result(context, job, message):
        chunk_done(context, job, message)
        return "others_first"
    version, result = work(context, job, message, attempt, completion, trace)
    with metrics.stage("write"), trace.stage("write"):
        mine = write(context, job, message, result, completion.metadata(result))
    if mine:
        metrics.count_result(job, result)
        context.speeds.add(job, result)
        completion.complete(context, message, result)
    else:
        chunk_done(context, job, message)
    trace.finish(result, attempt.number, version)
    metrics.CHUNK_SECONDS.observe(time.monotonic() - begun)
    logged = {"job": message.job, "chunk": message.chunk, "model": version}
    log.info("chunk read", extra={**logged, **_figures(result)})
    return "read" if mine else "others_first"


def has_result(context: Context, job: Job, message: Message) -> bool:
    """Whether somebody wrote this chunk's rows already."""
    return exists(context.store, names.result(job.job, message.chunk))


def work(
    context: Context,
    job: Job,
    message: Message,
    attempt: Attempt,
    completion: Completion,
    trace: ChunkTrace,
) -> tuple[str, ChunkResult]:
    """The model version and the rows; of a chunk damaged beyond reading, rows that say so."""
    try:
        with metrics.stage("fetch"), trace.stage("fetch"):
            task = inputs.gather(context, job, message, attempt.number, completion.single)
        task = replace(task, traced=trace.is_on)
        return task.version, read(context, job, message, task, attempt)
    except salvage.ChunkLost as lost:
        log.error("lost: %s", lost, extra={"job": message.job, "chunk": message.chunk})
        return "", salvage.rows_of(lost)


def read(context: Context, job: Job, message: Message, task: Task, attempt: Attempt) -> ChunkResult:
    """The chunk's rows; of a suspected chunk item by item, so that the guilty one is found."""

    def files(version: str) -> ModelPayload:
        name = job.strips_model if version == task.strips_version else job.options.model
        return context.models.payload(name, version)

    if not isolation.is_suspected(attempt.number):
        with context.isolation.shared():
            return context.pool.read(task, files)
    metrics.SUSPECTED.inc()
    log.warning("attempt %d at chunk %d: it is suspected", attempt.number, message.chunk)
    with context.isolation.exclusive():
        return isolation.read_one_by_one(context.store, context.pool, message, task, files)


def write(
    context: Context,
    job: Job,
    message: Message,
    result: ChunkResult,
    metadata: Mapping[str, str],
) -> bool:
    """Write the rows, unless somebody was first; returns whether they are these.

    Raises NotFound if the job was deleted. A delete removes the record first and then what it
    finds. So rows that are written before the record is looked at are removed by the one or by
    the other, and none is left behind.
    """
    evidence = {names.picture(job.job, item): data for item, data in result.pictures.items()}
    if result.given_up:
        key, data = isolation.evidence(message, result.given_up)
        evidence[key] = data
    for key, data in evidence.items():
        context.store.put(key, data)
    key = names.result(job.job, message.chunk)
    try:
        context.store.put(key, result.data, if_none_match=True, metadata=metadata)
    except PreconditionFailed:
        log.info(
            "another worker wrote the rows first",
            extra={"job": message.job, "chunk": message.chunk},
        )
        return False
    if not is_wanted(context, job):
        take_away(context, job, message.chunk, evidence)
        raise NotFound(f"job {message.job} was deleted while its chunk {message.chunk} was read")
    return True


def is_wanted(context: Context, job: Job) -> bool:
    """Whether the job is still there."""
    return exists(context.store, names.job_record(job.job))


def take_away(context: Context, job: Job, number: int, evidence: Iterable[str]) -> None:
    """The job was deleted: nothing of it may stay."""
    context.store.delete([names.result(job.job, number), *evidence])


def forget(context: Context, message: Message) -> None:
    """There is no such job (any more), or no such chunk in it: leave nothing of it in Redis.

    Does not wait for a server that is away.
    """
    try:
        context.queue.plain.complete(message.job, message.chunk)
        if not exists(context.store.plain, names.job_record(message.job)):
            # The job was deleted. A worker that was killed right after its write may have left
            # rows below its id, which nobody else will ever use.
            delete_prefix(context.store.plain, names.job_root(message.job))
            context.queue.plain.forget(message.job)
    except (Unreachable, StoreDenied, BadHint) as error:
        log.debug("hints of a deleted job remain until they expire: %s", error)


def _figures(result: ChunkResult) -> dict[str, object]:
    seconds = round(result.seconds, 3)
    return {"rows": result.rows, "crops": result.crops, "seconds": seconds}
