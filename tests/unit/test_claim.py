"""A name points to the job that claimed it first, whatever else happens meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore, exists
from inkmill.errors import Corrupt, JobBusy, JobMismatch, NotFound, UsageError
from inkmill.lifecycle import reconcile, retention
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import cancel, delete, results, submit
from inkmill.producer.inputs.upload import Upload
from inkmill.producer.submission.submission import Submission
from inkmill.records.chunks import FIRST, ITEMS, Chunk
from inkmill.worker.chunk.run import run
from tests.delivery import worker_of
from tests.fakes import DyingStore, FakeCluster, Killed

Scans = Callable[..., Path]
CHUNK = 2
ID = "20261129-120000-0123456789abcdef"


def sent(cluster: FakeCluster, folder: Path, name: str = "a", **options: Any) -> str:
    return submit(folder, name=name, chunk_size=CHUNK, connection=cluster.connection, **options)


def kill(*_: object) -> bool:
    raise Killed


def rows_of(cluster: FakeCluster, job: str) -> list[str]:
    """The digests of the images that the job's rows are of."""
    cluster.work()
    return [row.sha256 for row in results(job, connection=cluster.connection)]


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, happen: Callable[[], object]
) -> None:
    """The next call of a method is preceded by what others do."""
    method = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        happen()
        return method(*args, **options)

    monkeypatch.setattr(owner, name, call)


def test_a_revision_that_was_taken_meanwhile_stays_as_it_is(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(cluster, scans(4, "one"))
    quick, slow = scans(4, "quick"), scans(4, "slowest")
    made: list[list[str]] = []

    def other() -> None:
        assert sent(cluster, quick, new_revision=True) == "a-r2"
        made.append(rows_of(cluster, "a-r2"))

    meanwhile(monkeypatch, Submission, "_compare", other)
    assert sent(cluster, slow, new_revision=True) == "a-r3"
    assert rows_of(cluster, "a-r2") == made[0]
    assert len(set(rows_of(cluster, "a-r3")) | set(made[0])) == 8


def test_a_name_that_was_taken_meanwhile_stays_as_it_is(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = scans(4, "quick"), scans(4, "slowest")
    meanwhile(monkeypatch, Submission, "_begin", lambda: sent(cluster, quick))
    with pytest.raises(JobBusy, match="by somebody else"):
        sent(cluster, slow)
    assert len(rows_of(cluster, "a")) == 4


@pytest.mark.parametrize("deleted", range(2, 6))
def test_a_name_is_free_while_its_old_job_is_being_deleted(
    scans: Scans, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    """Killed at each step of a delete, and then at each step of the submit that follows."""
    old, new = scans(6, "older"), scans(6, "new")
    for step in range(10):
        store = DyingStore()
        cluster = FakeCluster(store)
        sent(cluster, old)
        former = cluster.id("a")
        before = set(rows_of(cluster, "a"))
        store.arm(deleted)
        with suppress(Killed):
            delete("a", connection=cluster.connection)
        store.arm(None)
        store.arm(step)
        with suppress(Killed):
            sent(cluster, new)
        store.arm(None)
        cluster.work(limit=2)
        sent(cluster, new)
        found = rows_of(cluster, "a")
        assert len(found) == 6
        assert not before & set(found)
        with monkeypatch.context() as patch:
            patch.setattr(retention, "TAKE_OVER_SECONDS", 0.0)
            reconcile.sweep(store, cluster.queue, 0.0, force=True)
        assert list(store.folders(names.JOBS)) == [names.job_root(cluster.id("a"))]
        assert cluster.id("a") != former


def test_a_slow_delete_leaves_the_name_to_the_job_that_took_it(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(cluster, scans(4, "older"))
    new = scans(4, "new")
    meanwhile(monkeypatch, retention, "delete_prefix", lambda: sent(cluster, new))
    delete("a", connection=cluster.connection)
    assert len(rows_of(cluster, "a")) == 4
    assert list(cluster.store.list(names.OPEN)) == []


def test_a_late_worker_leaves_nothing_of_a_deleted_job(cluster: FakeCluster, scans: Scans) -> None:
    """It wrote its rows after the delete was over; the job that took the name keeps its own."""
    sent(cluster, scans(4, "older"))
    message = cluster.queue.take()
    assert message is not None
    context = worker_of(cluster.settings, cluster.store, cluster.queue)
    new = scans(4, "new")

    def happen() -> None:
        delete("a", connection=cluster.connection)
        sent(cluster, new)

    cast(Any, context.pool).meanwhile = happen
    run(context, message)
    assert list(cluster.store.folders(names.JOBS)) == [names.job_root(cluster.id("a"))]
    assert set(rows_of(cluster, "a")) == {
        sha256(path.read_bytes()).hexdigest() for path in new.iterdir()
    }


def test_a_worker_killed_behind_its_late_write_leaves_nothing_either(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is delivered again, and whoever gets it removes what it left."""
    sent(cluster, scans(4, "older"))
    message = cluster.queue.take()
    assert message is not None
    context = worker_of(cluster.settings, cluster.store, cluster.queue)
    cast(Any, context.pool).meanwhile = lambda: delete("a", connection=cluster.connection)
    with monkeypatch.context() as patch:
        patch.setattr("inkmill.worker.chunk.run.is_wanted", kill)
        with pytest.raises(Killed):
            run(context, message)
    assert list(cluster.store.folders(names.JOBS)) != []
    run(worker_of(cluster.settings, cluster.store, cluster.queue), message)
    assert list(cluster.store.list(names.JOBS)) == []


def test_a_damaged_pointer_is_named_and_stops_no_delete(cluster: FakeCluster, scans: Scans) -> None:
    sent(cluster, scans(4))
    job = cluster.id("a")
    cluster.store.put(names.name_pointer("a"), b'{"revisions": {"1": "../x"}}')
    with pytest.raises(Corrupt, match=r"names/a\.json"):
        load_job(cluster.store, "a")
    delete(job, connection=cluster.connection)
    assert list(cluster.store.list(names.JOBS)) == []


def test_a_pointer_that_goes_while_a_submit_claims_it(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers a conditional write to an object that is gone with 404."""
    sent(cluster, scans(4, "older"))
    cluster.store.delete([names.job_record(cluster.id("a"))])
    put, gone = MemoryStore.put, list[str]()

    def put_to_nothing(store: MemoryStore, key: str, data: bytes, **options: Any) -> str:
        if options.get("if_match") and key == names.name_pointer("a") and not gone:
            gone.append(key)
            store.delete([key])
            raise NotFound(f"there is no object {key}")
        return put(store, key, data, **options)

    monkeypatch.setattr(MemoryStore, "put", put_to_nothing)
    sent(cluster, scans(4, "new"))
    assert gone
    assert len(rows_of(cluster, "a")) == 4


def test_the_longest_name_has_revisions(cluster: FakeCluster, scans: Scans) -> None:
    name = "n" * 80
    sent(cluster, scans(2), name)
    label = sent(cluster, scans(3, "more"), name, new_revision=True)
    assert label == f"{name}-r2"
    assert len(rows_of(cluster, label)) == 3
    delete(label, connection=cluster.connection)
    assert len(rows_of(cluster, name)) == 2


def test_an_id_given_as_name_is_the_job_that_has_it(cluster: FakeCluster, scans: Scans) -> None:
    sent(cluster, scans(2))
    assert sent(cluster, scans(2), cluster.id("a")) == "a"
    assert sent(cluster, scans(3, "more"), cluster.id("a"), new_revision=True) == "a-r2"


def test_a_revision_whose_job_is_gone_is_not_compared_with(
    cluster: FakeCluster, scans: Scans
) -> None:
    sent(cluster, scans(2))
    sent(cluster, scans(3, "more"), new_revision=True)
    cluster.store.delete([names.job_record(cluster.id("a-r2"))])
    sent(cluster, scans(2), new_revision=True)  # the same as the first: nothing to do
    assert len(list(cluster.store.folders(names.JOBS))) == 2


def test_a_job_that_is_deleted_while_it_is_finished_leaves_nothing(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is the delete's then: should it be killed, a sweep has to find the job."""
    sent(cluster, scans(4))
    job = cluster.id("a")
    summarise = reconcile._summarise

    def late(*args: Any) -> Any:
        cluster.store.delete([names.job_record(job)])  # a delete, killed after this
        return summarise(*args)

    monkeypatch.setattr(reconcile, "_summarise", late)
    with pytest.raises(NotFound):
        cluster.work()
    assert [entry.key for entry in cluster.store.list(names.job_root(job))] == []
    assert exists(cluster.store, names.open_marker(job))


def test_a_cancel_of_a_job_that_is_deleted_leaves_nothing(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(cluster, scans(6))
    job = cluster.id("a")
    remove = partial(delete, "a", connection=cluster.connection)
    meanwhile(monkeypatch, sys.modules["inkmill.producer.control"], "_cancel_chunks", remove)
    with pytest.raises(NotFound):
        cancel("a", connection=cluster.connection)
    assert [entry.key for entry in cluster.store.list(names.job_root(job))] == []


def test_a_sweep_looks_after_a_job_whose_pointer_is_damaged(
    cluster: FakeCluster, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    sent(cluster, scans(4))
    job = cluster.id("a")
    record = load_job(cluster.store, "a")
    unsealed = replace(record, sealed=False, chunks=0, items=0, inputs="", layout=())
    cluster.store.put(names.job_record(job), unsealed.encode())
    cluster.store.put(names.name_pointer("a"), b"no pointer")
    cluster.queue.client.flushall()
    reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)
    assert cluster.queue.lengths()["normal"] == 2
    assert "Delete that object" in caplog.text


def test_nothing_is_claimed_for_no_images(cluster: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to submit"):
        sent(cluster, tmp_path)
    assert list(cluster.store.list(names.JOBS)) == []


# --- cancelled in the middle of an upload ---------------------------------------------------------


class Held:
    """Holds the upload of chunk 1 back until ``go`` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.come, self.go = threading.Event(), threading.Event()
        write = Upload._write

        def held(upload: Upload, chunk: Chunk, data: bytes, digest: str) -> None:
            if chunk.number == 1:
                self.come.set()
                assert self.go.wait(20)
            write(upload, chunk, data, digest)

        monkeypatch.setattr(Upload, "_write", held)


@pytest.mark.parametrize("name", ["a", None])
def test_a_hole_that_a_cancel_filled_is_no_defect(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    held, ended = Held(monkeypatch), list[BaseException]()
    monkeypatch.setattr("inkmill.producer.submission.submission.new_id", lambda: ID)
    folder = scans(12)

    def run() -> None:
        try:
            submit(folder, name=name, chunk_size=CHUNK, connection=cluster.connection)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert held.come.wait(20)
    while len(list(cluster.store.list(names.chunks(ID)))) < 4:
        held.come.wait(0.01)
    cancel(name or ID, connection=cluster.connection)
    held.go.set()
    thread.join(20)
    assert [type(each).__name__ for each in ended] == ["JobStopped"]
    assert "was cancelled while it was being uploaded" in str(ended[0])
    record = load_job(cluster.store, name or ID)
    stored = [names.number_of(each.key) for each in cluster.store.list(names.chunks(ID))]
    assert stored == list(range(record.chunks))
    about = cluster.store.head(names.chunk(ID, 1))
    assert about is not None
    assert (about[FIRST], about[ITEMS]) == (str(CHUNK), "0")


def test_a_cancel_that_was_killed_is_ended_by_the_submit(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its marker is there: whoever uploads ends it, and nothing stays behind."""
    folder = scans(12)
    stop = lambda: cluster.store.put(names.cancel_marker(cluster.id("a")), b"{}")  # noqa: E731
    meanwhile(monkeypatch, Upload, "finish", stop)
    with pytest.raises(UsageError, match="was cancelled"):
        sent(cluster, folder)
    record = load_job(cluster.store, "a")
    assert record.sealed
    assert record.chunks == len(list(cluster.store.list(names.results(cluster.id("a"))))) == 6


def test_others_images_under_the_name_at_the_same_time(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = scans(4, "quick"), scans(4, "slowest")
    meanwhile(monkeypatch, Submission, "_fill", lambda: sent(cluster, quick))
    with pytest.raises(JobMismatch, match="by somebody else with other images"):
        sent(cluster, slow)
    assert len(rows_of(cluster, "a")) == 4


def test_other_images_do_not_fill_the_holes_of_a_killed_submit(
    cluster: FakeCluster, scans: Scans
) -> None:
    """Uploads are parallel: the first chunks may be those that a kill prevented."""
    mine, other = scans(12, "mine"), scans(12, "others")
    sent(cluster, mine)
    record = load_job(cluster.store, "a")
    unsealed = replace(record, sealed=False, chunks=0, items=0, inputs="", layout=())
    cluster.store.put(names.job_record(cluster.id("a")), unsealed.encode())
    cluster.store.delete([names.chunk(cluster.id("a"), number) for number in (0, 1, 3, 5)])
    with pytest.raises(JobMismatch):
        sent(cluster, other)
    stored = [
        names.number_of(each.key) for each in cluster.store.list(names.chunks(cluster.id("a")))
    ]
    assert stored == [2, 4]
    for name in ("010.png", "011.png", "009.png", "008.png", "007.png"):
        (mine / name).rename(mine.parent / name)
    with pytest.raises(JobMismatch, match="removed"):
        sent(cluster, mine)
    assert [
        names.number_of(each.key) for each in cluster.store.list(names.chunks(cluster.id("a")))
    ] == [2, 4]
    for name in ("010.png", "011.png", "009.png", "008.png", "007.png"):
        (mine.parent / name).rename(mine / name)
    sent(cluster, mine)
    assert load_job(cluster.store, "a").inputs == record.inputs
    assert len(rows_of(cluster, "a")) == 12
