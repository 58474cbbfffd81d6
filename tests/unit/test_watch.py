"""A watched folder: each file is submitted once, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill.errors import Unreachable, UsageError
from inkmill.jobs import Chunk
from inkmill.names import chunk, watch
from inkmill.producer.submission import Submission
from inkmill.producer.watch import Watch, default_name
from inkmill.reconcile import load_job
from tests.fakes import FakeMill, png

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
