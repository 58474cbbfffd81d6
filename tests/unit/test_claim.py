"""A job's name belongs to who wrote its record first, whatever else happens to it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore, exists
from inkmill.errors import JobBusy, JobMismatch, UsageError
from inkmill.lifecycle import reconcile, retention
from inkmill.producer import cancel, delete, results, submit
from inkmill.producer.inputs.upload import Upload
from inkmill.producer.submission import record as records
from inkmill.producer.submission.submission import Submission
from inkmill.records.jobs import FIRST, ITEMS, Chunk, Job
from tests.fakes import DyingStore, FakeCluster, Killed

Scans = Callable[..., Path]
CHUNK = 2


def sent(cluster: FakeCluster, folder: Path, name: str = "a", **options: Any) -> str:
    return submit(folder, name=name, chunk_size=CHUNK, connection=cluster.connection, **options)


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


def test_remains_of_a_killed_delete_are_no_part_of_the_new_job(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each step of a delete, and then at each step of the submit that follows."""
    monkeypatch.setattr(retention, "TAKE_OVER_SECONDS", 0.0)
    old, new = scans(6, "older"), scans(6, "new")
    for deleted in range(1, 5):
        for step in range(14):
            store = DyingStore()
            cluster = FakeCluster(store)
            sent(cluster, old)
            before = set(rows_of(cluster, "a"))
            store.arm(deleted)
            with suppress(Killed):
                delete("a", connection=cluster.connection)
            store.arm(None)
            if exists(store, names.job_record("a")):
                continue
            store.arm(step)
            with suppress(Killed):
                sent(cluster, new)
            store.arm(None)
            reconcile.sweep(store, cluster.queue, 0.0, force=True)
            cluster.work(limit=2)
            sent(cluster, new)
            found = rows_of(cluster, "a")
            assert len(found) == 6
            assert not before & set(found)


def test_what_a_worker_read_of_remains_is_of_another_time(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers tell jobs of one name apart by their time of creation."""
    cluster.store.put(names.chunk("a", 0), b"of an older job")
    seen: list[Job] = []
    look = lambda: seen.append(reconcile.load_job(cluster.store, "a"))  # noqa: E731
    meanwhile(monkeypatch, MemoryStore, "delete", look)
    sent(cluster, scans(4))
    assert not seen[0].sealed
    assert seen[0].created < reconcile.load_job(cluster.store, "a").created


def test_two_that_clear_one_name(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.store.put(names.chunk("a", 0), b"of an older job")
    folder, busy = scans(4), list[JobBusy]()

    def other() -> None:
        with pytest.raises(JobBusy) as refused:
            sent(cluster, folder)
        busy.append(refused.value)

    meanwhile(monkeypatch, MemoryStore, "delete", other)
    sent(cluster, folder)
    assert busy
    assert len(rows_of(cluster, "a")) == 4


def test_a_claim_that_rested_too_long_is_lost(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "TAKE_OVER_SECONDS", 0.0)
    cluster.store.put(names.chunk("a", 0), b"of an older job")
    folder = scans(4)
    meanwhile(monkeypatch, records, "_clear", lambda: sent(cluster, folder))
    with pytest.raises(JobBusy):
        sent(cluster, folder)
    assert len(rows_of(cluster, "a")) == 4


def test_a_delete_ends_where_its_name_is_taken_anew(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(cluster, scans(4, "older"))
    new = scans(4, "new")
    rest = retention._delete_rest

    def late(*args: Any) -> None:
        sent(cluster, new)
        rest(*args)

    monkeypatch.setattr(retention, "_delete_rest", late)
    delete("a", connection=cluster.connection)
    assert exists(cluster.store, names.open_marker("a"))
    assert len(rows_of(cluster, "a")) == 4


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
    monkeypatch.setattr("inkmill.producer.submission.submission.new_id", lambda: "a")
    folder = scans(12)

    def run() -> None:
        try:
            submit(folder, name=name, chunk_size=CHUNK, connection=cluster.connection)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert held.come.wait(20)
    while len(list(cluster.store.list(names.chunks("a")))) < 4:
        held.come.wait(0.01)
    cancel("a", connection=cluster.connection)
    held.go.set()
    thread.join(20)
    assert [type(each).__name__ for each in ended] == ["JobStopped"]
    assert "was cancelled while it was being uploaded" in str(ended[0])
    record = reconcile.load_job(cluster.store, "a")
    stored = [names.number_of(each.key) for each in cluster.store.list(names.chunks("a"))]
    assert stored == list(range(record.chunks))
    about = cluster.store.head(names.chunk("a", 1))
    assert about is not None
    assert (about[FIRST], about[ITEMS]) == (str(CHUNK), "0")


def test_a_cancel_that_was_killed_is_ended_by_the_submit(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its marker is there: whoever uploads ends it, and nothing stays behind."""
    folder = scans(12)
    marker = names.cancel_marker("a")
    meanwhile(monkeypatch, Upload, "finish", lambda: cluster.store.put(marker, b"{}"))
    with pytest.raises(UsageError, match="was cancelled"):
        sent(cluster, folder)
    record = reconcile.load_job(cluster.store, "a")
    assert record.sealed
    assert record.chunks == len(list(cluster.store.list(names.results("a")))) == 6


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
    record = reconcile.load_job(cluster.store, "a")
    unsealed = replace(record, sealed=False, chunks=0, items=0, inputs="")
    cluster.store.put(names.job_record("a"), unsealed.encode())
    cluster.store.delete([names.chunk("a", number) for number in (0, 1, 3, 5)])
    with pytest.raises(JobMismatch):
        sent(cluster, other)
    stored = [names.number_of(each.key) for each in cluster.store.list(names.chunks("a"))]
    assert stored == [2, 4]
    for name in ("010.png", "011.png", "009.png", "008.png", "007.png"):
        (mine / name).rename(mine.parent / name)
    with pytest.raises(JobMismatch, match="removed"):
        sent(cluster, mine)
    assert [names.number_of(each.key) for each in cluster.store.list(names.chunks("a"))] == [2, 4]
    for name in ("010.png", "011.png", "009.png", "008.png", "007.png"):
        (mine.parent / name).rename(mine / name)
    sent(cluster, mine)
    assert reconcile.load_job(cluster.store, "a").inputs == record.inputs
    assert len(rows_of(cluster, "a")) == 12
