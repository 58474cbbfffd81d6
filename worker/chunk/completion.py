"""What follows once a chunk's rows are written: the one place that knows of jobs of one chunk.

A job of several chunks is finished by whoever finds all its results, with a summary of its own.
A job of a single chunk is finished by its only result, which carries the summary in its metadata:
that saves the counts in Redis and a listing, so that one image of somebody who waits costs four
requests to the store.
"""

from __future__ import annotations

import time

from inkmill.lifecycle import outbox, reconcile, retention
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.summary import has_one_chunk
from inkmill.records.jobs import Job
from inkmill.records.messages import Message
from inkmill.records.summary import Summary
from inkmill.worker.chunk.context import Context
from inkmill.worker.link import ChunkResult


class Completion:
    """How a job goes on after one of its chunks.

    ``single`` says that it is the job's only one: engines then read it between two large ones,
    since somebody may wait for it.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.single = has_one_chunk(job)

    def metadata(self, result: ChunkResult) -> dict[str, str]:
        """What is written beside the rows."""
        if not self.single:
            return {}
        summary = Summary(
            job=self._job.job,
            finished=time.time(),
            chunks=1,
            rows=result.rows,
            statuses=dict(result.statuses),
            codes=dict(result.codes),
        )
        return summary.as_metadata()

    def complete(self, context: Context, message: Message, result: ChunkResult) -> None:
        """The rows were written here: count them, and finish the job where they were its last.

        Raises NotFound if the job was deleted, and ShuttingDown.
        """
        if self.single:
            context.queue.end(message.job)
            self._tell(context)
            retention.schedule(context.store, self._job, time.time())
            context.markers.drop(message.job)
            return
        context.queue.record(message.job, message.chunk, result.rows, result.statuses, result.codes)
        chunk_done(context, self._job, message)

    def _tell(self, context: Context) -> None:
        """Write the notice of the job's end, if somebody wants it, before its marker goes."""
        if self._job.on_done:
            outbox.post(context.store, self._job, time.time())
            context.tell(self._job.job)


def chunk_done(context: Context, job: Job, message: Message) -> None:
    """The chunk has its rows: let the next ones in, and finish the job after its last one.

    Raises NotFound if the job was deleted, and ShuttingDown.
    """
    context.queue.complete(job.job, message.chunk)
    if context.queue.feed(job.job, job.options.priority) or context.queue.busy(job.job):
        return
    record = read_record(context.store, job.job)
    if record.sealed and reconcile.standing(context.store, record).finished:
        reconcile.finish(context.store, context.queue, record)
        if record.on_done:
            context.tell(record.job)
