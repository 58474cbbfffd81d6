"""The reconciler: compares chunks with results and resends what was lost.

Redis may forget anything at any time; the store is the truth. A sweep looks at every open job:
a chunk without a result that Redis neither holds nor was given lately goes back into the
backlog; a job whose chunks all have results is finished. Workers, ``wait`` and ``resume``
sweep, at most one of them in an interval, so there is no storm however many look.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from inkmill import names
from inkmill.backends.queue import Progress, Queue
from inkmill.backends.store import Store, delete_prefix, exists
from inkmill.codes import Code
from inkmill.errors import (
    BadHint,
    Corrupt,
    NotFound,
    PreconditionFailed,
    StoreDenied,
    Unreachable,
)
from inkmill.lifecycle import identity, outbox, retention
from inkmill.lifecycle.lookup import read_record
from inkmill.lifecycle.summary import has_one_chunk, load_summary
from inkmill.log import Repeats
from inkmill.records import rows
from inkmill.records.codec import MOST_CHUNKS
from inkmill.records.jobs import Job
from inkmill.records.summary import Summary as Summary

log = logging.getLogger(__name__)
_repeats = Repeats()

#: Chunks of one job that one sweep makes known to Redis; the next sweeps make known what follows.
_MOST_OFFERED = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a job is, by the store: which chunks exist and which of them have results.

    Both are in order without repeats. Chunks of a sealed job are a range, since its record may name
    any number of them.
    """

    job: Job
    written: Sequence[int]
    done: frozenset[int]

    @property
    def missing(self) -> Iterator[int]:
        """Chunks without a result, in order; one by one, since there may be any number."""
        return (number for number in self.written if number not in self.done)

    @property
    def left(self) -> int:
        """How many chunks have no result."""
        return len(self.written) - len(self.done)

    @property
    def finished(self) -> bool:
        return self.job.sealed and not self.left


def standing(store: Store, job: Job) -> Standing:
    """Compare a job's chunks with its results, by listing."""
    if has_one_chunk(job):
        has_rows = exists(store, names.result(job.job, 0))
        return Standing(job, range(1), frozenset({0} if has_rows else ()))
    written: Sequence[int] = range(job.chunks)
    if not job.sealed:
        written = sorted(numbers(store, names.chunks(job.job)))
    known = written if job.sealed else frozenset(written)
    results = numbers(store, names.results(job.job))
    return Standing(job, written, frozenset(each for each in results if each in known))


def numbers(store: Store, prefix: str, end: str = ".parquet") -> Iterator[int]:
    """The numbers of the chunks whose objects lie below a prefix, in the order of their keys.

    An object whose key is not exactly that of a chunk is passed over.
    """
    for entry in store.list(prefix):
        try:
            number = names.number_of(entry.key)
        except ValueError:
            number = MOST_CHUNKS
        if number < MOST_CHUNKS and entry.key == f"{prefix}{number:05d}{end}":
            yield number
        else:
            line = f"skipped {entry.key}: it is not an object of Inkmill"
            log.log(_repeats.level(line, logging.WARNING), "%s", line)


def sweep(store: Store, queue: Queue, interval: float, *, force: bool = False) -> int:
    """Reconcile every open job, unless somebody did so within the interval (seconds).

    Returns the number of chunks that were found lost and sent again.
    """
    if not queue.may_sweep(interval) and not force:
        return 0
    # Before any listing: what finishes in between is then seen as done, not as lost.
    present = queue.present()
    lost = 0
    for entry in store.list(names.OPEN):
        try:
            job = names.job_of(entry.key)
            lost += reconcile(store, queue, job, present, interval, since=entry.modified)
        except (Unreachable, StoreDenied):
            raise
        except BadHint as error:
            log.error(
                "job %s: its hints are dropped, and rebuilt by the next sweep: %s", job, error
            )
            queue.forget(job)
        except Exception as error:
            # One job's damage must not stop the others, whatever it is.
            line = f"skipped {entry.key}: {type(error).__name__}: {error}"
            log.log(_repeats.level(line, logging.ERROR), "%s", line)
    retention.expire_sometimes(store, queue)
    return lost


def reconcile(
    store: Store,
    queue: Queue,
    job: str,
    present: set[str],
    interval: float,
    since: float = math.inf,
) -> int:
    """Bring one open job's hints in line with the store; returns how many chunks were lost.

    ``since`` is when the job's marker was written (seconds since the epoch), where that is known.
    """
    try:
        record = read_record(store, job)
    except NotFound:
        retention.take_over(store, queue, job, since)
        return 0
    if not record.sealed and not _is_claimed(store, record):
        # Its submit was killed before it had the name, or is just about to take it.
        retention.take_over(store, queue, job, since)
        return 0
    state = standing(store, record)
    if state.finished:
        with suppress(NotFound):
            finish(store, queue, record)
        return 0
    flight = queue.in_flight(job)
    open_still = {each for each in flight if each in state.written and each not in state.done}
    for number in flight.keys() - open_still:
        queue.complete(job, number)
    lost = [
        number
        for number in sorted(open_still)
        if flight[number] > interval and names.task_id(job, number) not in present
    ]
    queue.requeue(job, lost)
    unknown = list(islice((each for each in state.missing if each not in flight), _MOST_OFFERED))
    if queue.offer(job, unknown):
        _recall_attempts(store, queue, job, set(unknown))
    queue.feed(job, record.options.priority, has_one_chunk(record))
    if lost:
        log.warning("job %s: %d chunks were lost in Redis and will be sent again", job, len(lost))
    return len(lost)


def _is_claimed(store: Store, record: Job) -> bool:
    """Whether the job has its name; a damaged pointer is no reason to neglect the job."""
    try:
        return identity.is_claimed(store, record)
    except Corrupt as error:
        log.error("job %s: %s", record.label, error, extra={"job": record.job})
        return True


def _recall_attempts(store: Store, queue: Queue, job: str, unknown: set[int]) -> None:
    """Redis did not know these chunks: it may have forgotten the attempts at them, too."""
    counts: dict[int, int] = {}
    for entry in store.list(names.attempts(job)):
        if (attempt := names.attempt_of(entry.key)) is not None:
            number, count = attempt
            if number in unknown:
                counts[number] = max(count, counts.get(number, 0))
    queue.recall(job, counts)


def finish(store: Store, queue: Queue, job: Job) -> Summary:
    """Every chunk has its result: write the summary, then remove the job's marker.

    Raises NotFound if the job is being deleted: the marker is then the delete's.
    """
    summary = load_summary(store, job)
    if summary is None:
        summary = _summarise(store, queue, job)
        try:
            store.put(names.job_summary(job.job), summary.encode(), if_none_match=True)
            log.info("job %s is finished: %d rows", job.label, summary.rows)
        except PreconditionFailed:
            log.debug("job %s was finished by somebody else", job.label)
    # As long as the marker exists, a sweep comes here again.
    outbox.post(store, job, summary.finished)
    retention.schedule(store, job, summary.finished)
    if not exists(store, names.job_record(job.job)):
        delete_prefix(store, names.job_root(job.job))
        raise identity.no_such_job(job.label)
    store.delete([names.open_marker(job.job)])
    queue.end(job.job)
    return summary


def _summarise(store: Store, queue: Queue, job: Job) -> Summary:
    counts: Any = _progress(queue, job.job)
    if not counts.is_of(job.items):  # Redis forgot some: count the rows themselves
        counts = _count(store, job)
        if counts.rows != job.items:
            log.error(
                "job %s has %d rows for %d items: something other than Inkmill changed its "
                "objects. Delete the job and submit it again, or use its rows as they are",
                job.label,
                counts.rows,
                job.items,
                extra={"job": job.job},
            )
    return Summary(
        job=job.job,
        finished=time.time(),
        chunks=job.chunks,
        rows=counts.rows,
        statuses=dict(counts.statuses),
        codes=dict(counts.codes),
    )


def _progress(queue: Queue, job: str) -> Progress:
    """The counts in Redis; none where it holds something else."""
    try:
        return queue.progress(job)
    except BadHint as error:
        log.warning("job %s: its rows are counted in the store: %s", job, error)
        return Progress(0, 0, {}, {})


def _count(store: Store, job: Job) -> rows.Counts:
    """The rows in the store."""
    statuses, codes = Counter[str](), Counter[str]()
    for number in range(job.chunks):
        part = rows.count(rows.decode(store.get(names.result(job.job, number)).data))
        statuses.update(part.statuses)
        codes.update(part.codes)
    return rows.Counts.of(statuses, codes)


def is_cancelled(store: Store, job: str) -> bool:
    """Whether the job was cancelled: what has no row yet becomes CANCELLED."""
    return exists(store, names.cancel_marker(job))


def was_cancelled(store: Store, job: Job, summary: Summary) -> bool:
    """Whether a finished job was cancelled; one of a single chunk is so as a whole or not."""
    if has_one_chunk(job):
        return str(Code.CANCELLED) in summary.codes
    return is_cancelled(store, job.job)
