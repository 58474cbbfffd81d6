"""The same name again, and submits that are stopped on their way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.errors import JobMismatch, UsageError
from inkmill.producer import Sending, cancel, delete, results, status, submit
from tests.fakes import FakeCluster, png

Scans = Callable[..., Path]

# --- the same name again -----------------------------------------------------------------------


class TestNames:
    def test_the_same_submit_again_does_nothing_twice(
        self, cluster: FakeCluster, scans: Scans
    ) -> None:
        folder = scans(10)
        for _ in range(2):
            submit(folder, name="a", chunk_size=3, connection=cluster.connection)
        assert cluster.work() == 4
        notes: list[str] = []
        submit(
            folder,
            name="a",
            chunk_size=3,
            connection=cluster.connection,
            progress=lambda now: notes.append(now.note),
        )
        assert cluster.work() == 0
        assert notes[-1] == "job a is already finished: nothing to do"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"chunk_size": 4}, "chunk size was 3, now 4"),
            ({"priority": "high"}, "priority was normal, now high"),
            ({"model": "follow"}, "policy was pinned, now follow"),
        ],
    )
    def test_other_options_are_refused(
        self, cluster: FakeCluster, scans: Scans, change: dict[str, object], words: str
    ) -> None:
        folder = scans(5)
        submit(folder, name="a", chunk_size=3, connection=cluster.connection)
        options = {"chunk_size": 3, **change}
        with pytest.raises(JobMismatch, match=words):
            submit(folder, name="a", connection=cluster.connection, **options)  # type: ignore[arg-type]

    def test_other_inputs_are_refused_with_the_difference(
        self, cluster: FakeCluster, scans: Scans
    ) -> None:
        folder = scans(9)
        submit(folder, name="a", chunk_size=3, connection=cluster.connection)

        def refusal() -> str:
            with pytest.raises(JobMismatch) as refused:
                submit(folder, name="a", chunk_size=3, connection=cluster.connection)
            return str(refused.value)

        (folder / "0005.png").write_bytes(png(99))
        assert "inputs differ: 0005.png added." in refusal()
        (folder / "0005.png").unlink()
        (folder / "009.png").write_bytes(png(99))
        assert "inputs differ: 009.png added." in refusal()
        (folder / "009.png").unlink()
        kept = (folder / "004.png").read_bytes()
        (folder / "004.png").write_bytes(png(98))
        assert "inputs differ: 004.png changed." in refusal()
        (folder / "004.png").write_bytes(kept)
        for name in ("008.png", "007.png", "006.png"):
            (folder / name).unlink()
        assert "inputs differ: 006.png removed, 007.png removed, 008.png removed." in refusal()
        assert "--new-revision" in refusal()

    def test_a_revision_keeps_both(self, cluster: FakeCluster, scans: Scans) -> None:
        folder = scans(3)
        again = {"name": "a", "new_revision": True, "connection": cluster.connection}
        assert submit(folder, **again) == "a"  # type: ignore[arg-type]
        cluster.work()
        (folder / "003.png").write_bytes(png(9))
        assert submit(folder, **again) == "a-r2"  # type: ignore[arg-type]
        cluster.work()
        assert submit(folder, **again) == "a-r2"  # type: ignore[arg-type]
        cluster.publish("cd" * 32)
        assert submit(folder, **again) == "a-r3"  # type: ignore[arg-type]
        assert [len(list(results(j, connection=cluster.connection))) for j in ("a", "a-r2")] == [
            3,
            4,
        ]

    def test_a_cancelled_job_is_not_taken_up(self, cluster: FakeCluster, scans: Scans) -> None:
        folder = scans(3)
        submit(folder, name="a", connection=cluster.connection)
        cancel("a", connection=cluster.connection)
        with pytest.raises(JobMismatch, match="it was cancelled"):
            submit(folder, name="a", connection=cluster.connection)
        assert submit(folder, name="a", new_revision=True, connection=cluster.connection) == "a-r2"

    def test_a_bad_name_is_refused(self, cluster: FakeCluster, scans: Scans) -> None:
        for name in ("A", "../x", "", "a/b"):
            with pytest.raises(UsageError, match="is not a job name"):
                submit(scans(1), name=name, connection=cluster.connection)

    def test_a_lost_chunk_is_uploaded_again(self, cluster: FakeCluster, scans: Scans) -> None:
        folder = scans(6)
        submit(folder, name="a", chunk_size=2, connection=cluster.connection)
        cluster.store.delete([names.chunk(cluster.id("a"), 1)])
        submit(folder, name="a", chunk_size=2, connection=cluster.connection)
        cluster.work()
        assert len(list(results("a", connection=cluster.connection))) == 6


# --- stopped while it is being uploaded ----------------------------------------------------------


def stopped_by(cluster: FakeCluster, scans: Scans, stop: Callable[[], object]) -> None:
    """Submit 20 chunks, of which a worker reads some and ``stop`` is called in the middle."""

    def progress(now: Sending) -> None:
        if now.chunks == 10 and not now.sealed:
            read = 0
            while read < 2:  # uploads go on in threads
                read += cluster.work(limit=2 - read)
            stop()

    submit(scans(20), name="a", chunk_size=1, connection=cluster.connection, progress=progress)


def test_cancelled_while_it_is_being_uploaded(cluster: FakeCluster, scans: Scans) -> None:
    with pytest.raises(UsageError, match="was cancelled while it was being uploaded"):
        stopped_by(cluster, scans, lambda: cancel("a", connection=cluster.connection))
    now = status("a", connection=cluster.connection)
    rows = list(results("a", connection=cluster.connection))
    assert (now.state, now.rows) == ("cancelled", len(rows))
    assert [row.item for row in rows] == list(range(len(rows)))
    assert sum(row.code is None for row in rows) >= 2
    assert len(list(cluster.store.list(names.chunks(cluster.id("a"))))) == now.chunks


def test_deleted_while_it_is_being_uploaded(cluster: FakeCluster, scans: Scans) -> None:
    with pytest.raises(UsageError, match="was deleted while it was being uploaded"):
        stopped_by(cluster, scans, lambda: delete("a", connection=cluster.connection))
    assert list(cluster.store.list(names.JOBS)) == []
    assert list(cluster.store.list(names.OPEN)) == []
    assert cluster.queue.hints("a") == []


def test_a_long_upload_notices_that_it_is_not_wanted(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["inkmill.producer.submission.submission"], "_LOOK_SECONDS", 0.0)
    seen: list[int] = []

    def progress(now: Sending) -> None:
        seen.append(now.chunks)
        if now.chunks == 5:
            delete("a", connection=cluster.connection)

    with pytest.raises(UsageError, match="was deleted"):
        submit(scans(50), name="a", chunk_size=1, connection=cluster.connection, progress=progress)
    assert max(seen) == 5
