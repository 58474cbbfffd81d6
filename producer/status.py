"""The state of jobs: the store says what is done, Redis what is in progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inkmill.backends.queue import Progress
from inkmill.errors import BadHint, Corrupt, Unreachable
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import find_record, job_ids, load_job
from inkmill.lifecycle.summary import load_summary
from inkmill.producer.connection import Connection, connect
from inkmill.producer.overlap import overlapped
from inkmill.producer.tables import row_counts
from inkmill.producer.tables.export import results
from inkmill.records.jobs import Job
from inkmill.records.rows import Counts, count
from inkmill.records.summary import Summary

if TYPE_CHECKING:
    from inkmill.settings import Settings

log = logging.getLogger(__name__)

UPLOADING, RUNNING, FINISHED, CANCELLED = "uploading", "running", "finished", "cancelled"
#: A job of so many rows is counted anew while somebody waits for its status: a second or two.
FEW_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The state of a job, and its counts.

    Times are seconds since the epoch; 0.0 means not yet.

    Attributes:
        id: The job's id.
        job: The name by which people refer to it; without a name, the id.
        state: "uploading" (being submitted, or the submit was interrupted), "running", "finished"
            or "cancelled".
        created: When the job was submitted.
        finished: When its last chunk got its rows.
        items: Items of the job; 0 while uploading.
        rows: Rows so far. This and the counts below are exact once the job is finished, and as
            reported by workers before.
        chunks: Chunks of the job; while uploading, those stored so far.
        chunks_done: Chunks that have their rows.
        in_flight: Chunks that are queued or being read.
        statuses: Rows per status: "ok", "review", "error".
        codes: Rows per code, such as "MISSING".
        form: Name of the template, or templates; empty for digit images.
        model: Name of the model.
        version: Model version that the job is pinned to; empty if it follows the latest.
        policy: "pinned", "follow", or the version that was asked for.
        priority: "high", "normal" or "low".
        settled: Whether the counts of a finished job are those of `results`. If False, they are
            those of single pages, without people's values, rules over several pages, documents and
            thresholds.
    """

    id: str
    job: str
    state: str
    created: float
    finished: float
    items: int
    rows: int
    chunks: int
    chunks_done: int
    in_flight: int
    statuses: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    form: str = ""
    model: str = ""
    version: str = ""
    policy: str = ""
    priority: str = ""
    settled: bool = True

    @property
    def errors(self) -> int:
        """Rows in error."""
        return self.statuses.get("error", 0)


def status(
    job: str, *, settings: Settings | None = None, connection: Connection | None = None
) -> JobStatus:
    """Report the state of a job and its counts so far.

    The counts of a finished job include people's values, rules over several pages, documents and
    thresholds. For a job with more than 5,000 rows, only `wait`, `results`, ``inkmill report`` and
    imports of values compute them; until then the counts are those of single pages, and
    ``settled`` is False.

    Args:
        job: The job's name or id.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        A `JobStatus`: state, rows, statuses, codes, times.

    Raises:
        NotFound: There is no such job.
        SettingsError: A setting is wrong.
        Unreachable: S3 does not answer. Redis is not needed.
        StoreDenied: S3 refuses the request.

    Example:
        now = status("district-7")
        print(now.state, f"{now.rows} of {now.items} rows,", f"{now.errors} in error")
    """
    connection = connection or connect(settings)
    return look(connection, load_job(connection.store, job), FEW_ROWS)


def look(connection: Connection, record: Job, most: int = 0) -> JobStatus:
    """How a job stands; at most so many rows are gone through for the counts as they hold."""
    job = record.job
    summary = load_summary(connection.store, record)
    if summary is not None:
        return ended(connection, record, summary, most)
    standing = reconcile.standing(connection.store, record)
    try:
        progress = connection.queue.progress(job)
        in_flight = len(connection.queue.in_flight(job))
    except (Unreachable, BadHint):  # the store says enough
        progress, in_flight = Progress(0, 0, {}, {}), 0
    return status_of(
        record,
        RUNNING if record.sealed else UPLOADING,
        rows=progress.rows,
        chunks=len(standing.written),
        chunks_done=len(standing.done),
        in_flight=in_flight,
        statuses=dict(progress.statuses),
        codes=dict(progress.codes),
    )


def ended(connection: Connection, record: Job, summary: Summary, most: int) -> JobStatus:
    """How a finished job ended."""
    cancelled = reconcile.was_cancelled(connection.store, record, summary)
    counts = _settled(connection, record, summary, most)
    return status_of(
        record,
        CANCELLED if cancelled else FINISHED,
        finished=summary.finished,
        rows=summary.rows,
        chunks_done=summary.chunks,
        statuses=(counts or summary).statuses,
        codes=(counts or summary).codes,
        settled=counts is not None,
    )


def _settled(connection: Connection, record: Job, summary: Summary, most: int) -> Counts | None:
    """A finished job's counts as its rows hold; None where too many would have to be read."""
    digest = row_counts.basis(connection.store, record, summary.finished)
    if not digest:
        return Counts(summary.rows, summary.statuses, summary.codes)
    kept = row_counts.load(connection.store, record.job, digest)
    if kept is None and summary.rows <= most:
        kept = count(results(record.job, connection=connection))
    return kept


def status_of(record: Job, state: str, **counts: object) -> JobStatus:
    """A status from the record and what was counted."""
    values: dict[str, object] = {"finished": 0.0, "chunks": record.chunks, "in_flight": 0, **counts}
    return JobStatus(
        id=record.job,
        job=record.label,
        state=state,
        created=record.created,
        items=record.items,
        form=record.form_name,
        model=record.options.model,
        version=record.version,
        policy=record.options.policy,
        priority=record.options.priority,
        **values,  # type: ignore[arg-type]
    )


def jobs(
    *, settings: Settings | None = None, connection: Connection | None = None
) -> Iterator[JobStatus]:
    """Report the state of every job in the store.

    Args:
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        An iterator over a `JobStatus` per job, in the order of their ids. Unlike `status`, it
        does not compute counts again.

    Raises:
        SettingsError: A setting is wrong.
        Unreachable: S3 does not answer. Redis is not needed.
        StoreDenied: S3 refuses the request.

    Example:
        running = [each.job for each in jobs() if each.state == "running"]
    """
    connection = connection or connect(settings)

    def look_at(job: str) -> JobStatus | None:
        try:
            record = find_record(connection.store, job)
            return look(connection, record) if record is not None else None
        except Corrupt as error:
            log.warning("skipped job %s: %s", job, error)
            return None

    yield from filter(None, overlapped(look_at, job_ids(connection.store), threads=8, ahead=32))
