"""A watch that is killed, or meets another, in the middle of a batch: every file has its row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import Unreachable
from inkmill.names import JOBS, chunks, watch
from inkmill.producer import cancel, delete, results, status
from inkmill.producer.inputs.upload import Upload
from inkmill.producer.submission.submission import Submission
from inkmill.producer.watch import Watch
from inkmill.records.jobs import Job
from tests.fakes import DyingStore, FakeCluster, Killed, png, sources
from tests.unit.watches import jobs, watcher

Scans = Callable[..., Path]


def test_a_batch_that_was_claimed_and_not_submitted_is_finished(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    dying = Watch(cluster.connection, str(folder), name="in", settle=0)

    def die(*_: object, **__: object) -> None:
        raise Unreachable("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(Submission, "named", die)
        with pytest.raises(Unreachable):
            dying.look()
    assert len(list(cluster.store.list(watch("in")))) == 1

    assert Watch(cluster.connection, str(folder), name="in", settle=0).look() == "in-000000"
    assert len(sources(cluster, "in-000000")) == 3
    assert dying.look() is None  # the old one learns of it, too


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_killed_at_each_write_and_a_file_changed_every_file_has_its_row(
    scans: Scans, change: str
) -> None:
    for step in range(1, 16):
        store = DyingStore()
        cluster = FakeCluster(store)
        folder = scans(8)
        dying = watcher(cluster, folder)
        store.arm(step)
        with suppress(Killed):
            dying.look()
        store.arm(None)
        if change == "changed":
            (folder / "000.png").write_bytes(png(9000))
        else:
            (folder / "000.png").unlink()
        again = watcher(cluster, folder)
        while again.look():
            cluster.work()
        cluster.work()
        whole = [
            each for each in jobs(cluster) if status(each, connection=cluster.connection).rows == 8
        ]
        rows = [row.source for row in results(whole[-1], connection=cluster.connection)]
        assert rows == [f"{number:03d}.png" for number in range(8)]
        states = {each: status(each, connection=cluster.connection).state for each in jobs(cluster)}
        assert set(states.values()) <= {"finished", "cancelled"}
        assert len([each for each in states if each.endswith("-r2")]) <= 1
        before = jobs(cluster)
        assert watcher(cluster, folder).look() is None
        assert jobs(cluster) == before


def test_killed_while_it_mends_an_interrupted_batch(scans: Scans) -> None:
    """A revision, then the cancel of the first job: killed in between, the next start ends it."""
    for step in range(16):
        store = DyingStore()
        cluster = FakeCluster(store)
        folder = scans(8)
        store.arm(5)
        with pytest.raises(Killed):
            watcher(cluster, folder).look()
        store.arm(None)
        for number in range(8):
            (folder / f"{number:03d}.png").write_bytes(png(9000 + number))
        store.arm(step)
        with suppress(Killed):
            watcher(cluster, folder).look()
        store.arm(None)
        last = watcher(cluster, folder)
        while last.look():
            pass
        cluster.work()
        assert jobs(cluster)[:2] == ["in-000000", "in-000000-r2"]
        assert status("in-000000", connection=cluster.connection).state == "cancelled"
        assert len(list(results("in-000000-r2", connection=cluster.connection))) == 8


def test_another_watcher_that_is_slower_does_not_end(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(6)
    one, two = watcher(cluster, folder), watcher(cluster, folder)
    begin, seen = Submission._begin, list[str | None]()

    def late(self: Submission, name: str, number: int) -> str:
        """While one is about to claim the name, the other does."""
        monkeypatch.setattr(Submission, "_begin", begin)
        seen.append(two.look())
        return begin(self, name, number)

    monkeypatch.setattr(Submission, "_begin", late)
    assert one.look() is None
    assert seen == ["in-000000"]
    assert one.look() is None
    assert jobs(cluster) == ["in-000000"]


@pytest.mark.parametrize("stop", [cancel, delete])
def test_a_job_that_nobody_wants_does_not_end_the_watch(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch, stop: Callable[..., object]
) -> None:
    folder = scans(6)
    finish = Upload.finish

    def stopped(self: Upload) -> list[str]:
        monkeypatch.setattr(Upload, "finish", finish)
        digests = finish(self)
        stop("in-000000", connection=cluster.connection)
        return digests

    monkeypatch.setattr(Upload, "finish", stopped)
    watched = watcher(cluster, folder)
    assert watched.look() is None
    (folder / "later.png").write_bytes(png(200))
    assert watched.look() == "in-000001"
    assert watcher(cluster, folder).look() is None
    assert jobs(cluster) == (["in-000000"] if stop is cancel else []) + ["in-000001"]


def test_each_batch_that_was_left_is_submitted(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the last one: others may have gone on meanwhile."""
    folder = scans(2)
    put = MemoryStore.put

    def die(self: MemoryStore, key: str, data: bytes, **options: object) -> str:
        if key.startswith(JOBS):
            raise Killed
        return put(self, key, data, **options)  # type: ignore[arg-type]

    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png(len(jobs(cluster)) + ord(name[0])))
        with monkeypatch.context() as patch:
            patch.setattr(MemoryStore, "put", die)
            dying = watcher(cluster, folder)
            dying._catch_up()
            dying._claim(dying._ready())
    last = watcher(cluster, folder)
    assert [last.look(), last.look(), last.look()] == ["in-000000", "in-000001", None]
    assert len(list(cluster.store.list(chunks(cluster.id("in-000001"))))) == 1


def test_a_job_is_told_though_its_batch_cannot_be_marked(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watcher(cluster, scans(2))

    def away(*_: object) -> None:
        raise Unreachable("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "_mark", away)
        assert watched.look() == "in-000000"
        with pytest.raises(Unreachable):
            watched.look()
    assert watched.look() is None
    assert watched.look() is None
    assert jobs(cluster) == ["in-000000"]


def test_others_submitted_the_batch_with_other_content(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other watcher read a file before it changed: its job has all files, and stays."""
    folder = scans(4)
    one, two = watcher(cluster, folder), watcher(cluster, folder)
    fill = Submission._fill

    def late(self: Submission, record: Job) -> str:
        monkeypatch.setattr(Submission, "_fill", fill)
        assert two.look() == "in-000000"
        (folder / "000.png").write_bytes(png(9000))
        return fill(self, record)

    monkeypatch.setattr(Submission, "_fill", late)
    one.look()
    one.look()
    assert jobs(cluster)[0] == "in-000000"
    assert not any(job.endswith("-r2") for job in jobs(cluster))


def test_an_interrupted_batch_is_found_from_another_folder(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    monkeypatch.chdir(folder.parent)
    dying = watcher(cluster, Path(folder.name))
    dying._claim(dying._ready())
    monkeypatch.chdir("/")
    assert watcher(cluster, folder).look() == "in-000000"
    cluster.work()
    rows = list(results("in-000000", connection=cluster.connection))
    assert [(row.source, row.code) for row in rows] == [("000.png", None), ("001.png", None)]
