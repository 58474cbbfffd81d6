"""A watched folder: each file is submitted once, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import pytest

from inkmill.errors import Unreachable, UsageError
from inkmill.jobs import Chunk, Job
from inkmill.names import JOBS, chunk, chunks, watch, watch_batch
from inkmill.producer import cancel, delete, inputs, results, status
from inkmill.producer.submission import Submission
from inkmill.producer.upload import Upload
from inkmill.producer.watch import Watch, default_name
from inkmill.reconcile import load_job
from inkmill.store import MemoryStore
from tests.fakes import DyingStore, FakeMill, Killed, png

Scans = Callable[..., Path]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sources(mill: FakeMill, job: str) -> list[str]:
    assert load_job(mill.store, job).sealed
    return [item.source for item in Chunk.decode(mill.store.get(chunk(job, 0)).data).items]


def test_files_are_submitted_once_when_they_have_settled(mill: FakeMill, scans: Scans) -> None:
    folder, clock = scans(2), Clock()
    watched = Watch(mill.connection, str(folder), "in", settle=5, clock=clock)

    assert watched.look() is None  # just seen: perhaps still being copied
    clock.now = 4
    (folder / "000.png").write_bytes(png(100))  # one was: it grew
    os.utime(folder / "000.png", (1, 1))
    assert watched.look() is None
    clock.now = 6
    assert watched.look() == "in-000000"
    assert sources(mill, "in-000000") == ["001.png"]
    clock.now = 10
    assert watched.look() == "in-000001"
    assert sources(mill, "in-000001") == ["000.png"]
    clock.now = 100
    assert watched.look() is None


def test_a_restart_submits_nothing_twice(mill: FakeMill, scans: Scans) -> None:
    folder = scans(3)
    first = Watch(mill.connection, str(folder), "in", settle=0)
    assert first.look() == "in-000000"

    again = Watch(mill.connection, str(folder), "in", settle=0)
    assert again.look() is None
    (folder / "later.png").write_bytes(png(200))
    assert again.look() == "in-000001"
    assert sources(mill, "in-000001") == ["later.png"]


def test_a_batch_that_was_claimed_and_not_submitted_is_finished(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    dying = Watch(mill.connection, str(folder), "in", settle=0)

    def die(*_: object, **__: object) -> None:
        raise Unreachable("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(Submission, "named", die)
        with pytest.raises(Unreachable):
            dying.look()
    assert len(list(mill.store.list(watch("in")))) == 1

    assert Watch(mill.connection, str(folder), "in", settle=0).look() == "in-000000"
    assert len(sources(mill, "in-000000")) == 3
    assert dying.look() is None  # the old one learns of it, too


def test_two_watchers_share_a_folder(mill: FakeMill, scans: Scans) -> None:
    folder = scans(2)
    one = Watch(mill.connection, str(folder), "in", settle=0)
    two = Watch(mill.connection, str(folder), "in", settle=0)
    assert one.look() == "in-000000"
    assert two.look() is None
    (folder / "later.png").write_bytes(png(300))
    assert two.look() == "in-000001"
    assert one.look() is None


def test_what_cannot_be_watched_is_refused_in_words(mill: FakeMill, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a folder that exists"):
        Watch(mill.connection, str(tmp_path / "none"), "in")
    with pytest.raises(UsageError, match="not a job name"):
        Watch(mill.connection, str(tmp_path), "In Box")
    with pytest.raises(UsageError, match="INKMILL_INPUT_BUCKETS"):
        Watch(mill.connection, "s3://theirs/in/", "in")


def test_the_name_of_a_place_is_the_same_at_each_start(tmp_path: Path) -> None:
    assert default_name(str(tmp_path / "Ein gang")) == default_name(f"{tmp_path}/Ein gang/")
    assert default_name("s3://a/in/") != default_name("s3://b/in/")


def watcher(mill: FakeMill, folder: Path) -> Watch:
    return Watch(mill.connection, str(folder), "in", settle=0, chunk_size=2)


def jobs(mill: FakeMill) -> list[str]:
    return sorted(folder.split("/")[1] for folder in mill.store.folders(JOBS))


def test_what_was_submitted_and_deleted_does_not_come_back(mill: FakeMill, scans: Scans) -> None:
    folder = scans(3)
    assert watcher(mill, folder).look() == "in-000000"
    delete("in-000000", connection=mill.connection)
    assert watcher(mill, folder).look() is None
    assert jobs(mill) == []
    assert b"000.png" not in mill.store.get(watch_batch("in", 0)).data


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_killed_at_each_write_and_a_file_changed_every_file_has_its_row(
    scans: Scans, change: str
) -> None:
    for step in range(1, 16):
        store = DyingStore()
        mill = FakeMill(store)
        folder = scans(8)
        dying = watcher(mill, folder)
        store.arm(step)
        with suppress(Killed):
            dying.look()
        store.arm(None)
        if change == "changed":
            (folder / "000.png").write_bytes(png(9000))
        else:
            (folder / "000.png").unlink()
        again = watcher(mill, folder)
        while again.look():
            mill.work()
        mill.work()
        whole = [each for each in jobs(mill) if status(each, connection=mill.connection).rows == 8]
        rows = [row.source for row in results(whole[-1], connection=mill.connection)]
        assert rows == [f"{number:03d}.png" for number in range(8)]
        states = {each: status(each, connection=mill.connection).state for each in jobs(mill)}
        assert set(states.values()) <= {"finished", "cancelled"}
        assert len([each for each in states if each.endswith("-r2")]) <= 1
        before = jobs(mill)
        assert watcher(mill, folder).look() is None
        assert jobs(mill) == before


def test_killed_while_it_mends_an_interrupted_batch(scans: Scans) -> None:
    """A revision, then the cancel of the first job: killed in between, the next start ends it."""
    for step in range(16):
        store = DyingStore()
        mill = FakeMill(store)
        folder = scans(8)
        store.arm(5)
        with pytest.raises(Killed):
            watcher(mill, folder).look()
        store.arm(None)
        for number in range(8):
            (folder / f"{number:03d}.png").write_bytes(png(9000 + number))
        store.arm(step)
        with suppress(Killed):
            watcher(mill, folder).look()
        store.arm(None)
        last = watcher(mill, folder)
        while last.look():
            pass
        mill.work()
        assert jobs(mill)[:2] == ["in-000000", "in-000000-r2"]
        assert status("in-000000", connection=mill.connection).state == "cancelled"
        assert len(list(results("in-000000-r2", connection=mill.connection))) == 8


def test_another_watcher_that_is_slower_does_not_end(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(6)
    one, two = watcher(mill, folder), watcher(mill, folder)
    begin, seen = Submission._begin, list[str | None]()

    def late(self: Submission, job: str) -> str:
        """While one is about to claim the name, the other does."""
        monkeypatch.setattr(Submission, "_begin", begin)
        seen.append(two.look())
        return begin(self, job)

    monkeypatch.setattr(Submission, "_begin", late)
    assert one.look() is None
    assert seen == ["in-000000"]
    assert one.look() is None
    assert jobs(mill) == ["in-000000"]


@pytest.mark.parametrize("stop", [cancel, delete])
def test_a_job_that_nobody_wants_does_not_end_the_watch(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch, stop: Callable[..., object]
) -> None:
    folder = scans(6)
    finish = Upload.finish

    def stopped(self: Upload) -> list[str]:
        monkeypatch.setattr(Upload, "finish", finish)
        digests = finish(self)
        stop("in-000000", connection=mill.connection)
        return digests

    monkeypatch.setattr(Upload, "finish", stopped)
    watched = watcher(mill, folder)
    assert watched.look() is None
    (folder / "later.png").write_bytes(png(200))
    assert watched.look() == "in-000001"
    assert watcher(mill, folder).look() is None
    assert jobs(mill) == (["in-000000"] if stop is cancel else []) + ["in-000001"]


def test_each_batch_that_was_left_is_submitted(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the last one: others may have gone on meanwhile."""
    folder = scans(2)
    put = MemoryStore.put

    def die(self: MemoryStore, key: str, data: bytes, **options: object) -> str:
        if key.startswith(JOBS):
            raise Killed
        return put(self, key, data, **options)  # type: ignore[arg-type]

    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png(len(jobs(mill)) + ord(name[0])))
        with monkeypatch.context() as patch:
            patch.setattr(MemoryStore, "put", die)
            dying = watcher(mill, folder)
            dying._catch_up()
            dying._claim(dying._ready())
    last = watcher(mill, folder)
    assert [last.look(), last.look(), last.look()] == ["in-000000", "in-000001", None]
    assert len(list(mill.store.list(chunks("in-000001")))) == 1


def test_a_job_is_told_though_its_batch_cannot_be_marked(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watcher(mill, scans(2))

    def away(*_: object) -> None:
        raise Unreachable("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "_mark", away)
        assert watched.look() == "in-000000"
        with pytest.raises(Unreachable):
            watched.look()
    assert watched.look() is None
    assert watched.look() is None
    assert jobs(mill) == ["in-000000"]


def test_others_submitted_the_batch_with_other_content(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other watcher read a file before it changed: its job has all files, and stays."""
    folder = scans(4)
    one, two = watcher(mill, folder), watcher(mill, folder)
    fill = Submission._fill

    def late(self: Submission, record: Job) -> str:
        monkeypatch.setattr(Submission, "_fill", fill)
        assert two.look() == "in-000000"
        (folder / "000.png").write_bytes(png(9000))
        return fill(self, record)

    monkeypatch.setattr(Submission, "_fill", late)
    one.look()
    one.look()
    assert jobs(mill)[0] == "in-000000"
    assert not any(job.endswith("-r2") for job in jobs(mill))


def test_a_folder_spelt_otherwise_is_the_same_folder(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    monkeypatch.chdir(folder.parent)
    assert watcher(mill, Path(folder.name)).look() == "in-000000"
    monkeypatch.chdir("/")
    assert watcher(mill, folder).look() is None
    assert Watch(mill.connection, f"{folder}/../{folder.name}/", "in", settle=0).look() is None


def test_an_interrupted_batch_is_found_from_another_folder(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    monkeypatch.chdir(folder.parent)
    dying = watcher(mill, Path(folder.name))
    dying._claim(dying._ready())
    monkeypatch.chdir("/")
    assert watcher(mill, folder).look() == "in-000000"
    mill.work()
    rows = list(results("in-000000", connection=mill.connection))
    assert [(row.source, row.code) for row in rows] == [("000.png", None), ("001.png", None)]


def old_mark(where: str, size: int, changed: int) -> str:
    return blake2b(f"{where}\n{size}\n{changed}".encode(), digest_size=8).hexdigest()


def test_what_earlier_versions_marked_does_not_come_back(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(1)
    about = (folder / "000.png").stat()
    mark = old_mark(f"{folder.name}/000.png", about.st_size, about.st_mtime_ns)
    mill.store.put(watch_batch("in", 0), json.dumps({"submitted": True, "marks": [mark]}).encode())
    monkeypatch.chdir(folder.parent)
    assert watcher(mill, Path(folder.name)).look() is None


class TestBucket:
    @pytest.fixture
    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
        bucket = MemoryStore()
        monkeypatch.setattr("inkmill.producer.Connection.bucket", lambda *_: bucket)
        return bucket

    @pytest.fixture
    def watched(self, bucket: MemoryStore) -> Watch:
        mill = FakeMill(input_buckets=("scans",))
        mark = old_mark("s3://scans/in/old.png", 3, 0)
        record = json.dumps({"submitted": True, "marks": [mark]}).encode()
        mill.store.put(watch_batch("in", 0), record)
        bucket.put("in/old.png", b"old")
        return Watch(mill.connection, "s3://scans/in/", "in")

    def test_an_object_that_was_overwritten_is_a_new_scan(
        self, watched: Watch, bucket: MemoryStore
    ) -> None:
        bucket.put("in/a.png", b"one")
        assert watched.look() == "in-000001"
        assert watched.look() is None
        bucket.put("in/a.png", b"two")
        assert watched.look() == "in-000002"
        assert watched.look() is None

    def test_what_earlier_versions_marked_does_not_come_back(self, watched: Watch) -> None:
        assert watched.look() is None


def test_a_folder_that_is_gone_for_a_while_makes_no_job(
    mill: FakeMill, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    folder, clock = scans(2), Clock()
    watched = Watch(mill.connection, str(folder), "in", settle=5, clock=clock)
    assert watched.look() is None
    away = folder.rename(folder.parent / "away")
    for clock.now in (6, 12, 18):
        assert watched.look() is None
    assert [record.message for record in caplog.records] == [
        f"{folder} is gone, perhaps unmounted: waited for"
    ]
    away.rename(folder)
    clock.now = 24
    assert watched.look() is None
    clock.now = 30
    assert watched.look() == "in-000000"
    assert sources(mill, "in-000000") == ["000.png", "001.png"]


def test_a_folder_that_goes_during_a_look_has_no_missing_files(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    listed = inputs._names

    def unmounted(path: str) -> list[str]:
        found = listed(path)
        folder.rename(folder.parent / "away")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "_names", unmounted)
        watched = watcher(mill, folder)
        assert watched.look() is None
    (folder.parent / "away").rename(folder)
    assert watched.look() == "in-000000"
    assert mill.work() == 1
    assert [row.code for row in results("in-000000", connection=mill.connection)] == [None, None]


@pytest.mark.parametrize("length", [70, 71, 80])
def test_a_name_too_long_for_its_jobs_is_refused_at_the_start(
    mill: FakeMill, scans: Scans, length: int
) -> None:
    folder, name = scans(2), "n" * length
    if length == 70:
        assert Watch(mill.connection, str(folder), name, settle=0).look() == f"{name}-000000"
        return
    with pytest.raises(UsageError, match="at most 70"):
        Watch(mill.connection, str(folder), name)
