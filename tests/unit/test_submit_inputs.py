"""Where images come from: folders, lists, documents, buckets, and what was expected."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import ItemError, UsageError
from inkmill.producer import results, submit
from inkmill.records.image_ref import JobFile
from tests.fakes import FakeCluster, png, sources, stored_items, tiff

Scans = Callable[..., Path]

# --- where images come from --------------------------------------------------------------------


def test_a_folder_is_gone_through_in_path_order(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(["b/2.png", "a.png", "b/1.png", "b.png", "c/d/e.png", ".git/x.png"])
    job = submit(str(folder) + "/", connection=cluster.connection)
    assert sources(cluster, job) == ["a.png", "b.png", "b/1.png", "b/2.png", "c/d/e.png"]


def test_files_are_called_as_they_were_given(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    monkeypatch.chdir(folder.parent)
    job = submit(["scans/001.png", "./scans/000.png"], connection=cluster.connection)
    assert sources(cluster, job) == ["scans/001.png", "scans/000.png"]


def test_a_pattern_is_expanded(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans(["x1.png", "x2.png", "y.png"]))
    assert sources(cluster, submit("x*.png", connection=cluster.connection)) == ["x1.png", "x2.png"]
    with pytest.raises(UsageError, match=r"z\*.png: nothing matches"):
        submit("z*.png", connection=cluster.connection)


def test_a_list_on_standard_input(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    listed = f"{folder}/002.png\n{folder}/000.png\n\n{folder}/gone.png\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    items = stored_items(cluster, submit("-", connection=cluster.connection))
    assert [item.source for item in items] == [
        f"{folder}/002.png",
        f"{folder}/000.png",
        f"{folder}/gone.png",
    ]
    assert items[2].code is Code.MISSING


def test_equal_sources_of_two_folders_are_told_apart(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans(["1.png", "2.png"], "a").parent)
    scans(["1.png", "3.png"], "b")
    job = submit(["a", "b", "b/1.png"], connection=cluster.connection)
    assert sources(cluster, job) == ["1.png", "2.png", "b/1.png", "3.png", "b/1.png (2)"]


def test_what_cannot_be_named(cluster: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="file not found"):
        submit(tmp_path / "nowhere", connection=cluster.connection)
    with pytest.raises(UsageError, match="INKMILL_INPUT_BUCKETS"):
        submit("s3://other/scans/", connection=cluster.connection)
    with pytest.raises(UsageError, match="nothing to submit"):
        submit(tmp_path, connection=cluster.connection)
    with pytest.raises(UsageError, match="nothing to submit"):
        submit([], connection=cluster.connection)
    assert list(cluster.store.list(names.JOBS)) == []


def test_every_regular_file_of_a_folder_has_a_row(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder = scans(["good.png"])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    (folder / "dangling.png").symlink_to(tmp_path / "gone")
    (folder / "scan.json").write_bytes(png(3))
    (folder / "data.json").write_text("{}")
    os.mkfifo(folder / "pipe")
    items = stored_items(cluster, submit(folder, connection=cluster.connection))
    assert {item.source: item.code for item in items} == {
        "dangling.png": Code.MISSING,
        "empty.png": Code.EMPTY_FILE,
        "good.png": None,
        "notes.txt": Code.NOT_AN_IMAGE,
        "scan.json": None,
    }
    assert all(item.message for item in items if item.code)


def test_a_folder_linked_into_itself_ends(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(["a.png"])
    (folder / "again").symlink_to(folder)
    assert sources(cluster, submit(folder, connection=cluster.connection)) == ["a.png"]


def test_a_name_that_is_no_utf8_is_escaped(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(["a.png"])
    (folder / os.fsdecode(b"b\xff.png")).write_bytes(png(1))
    assert sources(cluster, submit(folder, connection=cluster.connection)) == [
        "a.png",
        "b\\xff.png",
    ]


# --- documents ---------------------------------------------------------------------------------


def test_pages_of_a_document_are_items_and_the_file_is_stored_once(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(["0.png"])
    (folder / "doc.tif").write_bytes(tiff(3))
    (folder / "copy.tif").write_bytes(tiff(3))
    (folder / "single.tif").write_bytes(tiff(1))
    job = submit(folder, connection=cluster.connection)
    items = stored_items(cluster, job)
    assert [(item.source, item.page) for item in items] == [
        ("0.png", 1),
        *(("copy.tif", page) for page in (1, 2, 3)),
        *(("doc.tif", page) for page in (1, 2, 3)),
        ("single.tif", 1),
    ]
    images = [entry.key for entry in cluster.store.list(names.images(job))]
    assert len(images) == 1
    assert {str(item.ref) for item in items if item.source == "doc.tif"} == {
        f"image:{images[0].rsplit('/', 1)[1]}"
    }
    assert cluster.store.get(images[0]).data == tiff(3)
    assert items[-1].data == tiff(1)


def test_a_file_whose_pages_cannot_be_counted_is_one_item(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(["0.png"])
    (folder / "cut.tif").write_bytes(tiff(3)[:200])
    (folder / "cut.pdf").write_bytes(b"%PDF-1.7 nothing more")
    items = stored_items(cluster, submit(folder, connection=cluster.connection))
    assert {item.source: item.code for item in items} == {
        "0.png": None,
        "cut.tif": Code.TRUNCATED,
        "cut.pdf": Code.TRUNCATED,
    }


def test_a_file_too_large_is_not_read(scans: Scans) -> None:
    cluster = FakeCluster(max_file_bytes=1000)
    folder = scans(["0.png"])
    (folder / "big.png").write_bytes(png(1) + bytes(2000))
    items = stored_items(cluster, submit(folder, connection=cluster.connection))
    assert [item.code for item in items] == [None, Code.TOO_LARGE]
    assert "INKMILL_MAX_FILE_BYTES" in items[1].message


def test_large_pages_lie_beside_the_chunk_and_chunks_are_bounded(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans([])
    folder.mkdir()
    (folder / "huge.png").write_bytes(png(0) + bytes(9 * 2**20))
    for number in range(9):
        (folder / f"large{number}.png").write_bytes(png(number) + bytes(7 * 2**20))
    job = submit(folder, connection=cluster.connection)
    sizes = [entry.size for entry in cluster.store.list(names.chunks(job))]
    assert len(sizes) == 5
    assert max(sizes) < 17 * 2**20
    assert isinstance(stored_items(cluster, job)[0].ref, JobFile)


# --- objects of the user's ---------------------------------------------------------------------


class TheirStore(MemoryStore):
    """Also a bucket of the user's, whose metadata are none of ours."""

    def get_limited(self, key: str, most: int) -> bytes:
        with self._lock:
            data = self._objects[key][0].data
        if len(data) > most:
            raise ItemError(Code.TOO_LARGE, f"at most {most} bytes")
        return data


class TestBuckets:
    @pytest.fixture
    def cluster(self, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
        cluster = FakeCluster(TheirStore(), input_buckets=("in",))
        monkeypatch.setattr("inkmill.producer.Connection.bucket", lambda self, name: self.store)
        for key in ("scans/1.png", "scans/2.png", "scans2/9.png", "scans/.x", "scans/t.csv"):
            cluster.store.put(key, png(1))
        cluster.store.put("scans/doc.TIF", tiff(2))
        cluster.store.put("scans/folder/", b"")
        return cluster

    def test_keys_become_items_without_bytes(self, cluster: FakeCluster) -> None:
        items = stored_items(cluster, submit("s3://in/scans", connection=cluster.connection))
        assert [(item.source, item.page, str(item.ref)) for item in items] == [
            ("1.png", 1, "s3://in/scans/1.png"),
            ("2.png", 1, "s3://in/scans/2.png"),
            ("doc.TIF", 1, "s3://in/scans/doc.TIF"),
            ("doc.TIF", 2, "s3://in/scans/doc.TIF"),
        ]
        assert all(not item.data for item in items)

    def test_a_digest_of_the_users_own_is_not_taken_for_ours(self, cluster: FakeCluster) -> None:
        store = cast(TheirStore, cluster.store)
        stored, modified = store._objects["scans/doc.TIF"]
        theirs = replace(
            stored, metadata={"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
        )
        store._objects["scans/doc.TIF"] = theirs, modified
        items = stored_items(
            cluster, submit("s3://in/scans/doc.TIF", connection=cluster.connection)
        )
        assert [(item.page, item.code) for item in items] == [(1, None), (2, None)]

    def test_a_single_key_and_a_prefix(self, cluster: FakeCluster) -> None:
        single = submit("s3://in/scans/1.png", connection=cluster.connection)
        assert sources(cluster, single) == ["s3://in/scans/1.png"]
        prefix = submit("s3://in/scans2*", connection=cluster.connection)
        assert sources(cluster, prefix) == ["scans2/9.png"]

    def test_nothing_there(self, cluster: FakeCluster) -> None:
        with pytest.raises(UsageError, match="nothing to submit"):
            submit("s3://in/none/", connection=cluster.connection)


# --- what is expected --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "source,digit\n000.png,1\ngone.png,2\n",
        "digit;source\n1;000.png\n2;gone.png\n",
        "000.png\ngone.png\n",
        "\ufeffsource\n000.png\ngone.png\n",
    ],
)
def test_what_was_expected_and_did_not_come_is_missing(
    cluster: FakeCluster, scans: Scans, tmp_path: Path, text: str
) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    job = submit(scans(2), expect=tmp_path / "list.csv", connection=cluster.connection)
    cluster.work()
    rows = list(results(job, connection=cluster.connection))
    assert [(row.source, row.code) for row in rows] == [
        ("000.png", None),
        ("001.png", None),
        ("gone.png", Code.MISSING),
    ]
    assert "list.csv" in rows[2].message


def test_an_expected_list_that_is_none(cluster: FakeCluster, scans: Scans, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.csv", "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(UsageError, match=words):
            submit(scans(1), expect=path, connection=cluster.connection)
    (tmp_path / "empty.csv").write_text("source\n")
    with pytest.raises(UsageError, match="the list is empty"):
        submit(scans(1), expect=tmp_path / "empty.csv", connection=cluster.connection)
