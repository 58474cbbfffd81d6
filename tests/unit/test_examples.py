"""The example producers do what they say."""

from __future__ import annotations

import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import FakeCluster

Scans = Callable[..., Path]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRODUCERS = ("producer.py", "nightly.py", "one_image.py")


@pytest.fixture
def working(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """Every new connection leads to the fakes, where a worker is at work."""
    monkeypatch.setattr("inkmill.settings.Settings.load", lambda *_: cluster.settings)
    monkeypatch.setattr("inkmill.backends.store.open_store", lambda _: cluster.store)
    monkeypatch.setattr("inkmill.backends.queue.Queue", lambda _: cluster.queue)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            cluster.work()

    worker = threading.Thread(target=work)
    worker.start()
    yield cluster
    stop.set()
    worker.join()


def run(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def test_producer(
    working: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, "producer.py", scans(3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "000.png\t1\tok\t\t7"
    assert lines[3].startswith("3 rows:")


def test_nightly_may_be_started_again(
    working: FakeCluster, scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scans(3)
    (tmp_path / "list.csv").write_text("source\n000.png\n001.png\n002.png\n003.png\n")

    def night() -> object:
        with pytest.raises(SystemExit) as left:
            run(
                monkeypatch,
                "nightly.py",
                "2026-11-22",
                folder,
                *("--expect", tmp_path / "list.csv", "-o", tmp_path),
            )
        return left.value.code

    assert night() == 3
    assert night() == 3
    assert len(working.worked) == 1
    assert "003.png,error,MISSING" in (tmp_path / "night-2026-11-22.csv").read_text()
    (folder / "003.png").write_bytes((folder / "000.png").read_bytes())
    assert night() == 0
    assert len((tmp_path / "night-2026-11-22-r2.csv").read_text().splitlines()) == 5


def test_one_image(
    working: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = sorted(scans(5).iterdir())
    run(monkeypatch, "one_image.py", *paths)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [(str(path), "7") for path in paths]


@pytest.mark.parametrize("script", PRODUCERS[:2])
def test_a_script_called_like_a_room_can_be_run(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, "--help"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "usage:" in done.stdout
