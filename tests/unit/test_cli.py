"""What a user of the command line sees: output, messages, exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.cli.main import COMMANDS, run
from inkmill.codes import Exit
from inkmill.errors import Unreachable
from tests.fakes import FakeCluster
from tests.unit.test_imports import HEAVY, LATE

Scans = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cli(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The command line on fakes."""
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cluster.connection)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    return cluster


def test_submit_prints_the_job_alone(
    cli: FakeCluster, scans: Scans, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", str(scans(3))]) == Exit.DONE
    out, err = capfd.readouterr()
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{16}\n", out)
    assert "3 items in 1 chunk\n" in err


def test_the_way_of_a_job(
    cli: FakeCluster, scans: Scans, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", str(scans(3)), "--name", "a"]) == Exit.DONE
    assert run(["results", "a"]) == Exit.NOT_FINISHED
    assert "inkmill wait a" in capfd.readouterr().err
    assert run(["wait", "a", "--timeout", "0.1"]) == Exit.NOT_FINISHED
    cli.work()
    assert run(["wait", "a"]) == Exit.DONE
    capfd.readouterr()
    assert run(["results", "a"]) == Exit.DONE
    lines = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [line["source"] for line in lines] == ["000.png", "001.png", "002.png"]
    assert {line["confidence"] for line in lines} == {"0.9876"}
    assert run(["results", "a", "-o", str(tmp_path / "out.jsonl")]) == Exit.DONE
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    assert run(["status", "a", "--json"]) == Exit.DONE
    assert json.loads(capfd.readouterr().out)["state"] == "finished"
    assert run(["status", "a"]) == Exit.DONE
    assert "3 of 3 items" in capfd.readouterr().out
    assert run(["jobs"]) == Exit.DONE
    assert "3/3" in capfd.readouterr().out
    assert run(["resume", "a"]) == Exit.DONE
    assert "nothing to do" in capfd.readouterr().err
    assert run(["delete", "a"]) == Exit.DONE
    assert run(["delete", "a"]) == Exit.USAGE
    assert list(cli.store.list(names.JOBS)) == []


def test_strict_fails_when_rows_are_in_error(
    cli: FakeCluster, scans: Scans, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = scans(2)
    (folder / "bad.txt").write_text("no image")
    assert run(["submit", str(folder), "--name", "a"]) == Exit.DONE
    cli.work()
    assert run(["wait", "a"]) == Exit.DONE
    assert run(["wait", "a", "--strict"]) == Exit.ROWS_IN_ERROR
    assert run(["submit", str(folder), "--name", "a", "--wait", "--strict"]) == Exit.ROWS_IN_ERROR
    assert "1 row in error" in capfd.readouterr().err
    assert run(["submit", str(folder), "--strict"]) == Exit.USAGE


def test_cancel_says_how_many(
    cli: FakeCluster, scans: Scans, capfd: pytest.CaptureFixture[str]
) -> None:
    run(["submit", str(scans(4)), "--name", "a", "--chunk-size", "2"])
    cli.work(limit=1)
    assert run(["cancel", "a"]) == Exit.DONE
    assert "2 rows CANCELLED" in capfd.readouterr().err
    run(["status", "a"])
    assert re.search(r"state +cancelled", capfd.readouterr().out)


def test_errors_are_short_and_have_no_traceback(
    cli: FakeCluster, scans: Scans, capfd: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["submit", "/nowhere"], "/nowhere: file not found"),
        (["status", "none"], "there is no job 'none'"),
        (["results", "../x"], "is not a job name"),
        (["submit", str(scans(1)), "--model", "newest"], "pinned, follow, or a version"),
        (["submit", str(scans(1)), "--form", "/nowhere.yaml"], "/nowhere.yaml"),
        (["submti"], "did you mean 'submit'?"),
        (["submit"], "Missing argument"),
        (["submit", "x", "--priority", "urgent"], "urgent"),
        (["submit", "x", "--chunk-size", "0"], "chunk-size"),
    ):
        assert run(arguments) == Exit.USAGE, arguments
        err = capfd.readouterr().err
        assert words in err
        assert "Traceback" not in err


def test_redis_away_is_exit_5_and_the_job_is_still_named(
    cli: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def away(*_: object) -> int:
        raise Unreachable("Redis does not answer")

    monkeypatch.setattr(cli.queue, "offer", away)
    assert run(["submit", str(scans(1)), "--name", "a"]) == Exit.UNREACHABLE
    out, err = capfd.readouterr()
    assert out == "a\n"
    assert "inkmill resume a" in err


def test_an_interrupted_submit_says_how_to_go_on(
    cli: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("inkmill.producer.inputs.upload.Upload.finish", interrupt)
    assert run(["submit", str(scans(4)), "--chunk-size", "2"]) == 130
    out, err = capfd.readouterr()
    assert out == ""
    job = re.search(r"submit the same again with --name (\S+)", err)
    assert job is not None
    monkeypatch.undo()
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cli.connection)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    assert run(["submit", str(scans(4)), "--chunk-size", "2", "--name", job[1]]) == Exit.DONE


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
        "import inkmill.producer\n"
        "from inkmill import names\n"
        "from inkmill.records import rows\n"
        "from inkmill.cli.main import main\n"
        "from inkmill.records.jobs import Job\n"
        "from inkmill.records.rows import Row\n"
        "from tests.fakes import FakeCluster\n"
        "cluster = FakeCluster()\n"
        "part = rows.encode([Row(n, f'{n}.png') for n in range(2000)])\n"
        "for n in range(20): cluster.store.put(names.result('a', n), part)\n"
        "record = Job('a', 0.0).seal([2000] * 20, '')\n"
        "cluster.keep(record)\n"
        "inkmill.producer.connect = lambda *_: cluster.connection\n"
        "main(['results', 'a'])\n"
    )
    running = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline().startswith(b"item,source")
    running.stdout.close()
    assert running.wait(30) == Exit.DONE
    assert running.stderr.read() == b""
    running.stderr.close()


def test_a_defect_is_told_without_a_traceback_unless_asked(
    cli: FakeCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken inside")

    monkeypatch.setattr("inkmill.producer.status", broken)
    assert run(["status", "a"]) == Exit.DEFECT
    err = capfd.readouterr().err
    assert "internal error: RuntimeError: broken inside" in err
    assert "Traceback" not in err
    assert run(["status", "a", "--debug"]) == Exit.DEFECT
    assert "Traceback" in capfd.readouterr().err


def test_every_command_that_is_there_can_be_imported_and_is_described(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == Exit.DONE
    shown = capfd.readouterr().out
    for name in COMMANDS:
        if re.search(rf"^  {name} ", shown, re.MULTILINE):
            assert run([name, "--help"]) == Exit.DONE, name
            assert f"inkmill {name}" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["", "submit", "run", "watch", "worker", "train", "review"])
def test_help_loads_nothing_heavy(command: str) -> None:
    script = (
        "import json, sys\n"
        "from inkmill.cli.main import run\n"
        f"run([*{command.split()}, '--help'])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    shown, _, modules = done.stdout.decode().rstrip().rpartition("\n")
    assert shown.startswith("Usage: inkmill")
    assert set(json.loads(modules)) & {*HEAVY, *LATE} == set()
