"""A deleted job's rows, written late below the name of a new one, do not stay in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import names
from inkmill.backends.store import exists
from inkmill.errors import NotFinished
from inkmill.lifecycle import belonging, reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.producer import delete, results, resume, status, submit
from inkmill.records import events, rows
from inkmill.records.jobs import Chunk
from inkmill.records.rows import Row
from inkmill.worker.chunk import run
from inkmill.worker.context import Context
from tests.delivery import StandInEngines, StandInModels
from tests.fakes import FakeCluster, Killed
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form
from tests.unit.form_pages import row as row_of

Scans = Callable[..., Path]


def worker_of(cluster: FakeCluster) -> Context:
    engines, models = cast(Any, StandInEngines(set())), cast(Any, StandInModels())
    return Context(cluster.settings, cluster.store, cluster.queue, engines, models, cast(Any, None))


def run_all(cluster: FakeCluster) -> None:
    worker = worker_of(cluster)
    while (message := cluster.queue.take()) is not None:
        run.run(worker, message)
    worker.markers.flush()


def leave_old_rows(
    cluster: FakeCluster, old: Path, number: int, meanwhile: Callable[[], None]
) -> None:
    """A worker reads a chunk of a job that is deleted meanwhile, and is killed after its write."""
    submit(old, name="j", chunk_size=2, connection=cluster.connection)
    taken = list(iter(cluster.queue.take, None))  # in any order: they are uploaded side by side
    (message,) = [each for each in taken if each.chunk == number]
    late = worker_of(cluster)

    def happen() -> None:
        delete("j", connection=cluster.connection)
        meanwhile()

    cast(Any, late.engines).meanwhile = happen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "is_wanted", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run.run(late, message)


@pytest.mark.parametrize(("count", "number"), [(1, 0), (2, 0), (4, 0), (4, 1)])
@pytest.mark.parametrize("flushed", [False, True])
def test_old_rows_do_not_stay_in_a_new_job(
    cluster: FakeCluster, scans: Scans, count: int, number: int, flushed: bool
) -> None:
    new = scans([f"new{each}.png" for each in range(count)], "newer")

    def meanwhile() -> None:
        submit(new, name="j", chunk_size=2, connection=cluster.connection)

    old = scans([f"old{each}.png" for each in range(2 * number + 2)], "old")
    leave_old_rows(cluster, old, number, meanwhile)
    if flushed:
        cluster.queue.client.flushall()
    for _ in range(4):
        reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
        run_all(cluster)
    assert [row.source for row in results("j", connection=cluster.connection)] == [
        f"new{each}.png" for each in range(count)
    ]
    assert judge(cluster.store, cluster.queue, "j").problems == ()
    assert not exists(cluster.store, names.open_marker("j"))


def test_a_late_worker_leaves_the_rows_of_the_new_job(cluster: FakeCluster, scans: Scans) -> None:
    """It was slower than all of the new job: neither replaces nor deletes what it finds."""
    new = scans(["new0.png", "new1.png"], "newer")
    submit(scans(["old0.png", "old1.png"], "old"), name="j", connection=cluster.connection)
    message = cluster.queue.take()
    assert message is not None
    late = worker_of(cluster)

    def happen() -> None:
        delete("j", connection=cluster.connection)
        submit(new, name="j", connection=cluster.connection)
        run_all(cluster)

    cast(Any, late.engines).meanwhile = happen
    run.run(late, message)
    assert judge(cluster.store, cluster.queue, "j").problems == ()
    found = [row.source for row in results("j", connection=cluster.connection)]
    assert found == ["new0.png", "new1.png"]


def test_a_late_worker_does_not_finish_the_new_job(cluster: FakeCluster, scans: Scans) -> None:
    """As many chunks and rows are there as the old job had; the new one has more."""
    new = scans([f"new{each}.png" for each in range(6)], "newer")
    old = scans([f"old{each}.png" for each in range(4)], "old")
    submit(old, name="j", chunk_size=2, connection=cluster.connection)
    taken = list(iter(cluster.queue.take, None))
    late = worker_of(cluster)

    def happen() -> None:
        delete("j", connection=cluster.connection)
        submit(new, name="j", chunk_size=2, connection=cluster.connection)
        fresh = {message.chunk: message for message in iter(cluster.queue.take, None)}
        for number in (0, 1):
            run.run(worker_of(cluster), fresh[number])
        cluster.queue.settle("j", 2)  # as if the last chunk were still on its way to the store

    cast(Any, late.engines).meanwhile = happen
    run.run(late, next(message for message in taken if message.chunk == 0))
    assert reconcile.load_summary(cluster.store, "j") is None
    assert exists(cluster.store, names.open_marker("j"))
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    run_all(cluster)
    assert judge(cluster.store, cluster.queue, "j").problems == ()
    assert len(list(results("j", connection=cluster.connection))) == 6


def write_rows(cluster: FakeCluster, number: int, created: float) -> None:
    """A worker's result, as it says whose it is; that of a deleted job reads OLD and 9."""
    record = reconcile.load_job(cluster.store, "j")
    stale = created != record.created
    items = Chunk.decode(cluster.store.get(names.chunk("j", number)).data).items
    made = [
        Row(item.item, "OLD" if stale else item.source, digit="9" if stale else "7")
        for item in items
    ]
    cluster.store.put(
        names.result("j", number),
        rows.encode(made),
        metadata=belonging.mark(replace(record, created=created)),
    )


@pytest.mark.parametrize("count", [1, 4])
def test_old_rows_are_not_given_out_as_the_new_jobs(
    cluster: FakeCluster, scans: Scans, count: int
) -> None:
    names_of = [f"new{each}.png" for each in range(count)]
    submit(scans(names_of, "newer"), name="j", chunk_size=2, connection=cluster.connection)
    created = reconcile.load_job(cluster.store, "j").created
    for number in range((count + 1) // 2):
        write_rows(cluster, number, created - 100 * (number == 0))

    with pytest.raises(NotFinished, match="not finished"):
        list(results("j", connection=cluster.connection))
    partial = list(results("j", partial=True, connection=cluster.connection))
    assert [row.source for row in partial] == names_of[2:]
    assert not exists(cluster.store, names.settled("j"))
    assert status("j", connection=cluster.connection).state == "running"
    assert resume("j", connection=cluster.connection) == 1

    write_rows(cluster, 0, created)
    assert [row.source for row in results("j", connection=cluster.connection)] == names_of


def test_no_counts_are_kept_of_a_job_with_old_rows(cluster: FakeCluster) -> None:
    template = form({"a": "1|type: digits"})
    job = finished_job(cluster, template, [row_of(template, each, {"a": "1"}) for each in range(4)])
    record = reconcile.load_job(cluster.store, job)
    old = belonging.mark(replace(record, created=record.created - 100))
    key = names.result(job, 0)
    cluster.store.put(key, cluster.store.get(key).data, metadata=old)
    cluster.store.delete([names.job_summary(job)])
    events.add(cluster.store, job, [events.Event(0, "a", "7", "1", "ann", 1.0)])
    with pytest.raises(NotFinished, match="not finished"):
        list(results(job, connection=cluster.connection))
    list(results(job, partial=True, connection=cluster.connection))
    assert not exists(cluster.store, names.settled(job))
