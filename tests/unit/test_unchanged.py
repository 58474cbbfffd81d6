"""The same submit again reads only files that look changed; the digest decides about those."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inkmill import names
from inkmill.errors import JobMismatch
from inkmill.lifecycle.lookup import read_record
from inkmill.producer import submit
from inkmill.producer.inputs import pack, regular
from inkmill.records.jobs import Job
from tests.fakes import FakeCluster, png


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file's content was read, by name."""
    counted: Counter[str] = Counter()
    really = regular.read_regular

    def counting(path: str, *about: Any) -> bytes:
        counted[Path(path).name] += 1
        return really(path, *about)

    monkeypatch.setattr(pack, "read_regular", counting)
    return counted


def age(folder: Path, seconds: float = 60.0) -> None:
    """Let the files be as old as most are."""
    for path in folder.iterdir():
        then = time.time() - seconds
        os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, and between them a document of five pages."""
    made = tmp_path / "scans"
    made.mkdir()
    for number in range(6):
        (made / f"{'ac'[number % 2]}{number}.png").write_bytes(png(number))
    pages = [Image.new("L", (20 + n, 20), 255) for n in range(5)]
    pages[0].save(made / "b.tif", save_all=True, append_images=pages[1:])
    age(made)
    return made


@pytest.fixture
def again(folder: Path) -> Callable[..., Job]:
    cluster = FakeCluster()

    def submitted(**options: Any) -> Job:
        label = submit(folder, name="a", chunk_size=3, connection=cluster.connection, **options)
        return read_record(cluster.store, cluster.id(label))

    submitted.cluster = cluster  # type: ignore[attr-defined]
    return submitted


def killed(again: Any, *lost: int) -> Job:
    """A submit was killed: its record is open, and some chunks are not there."""
    store = again.cluster.store
    job: Job = again()
    opened = Job(job.job, job.created, job.options, job.version, name="a")
    store.put(names.job_record(job.job), opened.encode())
    store.delete([names.chunk(job.job, number) for number in lost])
    return job


def test_what_is_stored_is_not_read_again(again: Any, read: Counter[str], folder: Path) -> None:
    first = again()
    assert (first.items, first.chunks) == (11, 4)
    read.clear()
    assert again() == first
    assert not read
    assert again(rehash=True) == first
    assert sum(read.values()) == 7


def test_a_killed_submit_continues_where_it_was(
    again: Any, read: Counter[str], folder: Path
) -> None:
    first = killed(again, 3)
    read.clear()
    # The document reaches into the third chunk, which is the last that was stored.
    assert again().inputs == first.inputs
    assert set(read) == {"b.tif", "c1.png", "c3.png", "c5.png"}
    killed(again, 1)
    read.clear()
    assert again().inputs == first.inputs
    assert "a0.png" not in read


def test_only_the_files_of_a_chunk_that_look_changed_are_read(
    again: Any, read: Counter[str], folder: Path
) -> None:
    first = again()
    for name in ("a0.png", "b.tif"):
        os.utime(folder / name, (1e9, 1e9))
        read.clear()
        assert again() == first  # the same content
        assert set(read) == ({"a0.png", "a2.png", "a4.png"} if name == "a0.png" else {"b.tif"}) | (
            {"a0.png", "a2.png", "a4.png", "c1.png"} if name == "b.tif" else set()
        )


def test_a_change_is_refused_and_named(again: Any, read: Counter[str], folder: Path) -> None:
    again()
    (folder / "c3.png").write_bytes(png(40))
    with pytest.raises(JobMismatch, match=r"inputs differ: c3\.png changed"):
        again()
    (folder / "c3.png").write_bytes(png(3))
    (folder / "d.png").write_bytes(png(7))
    with pytest.raises(JobMismatch, match=r"d\.png added"):
        again()
    (folder / "d.png").unlink()
    (folder / "c5.png").unlink()
    with pytest.raises(JobMismatch, match=r"c5\.png removed"):
        again()


def test_a_file_that_was_just_written_is_not_trusted(
    again: Any, read: Counter[str], folder: Path
) -> None:
    age(folder, seconds=0.0)
    first = again()
    read.clear()
    assert again() == first
    assert len(read) == 7
    state = (folder / "a0.png").stat()
    (folder / "a0.png").write_bytes(png(11)[: state.st_size].ljust(state.st_size, b"\0"))
    os.utime(folder / "a0.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(JobMismatch, match=r"a0\.png changed"):
        again()


def test_a_file_that_could_not_be_read_is_tried_again(
    again: Any, read: Counter[str], folder: Path
) -> None:
    (folder / "a2.png").write_bytes(b"")
    age(folder)
    first = again()
    read.clear()
    assert again() == first
    assert set(read) == {"a0.png", "a2.png", "a4.png"}


def test_metadata_that_say_nothing_or_nonsense_cost_reading(again: Any, read: Counter[str]) -> None:
    first, store = again(), again.cluster.store
    key = names.chunk(first.job, 1)
    data, about = store.get(key).data, dict(store.head(key))
    for strange in ({"files": "many"}, {"first": "7"}, {"files": "-1"}, {"goes-on": "x"}):
        store.put(key, data, metadata={**about, **strange})
        read.clear()
        assert again() == first
        assert "a0.png" not in read  # the chunk before is known
        assert read


def test_lists_and_tables_see_every_file(
    again: Any, read: Counter[str], folder: Path, tmp_path: Path
) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("a0.png\nlate.png\n")
    first = again(expect=expected)
    read.clear()
    assert again(expect=expected) == first
    assert len(read) == 7
