"""What a submit makes of images, names and options."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from inkmill import names, reconcile
from inkmill.codes import Code
from inkmill.errors import ItemError, JobMismatch, NotFinished, Unreachable, UsageError
from inkmill.jobs import Chunk, Item
from inkmill.producer import Sending, cancel, delete, results, status, submit, wait
from inkmill.store import MemoryStore, exists
from tests.fakes import VERSION, FakeMill, png, tiff

Scans = Callable[..., Path]


def stored_items(mill: FakeMill, job: str) -> list[Item]:
    return [
        item
        for entry in mill.store.list(names.chunks(job))
        for item in Chunk.decode(mill.store.get(entry.key).data).items
    ]


def sources(mill: FakeMill, job: str) -> list[str]:
    return [item.source for item in stored_items(mill, job)]


# --- the whole way -----------------------------------------------------------------------------


def test_every_image_becomes_exactly_one_row_in_order(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(25), chunk_size=4, connection=mill.connection)
    mill.work()
    ended = wait(job, timeout=5, connection=mill.connection)
    rows = list(results(job, connection=mill.connection))
    assert [row.item for row in rows] == list(range(25))
    assert [row.source for row in rows] == [f"{number:03d}.png" for number in range(25)]
    assert (ended.state, ended.rows, ended.statuses["ok"]) == ("finished", 25, 25)


def test_the_images_travel_as_they_are(mill: FakeMill, scans: Scans) -> None:
    folder = scans(3)
    items = stored_items(mill, submit(folder, connection=mill.connection))
    assert [item.data for item in items] == [p.read_bytes() for p in sorted(folder.iterdir())]


def test_a_small_job_costs_three_objects_and_one_message(mill: FakeMill, scans: Scans) -> None:
    before = {entry.key for entry in mill.store.list("")}
    job = submit(scans(1), connection=mill.connection)
    after = {entry.key for entry in mill.store.list("")} - before
    assert after == {names.chunk(job, 0), names.job_record(job), names.open_marker(job)}
    assert mill.queue.present() == {names.task_id(job, 0)}


def test_only_a_window_of_chunks_is_in_redis(scans: Scans) -> None:
    mill = FakeMill(window=3)
    job = submit(scans(20), chunk_size=1, connection=mill.connection)
    assert mill.queue.lengths()["normal"] == 3
    assert mill.work() == 20
    assert status(job, connection=mill.connection).state == "finished"


def test_the_priority_chooses_the_queue(mill: FakeMill, scans: Scans) -> None:
    submit(scans(1), priority="low", connection=mill.connection)
    assert mill.queue.lengths() == {"high": 0, "normal": 0, "low": 1}
    with pytest.raises(UsageError, match="high, normal, low"):
        submit(scans(1), priority="urgent", connection=mill.connection)


def test_progress_tells_what_was_sent_and_passed_over(mill: FakeMill, scans: Scans) -> None:
    folder = scans(["1.png", "2.png", ".hidden.png", "truth.csv", "Thumbs.db"])
    (folder / "truth.csv").write_text("source,digit\n")
    seen: list[Sending] = []
    submit(
        folder,
        connection=mill.connection,
        progress=lambda now: seen.append(dataclasses.replace(now)),
    )
    assert (seen[-1].items, seen[-1].chunks, seen[-1].sealed) == (2, 1, True)
    assert seen[-1].passed_over == {
        "hidden": 1,
        "tables and templates": 1,
        "left by the system": 1,
    }


# --- where images come from --------------------------------------------------------------------


def test_a_folder_is_gone_through_in_path_order(mill: FakeMill, scans: Scans) -> None:
    folder = scans(["b/2.png", "a.png", "b/1.png", "b.png", "c/d/e.png", ".git/x.png"])
    job = submit(str(folder) + "/", connection=mill.connection)
    assert sources(mill, job) == ["a.png", "b.png", "b/1.png", "b/2.png", "c/d/e.png"]


def test_files_are_called_as_they_were_given(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    monkeypatch.chdir(folder.parent)
    job = submit(["scans/001.png", "./scans/000.png"], connection=mill.connection)
    assert sources(mill, job) == ["scans/001.png", "scans/000.png"]


def test_a_pattern_is_expanded(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans(["x1.png", "x2.png", "y.png"]))
    assert sources(mill, submit("x*.png", connection=mill.connection)) == ["x1.png", "x2.png"]
    with pytest.raises(UsageError, match=r"z\*.png: nothing matches"):
        submit("z*.png", connection=mill.connection)


def test_a_list_on_standard_input(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    listed = f"{folder}/002.png\n{folder}/000.png\n\n{folder}/gone.png\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    items = stored_items(mill, submit("-", connection=mill.connection))
    assert [item.source for item in items] == [
        f"{folder}/002.png",
        f"{folder}/000.png",
        f"{folder}/gone.png",
    ]
    assert items[2].code is Code.MISSING


def test_equal_sources_of_two_folders_are_told_apart(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans(["1.png", "2.png"], "a").parent)
    scans(["1.png", "3.png"], "b")
    job = submit(["a", "b", "b/1.png"], connection=mill.connection)
    assert sources(mill, job) == ["1.png", "2.png", "b/1.png", "3.png", "b/1.png (2)"]


def test_what_cannot_be_named(mill: FakeMill, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        submit(tmp_path / "nowhere", connection=mill.connection)
    with pytest.raises(UsageError, match="INKMILL_INPUT_BUCKETS"):
        submit("s3://other/scans/", connection=mill.connection)
    with pytest.raises(UsageError, match="nothing to submit"):
        submit(tmp_path, connection=mill.connection)
    with pytest.raises(UsageError, match="nothing to submit"):
        submit([], connection=mill.connection)
    assert list(mill.store.list(names.JOBS)) == []


def test_every_regular_file_of_a_folder_has_a_row(
    mill: FakeMill, scans: Scans, tmp_path: Path
) -> None:
    folder = scans(["good.png"])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    (folder / "dangling.png").symlink_to(tmp_path / "gone")
    (folder / "scan.json").write_bytes(png(3))
    (folder / "data.json").write_text("{}")
    os.mkfifo(folder / "pipe")
    items = stored_items(mill, submit(folder, connection=mill.connection))
    assert {item.source: item.code for item in items} == {
        "dangling.png": Code.MISSING,
        "empty.png": Code.EMPTY_FILE,
        "good.png": None,
        "notes.txt": Code.NOT_AN_IMAGE,
        "scan.json": None,
    }
    assert all(item.message for item in items if item.code)


def test_a_folder_linked_into_itself_ends(mill: FakeMill, scans: Scans) -> None:
    folder = scans(["a.png"])
    (folder / "again").symlink_to(folder)
    assert sources(mill, submit(folder, connection=mill.connection)) == ["a.png"]


def test_a_name_that_is_no_utf8_is_escaped(mill: FakeMill, scans: Scans) -> None:
    folder = scans(["a.png"])
    (folder / os.fsdecode(b"b\xff.png")).write_bytes(png(1))
    assert sources(mill, submit(folder, connection=mill.connection)) == ["a.png", "b\\xff.png"]


# --- documents ---------------------------------------------------------------------------------


def test_pages_of_a_document_are_items_and_the_file_is_stored_once(
    mill: FakeMill, scans: Scans
) -> None:
    folder = scans(["0.png"])
    (folder / "doc.tif").write_bytes(tiff(3))
    (folder / "copy.tif").write_bytes(tiff(3))
    (folder / "single.tif").write_bytes(tiff(1))
    job = submit(folder, connection=mill.connection)
    items = stored_items(mill, job)
    assert [(item.source, item.page) for item in items] == [
        ("0.png", 1),
        *(("copy.tif", page) for page in (1, 2, 3)),
        *(("doc.tif", page) for page in (1, 2, 3)),
        ("single.tif", 1),
    ]
    images = [entry.key for entry in mill.store.list(names.images(job))]
    assert len(images) == 1
    assert {item.key for item in items if item.source == "doc.tif"} == {
        f"image:{images[0].rsplit('/', 1)[1]}"
    }
    assert mill.store.get(images[0]).data == tiff(3)
    assert items[-1].data == tiff(1)


def test_a_file_whose_pages_cannot_be_counted_is_one_item(mill: FakeMill, scans: Scans) -> None:
    folder = scans(["0.png"])
    (folder / "cut.tif").write_bytes(tiff(3)[:200])
    (folder / "cut.pdf").write_bytes(b"%PDF-1.7 nothing more")
    items = stored_items(mill, submit(folder, connection=mill.connection))
    assert {item.source: item.code for item in items} == {
        "0.png": None,
        "cut.tif": Code.TRUNCATED,
        "cut.pdf": Code.TRUNCATED,
    }


def test_a_file_too_large_is_not_read(scans: Scans) -> None:
    mill = FakeMill(max_file_bytes=1000)
    folder = scans(["0.png"])
    (folder / "big.png").write_bytes(png(1) + bytes(2000))
    items = stored_items(mill, submit(folder, connection=mill.connection))
    assert [item.code for item in items] == [None, Code.TOO_LARGE]
    assert "INKMILL_MAX_FILE_BYTES" in items[1].message


def test_large_pages_lie_beside_the_chunk_and_chunks_are_bounded(
    mill: FakeMill, scans: Scans
) -> None:
    folder = scans([])
    folder.mkdir()
    (folder / "huge.png").write_bytes(png(0) + bytes(9 * 2**20))
    for number in range(9):
        (folder / f"large{number}.png").write_bytes(png(number) + bytes(7 * 2**20))
    job = submit(folder, connection=mill.connection)
    sizes = [entry.size for entry in mill.store.list(names.chunks(job))]
    assert len(sizes) == 5
    assert max(sizes) < 17 * 2**20
    assert stored_items(mill, job)[0].key.startswith("image:")


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
    def mill(self, monkeypatch: pytest.MonkeyPatch) -> FakeMill:
        mill = FakeMill(TheirStore(), input_buckets=("in",))
        monkeypatch.setattr("inkmill.producer.Connection.bucket", lambda self, name: self.store)
        for key in ("scans/1.png", "scans/2.png", "scans2/9.png", "scans/.x", "scans/t.csv"):
            mill.store.put(key, png(1))
        mill.store.put("scans/doc.TIF", tiff(2))
        mill.store.put("scans/folder/", b"")
        return mill

    def test_keys_become_items_without_bytes(self, mill: FakeMill) -> None:
        items = stored_items(mill, submit("s3://in/scans", connection=mill.connection))
        assert [(item.source, item.page, item.key) for item in items] == [
            ("1.png", 1, "s3://in/scans/1.png"),
            ("2.png", 1, "s3://in/scans/2.png"),
            ("doc.TIF", 1, "s3://in/scans/doc.TIF"),
            ("doc.TIF", 2, "s3://in/scans/doc.TIF"),
        ]
        assert all(not item.data for item in items)

    def test_a_digest_of_the_users_own_is_not_taken_for_ours(self, mill: FakeMill) -> None:
        store = cast(TheirStore, mill.store)
        stored, modified = store._objects["scans/doc.TIF"]
        theirs = replace(
            stored, metadata={"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
        )
        store._objects["scans/doc.TIF"] = theirs, modified
        items = stored_items(mill, submit("s3://in/scans/doc.TIF", connection=mill.connection))
        assert [(item.page, item.code) for item in items] == [(1, None), (2, None)]

    def test_a_single_key_and_a_prefix(self, mill: FakeMill) -> None:
        single = submit("s3://in/scans/1.png", connection=mill.connection)
        assert sources(mill, single) == ["s3://in/scans/1.png"]
        prefix = submit("s3://in/scans2*", connection=mill.connection)
        assert sources(mill, prefix) == ["scans2/9.png"]

    def test_nothing_there(self, mill: FakeMill) -> None:
        with pytest.raises(UsageError, match="nothing to submit"):
            submit("s3://in/none/", connection=mill.connection)


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
    mill: FakeMill, scans: Scans, tmp_path: Path, text: str
) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    job = submit(scans(2), expect=tmp_path / "list.csv", connection=mill.connection)
    mill.work()
    rows = list(results(job, connection=mill.connection))
    assert [(row.source, row.code) for row in rows] == [
        ("000.png", None),
        ("001.png", None),
        ("gone.png", Code.MISSING),
    ]
    assert "list.csv" in rows[2].message


def test_an_expected_list_that_is_none(mill: FakeMill, scans: Scans, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.csv", "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(UsageError, match=words):
            submit(scans(1), expect=path, connection=mill.connection)
    (tmp_path / "empty.csv").write_text("source\n")
    with pytest.raises(UsageError, match="names nothing"):
        submit(scans(1), expect=tmp_path / "empty.csv", connection=mill.connection)


# --- models ------------------------------------------------------------------------------------


class TestModels:
    def test_pinned_is_the_latest_at_submit(self, mill: FakeMill, scans: Scans) -> None:
        job = submit(scans(1), connection=mill.connection)
        mill.publish("cd" * 32)
        assert status(job, connection=mill.connection).version == VERSION

    def test_follow_names_none(self, mill: FakeMill, scans: Scans) -> None:
        now = status(
            submit(scans(1), model="follow", connection=mill.connection), connection=mill.connection
        )
        assert (now.policy, now.version) == ("follow", "")

    def test_a_version_by_its_first_digits(self, mill: FakeMill, scans: Scans) -> None:
        for version in ("cd" * 32, "cd" * 31 + "00"):
            mill.store.put(names.model_manifest("digits", version), b"{}")
        mill.store.put(names.model_weights("digits", "ef" * 32), b"not complete")
        job = submit(scans(1), model="cd" * 32, connection=mill.connection)
        assert status(job, connection=mill.connection).version == "cd" * 32
        for asked, words in (
            ("cd" * 4, "several versions begin"),
            ("ef" * 4, "no version begins"),
            ("cd", "first 8 digits"),
            ("newest", "pinned, follow, or a version"),
        ):
            with pytest.raises(UsageError, match=words):
                submit(scans(1), model=asked, connection=mill.connection)

    def test_without_a_model_the_remedy_is_named(self, mill: FakeMill, scans: Scans) -> None:
        mill.store.delete([names.model_pointer("digits")])
        with pytest.raises(UsageError, match="inkmill models publish"):
            submit(scans(1), connection=mill.connection)


# --- the same name again -----------------------------------------------------------------------


class TestNames:
    def test_the_same_submit_again_does_nothing_twice(self, mill: FakeMill, scans: Scans) -> None:
        folder = scans(10)
        for _ in range(2):
            submit(folder, name="a", chunk_size=3, connection=mill.connection)
        assert mill.work() == 4
        notes: list[str] = []
        submit(
            folder,
            name="a",
            chunk_size=3,
            connection=mill.connection,
            progress=lambda now: notes.append(now.note),
        )
        assert mill.work() == 0
        assert notes[-1] == "job a is finished already: nothing to do"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"chunk_size": 4}, "chunk size was 3, now 4"),
            ({"priority": "high"}, "priority was normal, now high"),
            ({"model": "follow"}, "policy was pinned, now follow"),
        ],
    )
    def test_other_options_are_refused(
        self, mill: FakeMill, scans: Scans, change: dict[str, object], words: str
    ) -> None:
        folder = scans(5)
        submit(folder, name="a", chunk_size=3, connection=mill.connection)
        options = {"chunk_size": 3, **change}
        with pytest.raises(JobMismatch, match=words):
            submit(folder, name="a", connection=mill.connection, **options)  # type: ignore[arg-type]

    def test_other_inputs_are_refused_with_the_difference(
        self, mill: FakeMill, scans: Scans
    ) -> None:
        folder = scans(9)
        submit(folder, name="a", chunk_size=3, connection=mill.connection)

        def refusal() -> str:
            with pytest.raises(JobMismatch) as refused:
                submit(folder, name="a", chunk_size=3, connection=mill.connection)
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

    def test_a_revision_keeps_both(self, mill: FakeMill, scans: Scans) -> None:
        folder = scans(3)
        again = {"name": "a", "new_revision": True, "connection": mill.connection}
        assert submit(folder, **again) == "a"  # type: ignore[arg-type]
        mill.work()
        (folder / "003.png").write_bytes(png(9))
        assert submit(folder, **again) == "a-r2"  # type: ignore[arg-type]
        mill.work()
        assert submit(folder, **again) == "a-r2"  # type: ignore[arg-type]
        mill.publish("cd" * 32)
        assert submit(folder, **again) == "a-r3"  # type: ignore[arg-type]
        assert [len(list(results(j, connection=mill.connection))) for j in ("a", "a-r2")] == [3, 4]

    def test_a_cancelled_job_is_not_taken_up(self, mill: FakeMill, scans: Scans) -> None:
        folder = scans(3)
        submit(folder, name="a", connection=mill.connection)
        cancel("a", connection=mill.connection)
        with pytest.raises(JobMismatch, match="it was cancelled"):
            submit(folder, name="a", connection=mill.connection)
        assert submit(folder, name="a", new_revision=True, connection=mill.connection) == "a-r2"

    def test_a_bad_name_is_refused(self, mill: FakeMill, scans: Scans) -> None:
        for name in ("A", "../x", "", "a/b"):
            with pytest.raises(UsageError, match="is not a job name"):
                submit(scans(1), name=name, connection=mill.connection)

    def test_left_overs_of_a_delete_are_not_taken_for_results(
        self, mill: FakeMill, scans: Scans
    ) -> None:
        mill.store.put(names.result("a", 0), b"of an older job")
        submit(scans(1), name="a", connection=mill.connection)
        assert not exists(mill.store, names.result("a", 0))

    def test_a_lost_chunk_is_uploaded_again(self, mill: FakeMill, scans: Scans) -> None:
        folder = scans(6)
        submit(folder, name="a", chunk_size=2, connection=mill.connection)
        mill.store.delete([names.chunk("a", 1)])
        submit(folder, name="a", chunk_size=2, connection=mill.connection)
        mill.work()
        assert len(list(results("a", connection=mill.connection))) == 6


# --- Redis away --------------------------------------------------------------------------------


def test_without_redis_the_job_is_stored_and_the_way_on_is_told(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise Unreachable("Redis does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(mill.queue, "offer", away)
        with pytest.raises(Unreachable, match="inkmill resume a` sends it"):
            submit(scans(10), name="a", chunk_size=2, connection=mill.connection)
    assert status("a", connection=mill.connection).state == "running"
    # Redis is back: the sweep of any worker finds the job by its marker.
    reconcile.sweep(mill.store, mill.queue, 0.01, force=True)
    assert mill.work() == 5


def test_an_unfinished_job_gives_rows_only_when_asked(mill: FakeMill, scans: Scans) -> None:
    job = submit(scans(6), chunk_size=2, connection=mill.connection)
    mill.work(limit=2)
    with pytest.raises(NotFinished, match="1 of 3 chunks have no rows yet"):
        results(job, connection=mill.connection)
    assert len(list(results(job, partial=True, connection=mill.connection))) == 4


# --- stopped while it is being uploaded ----------------------------------------------------------


def stopped_by(mill: FakeMill, scans: Scans, stop: Callable[[], object]) -> None:
    """Submit 20 chunks, of which a worker reads some and ``stop`` is called in the middle."""

    def progress(now: Sending) -> None:
        if now.chunks == 10 and not now.sealed:
            read = 0
            while read < 2:  # uploads go on in threads
                read += mill.work(limit=2 - read)
            stop()

    submit(scans(20), name="a", chunk_size=1, connection=mill.connection, progress=progress)


def test_cancelled_while_it_is_being_uploaded(mill: FakeMill, scans: Scans) -> None:
    with pytest.raises(UsageError, match="was cancelled while it was being uploaded"):
        stopped_by(mill, scans, lambda: cancel("a", connection=mill.connection))
    now = status("a", connection=mill.connection)
    rows = list(results("a", connection=mill.connection))
    assert (now.state, now.rows) == ("cancelled", len(rows))
    assert [row.item for row in rows] == list(range(len(rows)))
    assert sum(row.code is None for row in rows) >= 2
    assert len(list(mill.store.list(names.chunks("a")))) == now.chunks


def test_deleted_while_it_is_being_uploaded(mill: FakeMill, scans: Scans) -> None:
    with pytest.raises(UsageError, match="was deleted while it was being uploaded"):
        stopped_by(mill, scans, lambda: delete("a", connection=mill.connection))
    assert list(mill.store.list(names.JOBS)) == []
    assert list(mill.store.list(names.OPEN)) == []
    assert mill.queue.hints("a") == []


def test_a_long_upload_notices_that_it_is_not_wanted(
    mill: FakeMill, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["inkmill.producer.submission"], "_LOOK_SECONDS", 0.0)
    seen: list[int] = []

    def progress(now: Sending) -> None:
        seen.append(now.chunks)
        if now.chunks == 5:
            delete("a", connection=mill.connection)

    with pytest.raises(UsageError, match="was deleted"):
        submit(scans(50), name="a", chunk_size=1, connection=mill.connection, progress=progress)
    assert max(seen) == 5
