"""A run that nothing disturbed: what all others are compared with."""

from __future__ import annotations

from pathlib import Path

from inkmill.backends.queue import Queue
from inkmill.backends.store import open_store
from inkmill.local.servers import Stack
from inkmill.local.workers import LocalWorkers
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import results, submit
from tests.faults import checker, workload
from tests.faults.checker import Calm
from tests.faults.cluster import QUICK


def calm_run(stack: Stack, folder: Path) -> Calm:
    """The row of each distinct digit."""
    chosen = stack.settings.model_copy(update={**QUICK, "s3_bucket": "calm"})
    store = open_store(chosen)
    store.create_bucket()
    Registry(store, chosen.model).publish(load())
    work = workload.build(folder / "scans", workload.DISTINCT)
    with LocalWorkers(chosen, 1, folder / "worker.log") as workers:
        workers.wait_ready(checker.patient(90.0))
        job = submit(work.folder, settings=chosen)
        checker.until(lambda: checker.finished(store, job), 60, "the calm run")
        rows = {workload.number_of(row.source): row for row in results(job, settings=chosen)}
    Queue(chosen).client.flushall()
    assert len(rows) == workload.DISTINCT
    return rows
