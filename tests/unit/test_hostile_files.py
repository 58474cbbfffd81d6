"""Files that somebody put there to hang, crash or mislead who looks at them: each costs its row."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.apart import ANSWER
from inkmill.imagefile.sniff import Limits, count_pages, read_header
from inkmill.producer import results, submit
from inkmill.producer.inputs.pack import Packer
from inkmill.producer.inputs.page_counter import PageCounter, _Child
from inkmill.producer.inputs.regular import open_regular
from inkmill.producer.inputs.sources import Found, Inputs
from inkmill.producer.submission.options import SubmitOptions
from inkmill.producer.watch import Watch
from inkmill.records.chunks import Item
from tests.fakes import FakeCluster, png, sources, tiff

Scans = Callable[..., Path]
T = TypeVar("T")


def soon(work: Callable[[], T], seconds: float = 20.0) -> T:
    """What ``work`` returns; fails if it hangs, which would otherwise stop all tests."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)


@pytest.fixture
def counter() -> Iterator[PageCounter]:
    made = PageCounter(seconds=10.0)
    yield made
    made.close()


def pack(found: Found, counter: PageCounter | None = None, most: int = 2**20) -> list[Item]:
    packer = Packer(MemoryStore(), None, max_file_bytes=most)
    if counter is not None:
        packer.counter = counter
    return packer.read(found)


def directories_of(values: int, count: int, big: bool = False) -> bytes:
    """A TIFF whose directories all name tags of ``values`` values each."""
    tags = [256, 257, 258, 262, 273, 274, 277, 279, 282, 296, 324, 325, 338]
    number, entry, start = ("Q", "HHQQ", 16) if big else ("H", "HHII", 8)
    offset = "Q" if big else "I"
    size = (
        struct.calcsize(f"<{number}") + len(tags) * struct.calcsize(f"<{entry}") + (8 if big else 4)
    )
    head = b"II+\0\x08\0\0\0" if big else b"II*\0"
    head += struct.pack(f"<{offset}", start)
    for each in range(count):
        head += struct.pack(f"<{number}", len(tags))
        head += b"".join(struct.pack(f"<{entry}", tag, 1, values, 16) for tag in tags)
        last = each == count - 1
        head += struct.pack(f"<{offset}", 0 if last else start + (each + 1) * size)
    return head + bytes(max(0, values + 108 - len(head)))


# --- what a file says of itself ----------------------------------------------------------------


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("values", "count"), [(2**20, 1000), (2**22, 2000), (2**16, 2000)])
def test_directories_that_name_millions_of_values_take_no_time(
    values: int, count: int, big: bool
) -> None:
    data = directories_of(values, count, big)
    before = time.process_time()
    assert count_pages(data) == count
    with suppress(ItemError):
        read_header(data, count)
    assert time.process_time() - before < 2.0, "minutes, when each value was read"


def test_the_counter_gives_the_numbers_and_errors_of_the_file(counter: PageCounter) -> None:
    assert counter.count(tiff(3), Limits()) == 3
    assert counter.count(png(1), Limits()) == 1
    for data, code in (
        (b"", Code.EMPTY_FILE),
        (b"%PDF-1.7 and no more", Code.TRUNCATED),
        (tiff(3)[:60], Code.TRUNCATED),
        (b"no picture", Code.NOT_AN_IMAGE),
    ):
        with pytest.raises(ItemError) as caught:
            counter.count(data, Limits())
        assert caught.value.code is code
    with pytest.raises(ItemError, match=r"at most 2|more than 2"):
        counter.count(tiff(3), Limits(max_pages=2))


def child_of(counter: PageCounter) -> _Child:
    counter.count(tiff(1), Limits())
    child = counter._child
    assert child is not None
    return child


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_counted(
    counter: PageCounter,
) -> None:
    quick = PageCounter(seconds=0.5)
    pid = child_of(quick)._process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ItemError, match="longer than") as caught:
        soon(lambda: quick.count(tiff(2), Limits()))
    assert caught.value.code is Code.TIMEOUT
    quick._seconds = 10.0
    assert quick.count(tiff(2), Limits()) == 2
    quick.close()


def test_a_file_that_kills_the_process_has_its_row_and_an_idle_one_may_die(
    counter: PageCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(child_of(counter)._process.pid, signal.SIGKILL)
    assert counter.count(tiff(2), Limits()) == 2

    def dies(self: _Child, *_: object) -> dict[str, object]:
        self._process.kill()
        raise EOFError

    with monkeypatch.context() as patched:
        patched.setattr(_Child, "ask", dies)
        with pytest.raises(ItemError) as caught:
            counter.count(tiff(2), Limits())
    assert caught.value.code is Code.CRASHED
    assert counter.count(tiff(2), Limits()) == 2


@pytest.mark.parametrize(
    "said",
    [
        b'{"pages": 1000000000000}',
        b'{"pages": -1}',
        b'{"pages": true}',
        b'{"code": "NOT_A_CODE", "message": "x"}',
        b"[" * 30_000,
        b"[]",
        b"\xff",
    ],
    ids=lambda said: repr(said)[:40],
)
def test_an_answer_that_is_none_is_no_number_of_pages(
    counter: PageCounter, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A file that took the process over could have its producer make a trillion items."""

    def received(self: _Child, length: int, until: float) -> bytes:
        return ANSWER.pack(len(said)) if length == ANSWER.size else said

    child_of(counter)
    with monkeypatch.context() as patched:
        patched.setattr(_Child, "await_start", lambda _: None)
        patched.setattr(_Child, "_received", received)
        with pytest.raises(ItemError) as caught:
            counter.count(tiff(2), Limits())
    assert caught.value.code is Code.CRASHED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_has_no_credentials_and_can_write_nothing(
    counter: PageCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "INKMILL_REDIS_URL", "PGPASSWORD", "MY_TOKEN"):
        monkeypatch.setenv(name, "secret")
    place = Path(f"/proc/{child_of(counter)._process.pid}")
    variables = place.joinpath("environ").read_bytes().split(b"\0")
    assert b"secret" not in b"".join(variables)
    limits = place.joinpath("limits").read_text()
    for what in ("file size", "core file size", "processes"):
        (line,) = (each for each in limits.splitlines() if each.startswith(f"Max {what}"))
        assert line.removeprefix(f"Max {what}").split()[:2] == ["0", "0"]
    assert "NoNewPrivs:\t1" in place.joinpath("status").read_text()


# --- what is no regular file -------------------------------------------------------------------


def test_pipes_sockets_and_folders_named_like_pictures_hang_nobody(
    cluster: FakeCluster, scans: Scans
) -> None:
    folder = scans(["a.png", "x.png/inner.png"])
    for name in ("pipe.csv", "pipe.png", "pipe.tif", "pipe.json"):
        os.mkfifo(folder / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s.tif"))
        job = soon(lambda: submit(folder, connection=cluster.connection))
        watched = Watch(cluster.connection, str(folder), settle=0.0, once=True)
        assert soon(watched.look) is not None
    assert sources(cluster, job) == ["a.png", "x.png/inner.png"]


def test_templates_are_files(tmp_path: Path) -> None:
    from inkmill.errors import UsageError
    from inkmill.template.templates import Templates

    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(UsageError, match="no template"):
        soon(lambda: Templates.load_folder(tmp_path))


def test_a_file_that_became_a_pipe_is_not_waited_for(scans: Scans) -> None:
    folder = scans(["a.png"])
    (found,) = Inputs([str(folder)])
    (folder / "a.png").unlink()
    os.mkfifo(folder / "a.png")
    (item,) = soon(lambda: pack(found))
    assert item.code is Code.MISSING
    assert "neither a file nor a folder" in item.message


def test_a_file_that_grows_is_read_to_its_limit_and_no_further(scans: Scans) -> None:
    folder = scans(["a.png"])
    (found,) = Inputs([str(folder)])
    with (folder / "a.png").open("ab") as file:
        file.truncate(2**24)
    (item,) = pack(found, most=2**16)
    assert item.code is Code.TOO_LARGE
    (found,) = Inputs([str(folder)])
    assert pack(found, most=2**25)[0].code is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(scans: Scans) -> None:
    folder = scans(["a.png"])
    (folder / "a.png").chmod(0)
    (found,) = Inputs([str(folder)])
    (item,) = pack(found)
    assert (item.code, item.message) == (Code.MISSING, "cannot be read: Permission denied")


# --- links -------------------------------------------------------------------------------------


@pytest.fixture
def linked(scans: Scans, tmp_path: Path) -> Path:
    """A folder with links inside it and out of it, to a file and to a folder."""
    folder = scans(["real.png", "sub/deep.png"])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(png(1))
    (folder / "in.png").symlink_to(folder / "real.png")
    (folder / "insub").symlink_to("sub")
    (folder / "out.png").symlink_to(outside / "secret.png")
    (folder / "outsub").symlink_to(outside)
    (folder / "there-and-back.png").symlink_to("outsub/../scans/real.png")
    (outside / "scans").symlink_to(folder)
    return folder


def test_links_stay_in_their_folder_unless_told(cluster: FakeCluster, linked: Path) -> None:
    job = submit(linked, connection=cluster.connection)
    cluster.work()
    rows = {row.source: row for row in results(job, connection=cluster.connection)}
    refused = {source for source, row in rows.items() if row.code is Code.MISSING}
    assert refused == {"out.png", "outsub"}
    assert "--follow-symlinks" in rows["out.png"].message
    assert {"real.png", "in.png", "sub/deep.png", "insub/deep.png"} <= rows.keys() - refused


@pytest.mark.parametrize("command", ["submit", "watch"])
def test_told_to_follow_links_go_anywhere(cluster: FakeCluster, linked: Path, command: str) -> None:
    options = SubmitOptions(follow_symlinks=True)
    if command == "submit":
        job = submit(linked, connection=cluster.connection, **options)
    else:
        watched = Watch(cluster.connection, str(linked), once=True, **options)
        found = watched.look()
        assert found is not None
        job = found
    assert {"out.png", "outsub/secret.png"} <= set(sources(cluster, job))


@pytest.mark.parametrize("how", ["file", "folder"])
def test_a_swap_after_the_look_leads_nowhere(linked: Path, how: str) -> None:
    place = {found.source: found for found in Inputs([str(linked)])}
    outside = linked.parent / "outside"
    if how == "file":
        found = place["real.png"]
        (linked / "real.png").unlink()
        (linked / "real.png").symlink_to(outside / "secret.png")
    else:
        found = place["sub/deep.png"]
        (outside / "deep.png").write_bytes(png(1))
        (linked / "sub").rename(linked / "before")
        (linked / "sub").symlink_to(outside)
    (item,) = pack(found)
    assert item.code is Code.MISSING
    assert "leads out of the folder" in item.message


def test_a_named_link_is_followed(linked: Path) -> None:
    (found,) = Inputs([str(linked / "out.png")])
    assert pack(found)[0].code is None
    with pytest.raises(ItemError, match="leads out"):
        open_regular(str(linked / "out.png"), str(linked.resolve()))
