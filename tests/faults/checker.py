"""The verdict on a job after a fault: the same for every scenario.

Every item has exactly one row; no extra objects; queues, unacked sets, hints and open/ are
drained; digits and statuses are a calm run's, confidence within 0.001; error rows name the
right input.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX
from inkmill.backends.queue import Queue
from inkmill.backends.store import Store, exists
from inkmill.codes import Status
from inkmill.lifecycle.invariants import judge
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.summary import load_summary
from inkmill.records.rows import Row
from tests.faults import workload
from tests.faults.workload import Workload

#: Limits of waiting are for an idle machine; a busy one is given so many times as long.
_PATIENCE = float(os.environ.get("FAULT_PATIENCE", "3"))
#: Batch shapes change float32 sums: two runs of a chunk agree within this.
CONFIDENCE = 0.001

Calm = Mapping[int, Row]


def patient(seconds: float) -> float:
    """A limit for an idle machine, as long as it is on this one."""
    return seconds * _PATIENCE


def until(what: Callable[[], object], timeout: float, words: str) -> float:
    """Wait for something to become true; returns how long it took. Fails after ``timeout``."""
    began, timeout = time.monotonic(), patient(timeout)
    while not what():
        assert time.monotonic() - began < timeout, f"not within {timeout:.0f} s: {words}"
        time.sleep(0.05)
    return time.monotonic() - began


def finished(store: Store, job: str) -> bool:
    """Whether the workers wrote the job's summary; nobody is helped by asking."""
    return load_summary(store, load_job(store, job)) is not None


def verify(store: Store, queue: Queue, job: str, work: Workload, calm: Calm) -> dict[str, Row]:
    """Assert that the job kept its promise; returns its rows by source."""
    job = load_job(store, job).job
    until(lambda: not _undrained(queue, job), 30.0, f"drained: {_undrained(queue, job)}")
    # A small job ends with its rows; its marker goes some tenths of a second later.
    until(lambda: not exists(store, names.open_marker(job)), 10.0, "its marker is gone")
    verdict = judge(store, queue, job)
    assert verdict.problems == ()
    rows = {row.source: row for row in verdict.rows.values()}
    assert sorted(rows) == workload.sources(work)
    for name, row in rows.items():
        as_calm(name, row, work, calm)
    return rows


def as_calm(name: str, row: Row, work: Workload, calm: Calm) -> None:
    """Assert that a row is what the calm run had for its digit, or says what befell its item."""
    code = work.harmful.get(name)
    if code is not None:
        assert (row.status, row.code, row.digit) == (Status.ERROR, code, ""), row
        assert row.message, row
        return
    wanted = calm[workload.number_of(name)]
    assert (row.digit, row.status, row.code) == (wanted.digit, wanted.status, wanted.code), row
    assert row.confidence is not None, row
    assert wanted.confidence is not None
    assert abs(row.confidence - wanted.confidence) <= CONFIDENCE, (row, wanted)


def _undrained(queue: Queue, job: str) -> dict[str, object]:
    """What Redis still holds of any message, and of this job."""
    held = {
        "queues": sum(queue.lengths().values()),
        "unacked": queue.client.hlen(UNACKED),
        "unacked index": queue.client.zcard(UNACKED_INDEX),
        "hints": queue.hints(job),
    }
    return {name: value for name, value in held.items() if value}
