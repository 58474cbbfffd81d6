"""A deleted job's rows, written late below the name of a new one, do not stay in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import belonging, events, names, reconcile, rows
from inkmill.errors import NotFinished
from inkmill.jobs import Chunk
from inkmill.producer import delete, results, resume, status, submit
from inkmill.promise import judge
from inkmill.rows import Row
from inkmill.store import exists
from inkmill.worker import chunk
from inkmill.worker.mill import Mill
from tests.delivery import StandInEngines, StandInModels
from tests.fakes import FakeMill, Killed
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form
from tests.unit.form_pages import row as row_of

Scans = Callable[..., Path]


def worker_of(mill: FakeMill) -> Mill:
    engines, models = cast(Any, StandInEngines(set())), cast(Any, StandInModels())
    return Mill(mill.settings, mill.store, mill.queue, engines, models, cast(Any, None))


def run_all(mill: FakeMill) -> None:
    worker = worker_of(mill)
    while (message := mill.queue.take()) is not None:
        chunk.run(worker, message)
    worker.markers.flush()


def leave_old_rows(mill: FakeMill, old: Path, number: int, meanwhile: Callable[[], None]) -> None:
    """A worker reads a chunk of a job that is deleted meanwhile, and is killed after its write."""
    submit(old, name="j", chunk_size=2, connection=mill.connection)
    taken = list(iter(mill.queue.take, None))  # in any order: they are uploaded side by side
    (message,) = [each for each in taken if each.chunk == number]
    late = worker_of(mill)

    def happen() -> None:
        delete("j", connection=mill.connection)
        meanwhile()

    cast(Any, late.engines).meanwhile = happen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "is_wanted", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            chunk.run(late, message)


@pytest.mark.parametrize(("count", "number"), [(1, 0), (2, 0), (4, 0), (4, 1)])
@pytest.mark.parametrize("flushed", [False, True])
def test_old_rows_do_not_stay_in_a_new_job(
    mill: FakeMill, scans: Scans, count: int, number: int, flushed: bool
) -> None:
    new = scans([f"new{each}.png" for each in range(count)], "newer")

    def meanwhile() -> None:
        submit(new, name="j", chunk_size=2, connection=mill.connection)

    old = scans([f"old{each}.png" for each in range(2 * number + 2)], "old")
    leave_old_rows(mill, old, number, meanwhile)
    if flushed:
        mill.queue.client.flushall()
    for _ in range(4):
        reconcile.sweep(mill.store, mill.queue, 0.0, force=True)
        run_all(mill)
    assert [row.source for row in results("j", connection=mill.connection)] == [
        f"new{each}.png" for each in range(count)
    ]
    assert judge(mill.store, mill.queue, "j").problems == ()
    assert not exists(mill.store, names.open_marker("j"))


def test_a_late_worker_leaves_the_rows_of_the_new_job(mill: FakeMill, scans: Scans) -> None:
    """It was slower than all of the new job: neither replaces nor deletes what it finds."""
    new = scans(["new0.png", "new1.png"], "newer")
    submit(scans(["old0.png", "old1.png"], "old"), name="j", connection=mill.connection)
    message = mill.queue.take()
    assert message is not None
    late = worker_of(mill)

    def happen() -> None:
        delete("j", connection=mill.connection)
        submit(new, name="j", connection=mill.connection)
        run_all(mill)

    cast(Any, late.engines).meanwhile = happen
    chunk.run(late, message)
    assert judge(mill.store, mill.queue, "j").problems == ()
    found = [row.source for row in results("j", connection=mill.connection)]
    assert found == ["new0.png", "new1.png"]


def test_a_late_worker_does_not_finish_the_new_job(mill: FakeMill, scans: Scans) -> None:
    """As many chunks and rows are there as the old job had; the new one has more."""
    new = scans([f"new{each}.png" for each in range(6)], "newer")
    old = scans([f"old{each}.png" for each in range(4)], "old")
    submit(old, name="j", chunk_size=2, connection=mill.connection)
    taken = list(iter(mill.queue.take, None))
    late = worker_of(mill)

    def happen() -> None:
        delete("j", connection=mill.connection)
        submit(new, name="j", chunk_size=2, connection=mill.connection)
        fresh = {message.chunk: message for message in iter(mill.queue.take, None)}
        for number in (0, 1):
            chunk.run(worker_of(mill), fresh[number])
        mill.queue.settle("j", 2)  # as if the last chunk were still on its way to the store

    cast(Any, late.engines).meanwhile = happen
    chunk.run(late, next(message for message in taken if message.chunk == 0))
    assert reconcile.load_summary(mill.store, "j") is None
    assert exists(mill.store, names.open_marker("j"))
    reconcile.sweep(mill.store, mill.queue, 0.0, force=True)
    run_all(mill)
    assert judge(mill.store, mill.queue, "j").problems == ()
    assert len(list(results("j", connection=mill.connection))) == 6


def write_rows(mill: FakeMill, number: int, created: float) -> None:
    """A worker's result, as it says whose it is; that of a deleted job reads OLD and 9."""
    record = reconcile.load_job(mill.store, "j")
    stale = created != record.created
    items = Chunk.decode(mill.store.get(names.chunk("j", number)).data).items
    made = [
        Row(item.item, "OLD" if stale else item.source, digit="9" if stale else "7")
        for item in items
    ]
    mill.store.put(
        names.result("j", number),
        rows.encode(made),
        metadata=belonging.mark(replace(record, created=created)),
    )


@pytest.mark.parametrize("count", [1, 4])
def test_old_rows_are_not_given_out_as_the_new_jobs(
    mill: FakeMill, scans: Scans, count: int
) -> None:
    names_of = [f"new{each}.png" for each in range(count)]
    submit(scans(names_of, "newer"), name="j", chunk_size=2, connection=mill.connection)
    created = reconcile.load_job(mill.store, "j").created
    for number in range((count + 1) // 2):
        write_rows(mill, number, created - 100 * (number == 0))

    with pytest.raises(NotFinished, match="not finished"):
        list(results("j", connection=mill.connection))
    partial = list(results("j", partial=True, connection=mill.connection))
    assert [row.source for row in partial] == names_of[2:]
    assert not exists(mill.store, names.settled("j"))
    assert status("j", connection=mill.connection).state == "running"
    assert resume("j", connection=mill.connection) == 1

    write_rows(mill, 0, created)
    assert [row.source for row in results("j", connection=mill.connection)] == names_of


def test_no_counts_are_kept_of_a_job_with_old_rows(mill: FakeMill) -> None:
    template = form({"a": "1|type: digits"})
    job = finished_job(mill, template, [row_of(template, each, {"a": "1"}) for each in range(4)])
    record = reconcile.load_job(mill.store, job)
    old = belonging.mark(replace(record, created=record.created - 100))
    key = names.result(job, 0)
    mill.store.put(key, mill.store.get(key).data, metadata=old)
    mill.store.delete([names.job_summary(job)])
    events.add(mill.store, job, [events.Event(0, "a", "7", "1", "ann", 1.0)])
    with pytest.raises(NotFinished, match="not finished"):
        list(results(job, connection=mill.connection))
    list(results(job, partial=True, connection=mill.connection))
    assert not exists(mill.store, names.settled(job))
