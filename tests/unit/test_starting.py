"""A host that refuses another process: said once with the remedy, tried again later, nothing lost.

The limit of open files is really lowered, in this process.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from inkmill.desk.imaging import children as imaging_children
from inkmill.desk.imaging.children import Imaging
from inkmill.desk.imaging.link import Message
from inkmill.desk.training import trainer as desk_trainer
from inkmill.desk.training.asked import Trainings
from inkmill.errors import CannotStart
from inkmill.imagefile.sniff import Limits
from inkmill.processes import LoggedChild, run_command, starting
from inkmill.producer.inputs.page_counter import PageCounter
from inkmill.settings import Settings
from inkmill.worker import app, metrics
from inkmill.worker.link import ModelPayload
from inkmill.worker.pool import engines as watching
from inkmill.worker.pool.devices import Devices
from inkmill.worker.pool.engines import Engines
from tests.fakes import FakeCluster
from tests.faults.checker import until

GOOD = ModelPayload("ab" * 32, b"", b"", b"")
SAID = "cannot be started (Too many open files): raise the limit of open files"


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process, and who it starts meanwhile, may open no further file."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines are real processes with a connection, and do nothing."""
    command, real = [sys.executable, "-c", "import time; time.sleep(60)"], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: real(command, **options))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=1000.0)
    made.monotonic = lambda: made.now
    monkeypatch.setattr(watching, "time", made)
    return made


def engines(count: int) -> Engines:
    return Engines(Settings(), count, 1, Devices(Settings(), [], 1))


def kill(pool: Engines, number: int) -> None:
    os.kill(pool.handles[number].pid, 9)
    until(lambda: not pool.handles[number].alive, 10, "its end is noticed")


@pytest.mark.usefixtures("idle")
def test_an_engine_that_cannot_be_started_is_said_once_and_tried_again_later(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    pool = engines(2)
    try:
        for handle in pool.handles:
            handle.ready.set()
        pool.check([])
        assert (metrics.ENGINES._value.get(), metrics.ENGINES_MISSING._value.get()) == (2, 0)
        kill(pool, 0)
        with no_more_files():
            for passed, tries in ((0.0, 1), (0.5, 1), (0.6, 2), (1.5, 2), (0.6, 3)):
                clock.now += passed
                pool.check([GOOD])
                assert caplog.text.count(f"an engine {SAID}") == tries
        assert "1 of 2 engines run, next try in 4 s" in caplog.text
        assert "Traceback" not in caplog.text
        assert (metrics.ENGINES._value.get(), metrics.ENGINES_MISSING._value.get()) == (1, 1)
        assert pool.choose() is pool.handles[1], "the other one goes on"
        files = psutil.Process().num_fds()
        clock.now += 4.1
        pool.check([])
        assert pool.handles[0].alive
        assert psutil.Process().num_fds() == files + 4, "nothing was left open by the tries"
        assert metrics.ENGINES_MISSING._value.get() == 1, "it starts, and is not ready"
        pool.handles[0].ready.set()
        pool.check([])
        assert (metrics.ENGINES._value.get(), metrics.ENGINES_MISSING._value.get()) == (2, 0)
        kill(pool, 0)
        pool.check([])
        assert pool.handles[0].alive, "one that had run is replaced at once"
    finally:
        pool.stop()


@pytest.mark.usefixtures("idle")
def test_an_engine_that_ends_before_it_is_ready_is_started_again_after_longer_pauses(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    pool = engines(1)
    try:
        for pause in (1, 2, 4):
            kill(pool, 0)
            for passed in (0.0, pause - 0.1):
                clock.now += passed
                pool.check([])
                assert not pool.handles[0].alive
            assert f"killed by signal 9); 0 of 1 engines run, next try in {pause} s" in caplog.text
            clock.now += 0.2
            pool.check([])
            assert pool.handles[0].alive
            assert metrics.ENGINES_MISSING._value.get() == 1
        assert caplog.text.count("an engine ended before it was ready (") == 3
    finally:
        pool.stop()


@pytest.mark.usefixtures("idle")
def test_a_worker_that_cannot_start_all_of_its_engines_ends_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with no_more_files(), pytest.raises(CannotStart, match="an engine cannot be started"):
        engines(1)

    def service(*_: object) -> None:
        raise CannotStart(f"an engine {SAID}")

    monkeypatch.setattr(app, "Service", service)
    monkeypatch.setattr(app, "hide_memory", lambda: None)
    with pytest.raises(SystemExit):
        app._start()
    (said,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert said.getMessage() == f"the worker cannot start: an engine {SAID}"
    assert said.exc_info is None


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (OSError(24, "Too many open files"), "limit of open files of the process"),
        (OSError(23, "Too many open files in system"), "fs.file-max"),
        (OSError(12, "Cannot allocate memory"), "(Cannot allocate memory): add memory"),
        (MemoryError(), "(out of memory): add memory"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "limit of processes (ulimit -u"),
        (RuntimeError("can't start new thread"), "limit of processes (ulimit -u"),
        (FileNotFoundError(2, "No such file", "/x/python"), "file): /x/python is gone, install"),
        (OSError(5, "Input/output error"), "dmesg"),
    ],
)
def test_the_remedy_is_that_of_the_refusal(refusal: Exception, remedy: str) -> None:
    with pytest.raises(CannotStart) as found, starting("an engine"):
        raise refusal
    assert remedy in str(found.value)


def test_other_errors_are_nobody_elses() -> None:
    with pytest.raises(RuntimeError, match="cannot schedule"), starting("an engine"):
        raise RuntimeError("cannot schedule new futures after shutdown")


def count_pages() -> Any:
    return PageCounter().count(b"%PDF-1.4\n", Limits())


def work_on_pictures(imaging: Imaging) -> Any:
    return imaging.ask("nothing")


def test_files_are_not_to_blame_for_a_host_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    imaging, files = Imaging(1), psutil.Process().num_fds()
    for ask in (count_pages, lambda: work_on_pictures(imaging)):
        with no_more_files(), pytest.raises(CannotStart, match="Too many open files"):
            ask()
    assert psutil.Process().num_fds() == files
    answer = Message({"fine": True})
    child = SimpleNamespace(alive=True, fresh=True, ask=lambda *_: answer, close=lambda: None)
    monkeypatch.setattr(imaging_children, "_Child", lambda: child)
    assert work_on_pictures(imaging) == answer, "the next request may have its process"


def test_a_command_of_our_own_says_what_is_wrong_or_why_it_cannot_run() -> None:
    code, said = run_command(["export", "--no-such"], settings={}, seconds=60)
    assert (code, "No such option" in said) == (2, True)
    with no_more_files(), pytest.raises(CannotStart, match=re.escape(SAID)):
        run_command(["export"], settings={}, seconds=60)


def test_a_training_of_the_desk_that_cannot_be_started_has_failed_with_the_remedy(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trainings(cluster.store).ask(job="own", label="own", person="sue", count=60)
    monkeypatch.setattr(subprocess, "Popen", refusing)

    def child(_: str, __: Path) -> Sequence[str]:
        return [sys.executable]

    trainer = desk_trainer.Trainer(cluster.connection, child, "a test")
    assert trainer.serve(once=True, announce=print) == 1
    ended, _ = Trainings(cluster.store).get(made.id)
    assert ended.state == "failed"
    assert "the training cannot be started (Cannot allocate memory): add memory" in ended.message


def refusing(*_: object, **__: object) -> Any:
    raise OSError(12, "Cannot allocate memory")


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize(("habit", "code"), [("pass", -15), (STUBBORN, -9)])
def test_a_child_is_asked_to_stop_and_killed_if_it_does_not(
    habit: str, code: int, tmp_path: Path
) -> None:
    line = f"import time; {habit}; print('on', flush=True); time.sleep(60)"
    with LoggedChild([sys.executable, "-c", line], tmp_path / "said", what="it", seconds=1) as it:
        until(lambda: it.last_lines(100) == "on", 20, "it runs")
        assert it.wait(0.0) is None
        assert it.stop() == it.stop() == code
