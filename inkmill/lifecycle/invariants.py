"""The invariants of a finished job: every item has exactly one row, and nothing is left behind.

The fault suite and ``inkmill chaos`` judge by this. It trusts nothing that it can read itself:
chunks and results are opened and compared item by item, and Redis is searched for remains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import Store, exists
from inkmill.errors import Corrupt, NotFound
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.summary import load_summary
from inkmill.records import rows
from inkmill.records.chunks import Chunk
from inkmill.records.jobs import Job
from inkmill.records.rows import Row


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found: the rows by item, and each violated invariant in words."""

    job: str
    items: int
    rows: dict[int, Row]
    problems: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether every invariant holds."""
        return not self.problems


def judge(store: Store, queue: Queue, job: str) -> Judgement:
    """Judge a job that should be finished. Raises NotFound, Unreachable or StoreDenied."""
    record = load_job(store, job)
    job = record.job
    found, problems = dict[int, Row](), list[str]()
    if not record.sealed:
        problems.append("the record is not sealed")
    for number in range(record.chunks):
        problems += _compare(store, job, number, found)
    strange = [item for item in found if not 0 <= item < record.items]
    if missing := record.items - (len(found) - len(strange)):
        first = next(item for item in range(record.items) if item not in found)
        problems.append(f"{missing} items without a row, first {first}")
    if strange:
        problems.append(f"rows for items that do not exist: {sorted(strange)[:5]}")
    problems += _summary(store, record, found)
    problems += _objects(store, record)
    problems += _remains(queue, job)
    return Judgement(record.label, record.items, found, tuple(problems))


def _compare(store: Store, job: str, number: int, found: dict[int, Row]) -> Iterator[str]:
    """One chunk against its result; adds its rows to ``found``."""
    where = f"chunk {number}"
    try:
        read = rows.decode(store.get(names.result(job, number)).data)
    except (NotFound, Corrupt) as error:
        yield f"{where}: no result: {error}"
        return
    for row in read:
        if row.item in found:
            yield f"{where}: a second row for item {row.item}"
        found[row.item] = row
    try:
        items = Chunk.decode(store.get(names.chunk(job, number)).data).items
    except (NotFound, Corrupt):
        return  # its rows say so; that they are all there is seen from the record's count
    wanted = [(item.item, item.source, item.page) for item in items]
    if wanted != [(row.item, row.source, row.page) for row in read]:
        yield f"{where}: rows of other items, sources or pages than the chunk's"


def _summary(store: Store, record: Job, found: dict[int, Row]) -> Iterator[str]:
    summary = load_summary(store, record)
    if summary is None:
        yield "no summary: the job is not finished"
        return
    statuses = Counter(str(row.status) for row in found.values())
    told = Counter({status: count for status, count in summary.statuses.items() if count})
    if summary.rows != len(found) or told != statuses:
        yield f"the summary counts {dict(told)}, the rows {dict(statuses)}"


def _objects(store: Store, record: Job) -> Iterator[str]:
    """Nothing below the job's folder but what belongs there, and no marker."""
    job = record.job
    if exists(store, names.open_marker(job)):
        yield "the open marker is still there"
    allowed = {names.job_record(job), names.job_summary(job), names.cancel_marker(job)}
    allowed |= {names.settled(job), names.report(job), names.purged(job)}
    kept = tuple(
        each(job)
        for each in (
            names.images,
            names.pictures,
            names.attempts,
            names.quarantine,
            names.fixes,
            names.events,
            names.audits,
            names.trail,
            names.review,
        )
    )
    for entry in store.list(names.job_root(job)):
        known = entry.key in allowed or entry.key.startswith(kept)
        if not known and not _is_counted(record, entry.key):
            yield f"an orphaned object: {entry.key}"


def _is_counted(record: Job, key: str) -> bool:
    """Whether this is a chunk, or a result, that the record counts."""
    try:
        number = names.number_of(key)
    except ValueError:
        return False
    mine = names.chunk(record.job, number), names.result(record.job, number)
    return key in mine and number < record.chunks


def _remains(queue: Queue, job: str) -> Iterator[str]:
    left = sorted(task for task in queue.present() if task.rpartition(":")[0] == job)
    if left:
        yield f"messages left in Redis: {left[:5]}"
    if hints := queue.hints(job):
        yield f"hints left in Redis: {hints}"
