"""What an engine needs of a chunk, gathered, since it can fetch nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from inkmill import names
from inkmill.backends.store import exists
from inkmill.codes import Code
from inkmill.errors import Corrupt, ItemError, Newer, NotFound
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.worker.chunk import salvage
from inkmill.worker.chunk.context import Context
from inkmill.worker.chunk.isolation import Verdicts
from inkmill.worker.link import Task

log = logging.getLogger(__name__)

#: A chunk object that is missing is looked for in so many attempts before it is given up.
_LOOKS = 3
#: Images that are fetched at a time.
_FETCHES = 8


def gather(context: Context, job: Job, message: Message, attempt: int, single: bool) -> Task:
    """The task for an engine: chunk, images, template, model version.

    Raises ChunkLost where nothing of the chunk can be read, Corrupt where it is to be looked for
    again, NotFound where there is no such job or chunk, ModelError, Newer and ShuttingDown.
    """
    if job.sealed and message.chunk >= job.chunks:
        raise NotFound(f"job {message.job} has no chunk {message.chunk}")
    data, damaged = fetch(context, job, message, attempt)
    table = _decode(context, job, message, data)
    version = context.models.version_for(job)
    context.models.ensure(job.options.model, version)
    strips_version = context.models.strips_version_for(job)
    if strips_version:
        context.models.ensure(job.strips_model, strips_version)
    blobs, missing = _load_images(context, job, table.chunk()) if table.has_refs else ({}, {})
    return Task(
        job=message.job,
        chunk=message.chunk,
        data=data,
        count=len(table),
        version=version,
        form=job.form,
        precision=job.options.precision,
        blobs=blobs,
        verdicts={**missing, **damaged},
        single=single,
        strips_version=strips_version,
    )


def fetch(context: Context, job: Job, message: Message, attempt: int) -> tuple[bytes, Verdicts]:
    """The chunk object's bytes, and a verdict on each image in them that is damaged.

    Raises as `gather` does.
    """
    key = names.chunk(message.job, message.chunk)
    try:
        return context.store.get(key).data, {}
    except Corrupt as error:
        log.error("damaged: %s", error, extra={"job": message.job, "chunk": message.chunk})
        damaged = error
    except NotFound:
        if message.chunk >= job.chunks or not exists(context.store, names.job_record(job.job)):
            raise
        if attempt < _LOOKS:
            raise Corrupt(f"object {key} is missing from the store: looking again later") from None
        raise salvage.gone(job, message.chunk) from None
    return salvage.salvage(context.store, job, message, damaged)


def _decode(context: Context, job: Job, message: Message, data: bytes) -> ChunkTable:
    """The chunk's columns. Raises ChunkLost also for a chunk of other items than the job's record
    gives it, as somebody may have put in its place: its own items would have no rows."""
    try:
        table = ChunkTable.decode(data)
    except Newer:
        raise
    except Corrupt as error:
        salvage.salvage(context.store, job, message, error)
        raise
    if job.sealed and table.column("item") != list(job.items_of(message.chunk)):
        raise salvage.replaced(job, message.chunk)
    return table


def _load_images(context: Context, job: Job, chunk: Chunk) -> tuple[Mapping[str, bytes], Verdicts]:
    """Bytes of the images that the chunk only names, and a verdict for each that is missing."""
    named = {str(item.ref): item for item in chunk.items if item.ref and item.code is None}
    blobs: dict[str, bytes] = {}
    failed: dict[str, tuple[Code, str]] = {}

    def load(item: Item) -> None:
        try:
            blobs[str(item.ref)] = context.images.load(job.job, item)
        except ItemError as error:
            failed[str(item.ref)] = (error.code, error.message)

    with ThreadPoolExecutor(_FETCHES, thread_name_prefix="images") as together:
        list(together.map(load, named.values()))
    verdicts = {
        position: failed[str(item.ref)]
        for position, item in enumerate(chunk.items)
        if str(item.ref) in failed
    }
    return blobs, verdicts
