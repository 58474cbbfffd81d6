"""A watched folder: each file is submitted once, whatever happens in between."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inkmill.backends.store import MemoryStore
from inkmill.errors import UsageError
from inkmill.imagefile.ending import TAIL_BYTES, is_whole
from inkmill.imagefile.sniff import HEAD_BYTES
from inkmill.names import watch_batch
from inkmill.producer import delete, results
from inkmill.producer.inputs import listing
from inkmill.producer.watch import Watch, default_name
from tests.fakes import FakeCluster, png, sources
from tests.unit.watches import jobs, watcher

Scans = Callable[..., Path]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_files_are_submitted_once_when_they_have_settled(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder, clock = scans(2), Clock()
    watched = Watch(cluster.connection, str(folder), name="in", settle=5, clock=clock)

    assert watched.look() is None  # just seen: perhaps still being copied
    clock.now = 4
    (folder / "000.png").write_bytes(png(100))  # one was: it grew
    os.utime(folder / "000.png", (1, 1))
    assert watched.look() is None
    clock.now = 6
    assert watched.look() == "in-000000"
    assert sources(cluster, "in-000000") == ["001.png"]
    clock.now = 10
    assert watched.look() == "in-000001"
    assert sources(cluster, "in-000001") == ["000.png"]
    clock.now = 100
    assert watched.look() is None


def test_a_file_without_its_end_is_waited_for(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder, clock = scans(1), Clock()
    whole = png(7)
    (folder / "half.png").write_bytes(whole[:-20])
    watched = Watch(cluster.connection, str(folder), name="in", settle=5, patience=60, clock=clock)
    assert watched.look() is None
    clock.now = 6
    assert watched.look() == "in-000000"
    assert sources(cluster, "in-000000") == ["000.png"]
    clock.now = 60
    assert watched.look() is None
    (folder / "half.png").write_bytes(whole)  # the rest arrives
    os.utime(folder / "half.png", (2, 2))
    assert watched.look() is None
    clock.now = 66
    assert watched.look() == "in-000001"
    (folder / "cut.png").write_bytes(whole[:-20])
    assert watched.look() is None
    clock.now = 130
    assert watched.look() is None
    clock.now = 132  # it never comes: a row says what is wrong
    assert watched.look() == "in-000002"
    (folder / "last.png").write_bytes(whole[:-20])
    once = Watch(cluster.connection, str(folder), name="in", once=True)
    assert once.look() == "in-000003"


def _saved(kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image = Image.fromarray(np.arange(40 * 60, dtype=np.uint8).reshape(40, 60))
    image.save(sink, kind, **options)
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "PDF", "GIF", "TIFF", "BMP", "WEBP"])
def test_every_format_shows_whether_its_end_is_there(kind: str) -> None:
    data = _saved(kind)

    def whole(part: bytes) -> bool:
        return is_whole(part[:HEAD_BYTES], part[-TAIL_BYTES:], len(part))

    assert whole(data)
    assert whole(data + b"\0" * 4845 if kind == "PDF" else data)
    assert not whole(data[: len(data) * 2 // 3])
    assert not whole(b"")
    assert whole(b"no image at all")


def test_a_restart_submits_nothing_twice(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(3)
    first = Watch(cluster.connection, str(folder), name="in", settle=0)
    assert first.look() == "in-000000"

    again = Watch(cluster.connection, str(folder), name="in", settle=0)
    assert again.look() is None
    (folder / "later.png").write_bytes(png(200))
    assert again.look() == "in-000001"
    assert sources(cluster, "in-000001") == ["later.png"]


def test_two_watchers_share_a_folder(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(2)
    one = Watch(cluster.connection, str(folder), name="in", settle=0)
    two = Watch(cluster.connection, str(folder), name="in", settle=0)
    assert one.look() == "in-000000"
    assert two.look() is None
    (folder / "later.png").write_bytes(png(300))
    assert two.look() == "in-000001"
    assert one.look() is None


def test_what_cannot_be_watched_is_refused_in_words(cluster: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a folder that exists"):
        Watch(cluster.connection, str(tmp_path / "none"), name="in")
    with pytest.raises(UsageError, match="not a job name"):
        Watch(cluster.connection, str(tmp_path), name="In Box")
    with pytest.raises(UsageError, match="INKMILL_INPUT_BUCKETS"):
        Watch(cluster.connection, "s3://theirs/in/", name="in")


def test_the_name_of_a_place_is_the_same_at_each_start(tmp_path: Path) -> None:
    assert default_name(str(tmp_path / "Ein gang")) == default_name(f"{tmp_path}/Ein gang/")
    assert default_name("s3://a/in/") != default_name("s3://b/in/")


def test_what_was_submitted_and_deleted_does_not_come_back(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(3)
    assert watcher(cluster, folder).look() == "in-000000"
    delete("in-000000", connection=cluster.connection)
    assert watcher(cluster, folder).look() is None
    assert jobs(cluster) == []
    assert b"000.png" not in cluster.store.get(watch_batch("in", 0)).data


def test_a_folder_spelt_otherwise_is_the_same_folder(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    monkeypatch.chdir(folder.parent)
    assert watcher(cluster, Path(folder.name)).look() == "in-000000"
    monkeypatch.chdir("/")
    assert watcher(cluster, folder).look() is None
    assert (
        Watch(cluster.connection, f"{folder}/../{folder.name}/", name="in", settle=0).look() is None
    )


class TestBucket:
    @pytest.fixture
    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
        bucket = MemoryStore()
        monkeypatch.setattr("inkmill.producer.Connection.bucket", lambda *_: bucket)
        return bucket

    @pytest.fixture
    def watched(self, bucket: MemoryStore) -> Watch:
        cluster = FakeCluster(input_buckets=("scans",))
        return Watch(cluster.connection, "s3://scans/in/", name="in")

    def test_an_object_that_was_overwritten_is_a_new_scan(
        self, watched: Watch, bucket: MemoryStore
    ) -> None:
        bucket.put("in/a.png", b"one")
        assert watched.look() == "in-000000"
        assert watched.look() is None
        bucket.put("in/a.png", b"two")
        assert watched.look() == "in-000001"
        assert watched.look() is None


def test_a_folder_that_is_gone_for_a_while_makes_no_job(
    cluster: FakeCluster, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    folder, clock = scans(2), Clock()
    watched = Watch(cluster.connection, str(folder), name="in", settle=5, clock=clock)
    assert watched.look() is None
    away = folder.rename(folder.parent / "away")
    for clock.now in (6, 12, 18):
        assert watched.look() is None
    assert [record.message for record in caplog.records] == [
        f"{folder} has disappeared, perhaps unmounted: waiting for it"
    ]
    away.rename(folder)
    clock.now = 24
    assert watched.look() is None
    clock.now = 30
    assert watched.look() == "in-000000"
    assert sources(cluster, "in-000000") == ["000.png", "001.png"]


def test_a_folder_that_goes_during_a_look_has_no_missing_files(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(2)
    listed = listing.names

    def unmounted(path: str) -> Iterator[tuple[str, bool]]:
        found = iter(list(listed(path)))
        folder.rename(folder.parent / "away")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(listing, "names", unmounted)
        watched = watcher(cluster, folder)
        assert watched.look() is None
    (folder.parent / "away").rename(folder)
    assert watched.look() == "in-000000"
    assert cluster.work() == 1
    assert [row.code for row in results("in-000000", connection=cluster.connection)] == [None, None]


@pytest.mark.parametrize("length", [70, 71, 80])
def test_a_name_too_long_for_its_jobs_is_refused_at_the_start(
    cluster: FakeCluster, scans: Scans, length: int
) -> None:
    folder, name = scans(2), "n" * length
    if length == 70:
        assert (
            Watch(cluster.connection, str(folder), name=name, settle=0).look() == f"{name}-000000"
        )
        return
    with pytest.raises(UsageError, match="at most 70"):
        Watch(cluster.connection, str(folder), name=name)
