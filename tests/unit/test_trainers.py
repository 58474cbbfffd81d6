"""Submitted runs: who may train one, what becomes of those that fail, and what a submitter sees."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import fakeredis
import pytest
from click.testing import CliRunner

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.errors import BadMessage, NotFinished, PreconditionFailed, ShuttingDown, UsageError
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.trainer.config import Config
from inkmill.trainer.queue import service as service_module
from inkmill.trainer.queue import submitting
from inkmill.trainer.queue.service import TrainerService
from inkmill.trainer.runs import checkpoints, listing, queued
from inkmill.trainer.runs.queued import Ledger, QueuedRun
from tests.fakes import FakeQueue
from tests.faults import checker

CONFIG = Config.parse({"sources": [{"kind": "mnist", "path": "mnist"}]}, "test")
SETTINGS = Settings(visibility_timeout=1.2, reconcile_interval=0.05)


def asked(run: str = "mine", **changes: object) -> QueuedRun:
    return QueuedRun(run=run, config=CONFIG.model_dump(mode="json"), **changes)  # type: ignore[arg-type]


def state(store: MemoryStore, run: str = "mine") -> QueuedRun:
    held = queued.read(store, run)
    assert held is not None
    return held[0]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue(SETTINGS, fakeredis.FakeStrictRedis())


@pytest.fixture
def trainer(
    store: MemoryStore, queue: FakeQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], TrainerService]:
    """A trainer whose trainings are lines of Python."""
    monkeypatch.setattr(service_module, "_PAUSE_SECONDS", 0)

    def make(line: str) -> TrainerService:
        return TrainerService(
            SETTINGS,
            store,
            queue,
            name="gpu",
            command=lambda run: [sys.executable, "-c", f"run = {run!r}\n{line}"],
            folder=tmp_path / "runs",
        )

    return make


def test_one_trainer_has_a_run_until_it_falls_silent(store: MemoryStore) -> None:
    now = [0.0]
    one, two = (Ledger(store, 60.0, lambda: now[0]) for _ in range(2))
    one.submit(asked())
    held = one.claim("mine", "one")
    assert held is not None
    for _ in range(5):  # as long as it renews its claim, nobody else gets the run
        now[0] += 50.0
        assert two.claim("mine", "two") is None
        held = one.change(*held, log="step 100")
    now[0] += 50.0
    assert [*two.free()] == []
    now[0] += 61.0
    assert [each.run for each in two.free()] == ["mine"]
    taken = two.claim("mine", "two")
    assert taken is not None
    assert (taken[0].trainer, taken[0].attempts, taken[0].log) == ("two", 2, "step 100")
    with pytest.raises(PreconditionFailed):  # it was only frozen: it must stop
        one.change(*held, log="step 200")


def _refuse(*_: object, **__: object) -> None:
    raise OSError(24, "Too many open files")


def test_what_a_training_ends_with_decides_what_becomes_of_the_run(
    store: MemoryStore,
    queue: FakeQueue,
    trainer: Callable[[str], TrainerService],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submitting.submit([asked()], store, queue)
    # Stopped, or a server was away: it goes back, however often.
    for code in (NotFinished.exit_code, 5, 5, 5, 5, 5):
        with pytest.raises(ShuttingDown):
            trainer(f"raise SystemExit({code})").take("mine")
        assert (state(store).state, state(store).attempts) == (queued.WAITING, 0)
    refused = trainer("pass")
    with monkeypatch.context() as host:
        host.setattr(subprocess, "Popen", _refuse)
        with pytest.raises(ShuttingDown, match="not be started"):
            refused.take("mine")
    assert (state(store).state, state(store).attempts) == (queued.WAITING, 0)
    assert "the training cannot be started (Too many open files): raise" in state(store).log
    # An error that another try would repeat: its words are kept.
    trainer("print('no folder'); raise SystemExit(2)").take("mine")
    assert listing.show(store, "mine").state == "failed: no folder"
    trainer("raise SystemExit(0)").take("mine")
    assert state(store).state == queued.FAILED
    # Submitted again, it is done again; and once more does nothing.
    assert submitting.submit([asked()], store, queue)[0].state == queued.WAITING
    trainer("print(run)").take("mine")
    trainer("raise SystemExit(2)").take("mine")
    assert (state(store).state, state(store).log) == (queued.DONE, "mine")
    assert submitting.submit([asked()], store, queue)[0].state == queued.DONE


def test_a_training_that_kills_its_process_is_given_up(
    store: MemoryStore, queue: FakeQueue, trainer: Callable[[str], TrainerService]
) -> None:
    submitting.submit([asked()], store, queue)
    deadly = trainer("import os; os.kill(os.getpid(), 9)")
    for _ in range(queued.MOST_ATTEMPTS):
        with pytest.raises(ShuttingDown, match="was ended by signal 9"):
            deadly.take("mine")
    deadly.take("mine")
    assert listing.show(store, "mine").state.startswith("failed: its training ended without")


def test_a_run_that_is_withdrawn_or_a_trainer_that_stops_ends_the_training(
    store: MemoryStore, queue: FakeQueue, trainer: Callable[[str], TrainerService], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    service = trainer(f"import time; open({str(begun)!r}, 'w'); time.sleep(60)")
    submitting.submit([asked()], store, queue)

    def when_begun(action: Callable[[], object]) -> threading.Thread:
        def wait() -> None:
            checker.until(begun.exists, 20, "the training began")
            action()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    thread = when_begun(lambda: listing.delete(store, "mine"))
    service.take("mine")
    thread.join()
    assert [*store.list("runs/")] == []
    begun.unlink()

    submitting.submit([asked()], store, queue)
    thread = when_begun(service.stopping.set)
    with pytest.raises(ShuttingDown, match="the training of run mine stopped"):
        service.take("mine")
    thread.join()
    assert (state(store).state, state(store).attempts) == (queued.WAITING, 0)


_TRAINING = """
import pathlib, signal, sys, time
from inkmill.cli.training.submitted import stop_at_eof
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({saved!r}).touch(), sys.exit(4)))
stop_at_eof()
print("begun", flush=True)
time.sleep(60)
"""
_TRAINER = """
import pathlib, sys, time
from inkmill.processes import LoggedChild
command, said = [sys.executable, "-c", {training!r}], pathlib.Path({said!r})
child = LoggedChild(command, said, what="the training", seconds=40)
time.sleep(60)
"""


def test_a_training_saves_and_ends_when_its_trainer_is_killed(tmp_path: Path) -> None:
    saved, said = tmp_path / "saved", tmp_path / "said.log"
    training = _TRAINING.format(saved=str(saved))
    trainer = _TRAINER.format(training=training, said=str(said))
    with subprocess.Popen([sys.executable, "-c", trainer]) as process:
        checker.until(lambda: said.exists() and "begun" in said.read_text(), 30, "it began")
        process.kill()
    checker.until(saved.exists, 10, "the training was told to stop")


def test_a_run_whose_message_is_lost_is_sent_again_once(
    store: MemoryStore, queue: FakeQueue, trainer: Callable[[str], TrainerService]
) -> None:
    submitting.submit([asked(), asked("other")], store, queue)
    store.put(names.run_queued("damaged"), b"{")
    queue.client.flushall()
    service = trainer("")
    for _ in range(2):
        service.send_lost()
        assert queue.client.llen(names.TRAIN) == 2
    entry = queue.client.rpop(names.TRAIN)
    assert isinstance(entry, bytes)
    assert Message.in_entry(entry, names.TRAIN).job in ("mine", "other")
    # It is no message for a worker, nor that of a chunk one for a trainer.
    with pytest.raises(BadMessage, match=r"for 'inkmill.train', not for inkmill.chunk"):
        Message.in_entry(entry)
    with pytest.raises(BadMessage, match=r"for 'inkmill.chunk', not for inkmill.train"):
        Message.in_entry(Message("job", 3).entry(names.queue("low"), "tag"), names.TRAIN)
    assert queue.present() == set()
    service.take("unknown")


def test_runs_of_the_same_name_are_not_mixed_up(store: MemoryStore, queue: FakeQueue) -> None:
    checkpoints.begin(store, "begun", CONFIG, "ab" * 32)
    with pytest.raises(UsageError, match="run begun was begun without trainers: continue it"):
        submitting.submit([asked("new"), asked("begun")], store, queue)
    assert queued.queued_names(store) == []
    submitting.submit([asked()], store, queue)
    other = QueuedRun(run="mine", config={**asked().config, "name": "other"})
    with pytest.raises(UsageError, match="run mine was submitted with another config"):
        submitting.submit([other], store, queue)
    with pytest.raises(UsageError, match="mine was submitted to trainers and is waiting: wait"):
        queued.refuse_submitted(store, "mine")


def test_the_submitter_is_told_of_each_change_and_of_what_failed(
    store: MemoryStore, queue: FakeQueue, trainer: Callable[[str], TrainerService]
) -> None:
    runs = ["good", "bad", "gone"]
    submitting.submit([asked(run) for run in runs], store, queue)
    checkpoints.begin(store, "good", CONFIG, "ab" * 32)
    told: list[str] = []

    def announce(words: str) -> None:
        told.append(words)
        if len(told) == 1:
            trainer("raise SystemExit('out of memory')").take("bad")
            trainer("").take("good")
            checkpoints.write_result(store, "good", "ab" * 32, {"steps": 10})
            listing.delete(store, "gone")

    with pytest.raises(NotFinished, match=r"(?s)2 of 3 .*bad: failed: out of m.*gone: withdrawn"):
        submitting.wait(runs, submitting.Waiting(store, announce, poll=0))
    assert told == ["3 waiting", "1 done, 1 failed, 1 withdrawn"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--submit", "--devices", "GPU:0"), "--devices: not with --submit"),
        (("--submit", "--resume", "mine"), "--resume: not with --submit"),
        (("--submit", "--data", "job:forms"), "--data job:forms: not with --submit"),
        (("--wait",), "--wait: only with --submit"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], message: str) -> None:
    from inkmill.cli.commands.train import train

    result = CliRunner().invoke(train, words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--once"], "--once: only with CONFIG"),
        ([__file__, "--devices", "CPU:0"], "--devices: only without CONFIG"),
    ],
)
def test_a_trainer_for_the_queue_and_one_for_the_desk_have_options_of_their_own(
    words: list[str], message: str
) -> None:
    from inkmill.cli.commands.trainer import trainer as serve

    result = CliRunner().invoke(serve, words)
    assert (result.exit_code, message in result.output) == (2, True)


def test_without_a_store_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.cli.commands.train import train
    from inkmill.cli.commands.trainer import trainer as serve

    monkeypatch.chdir(tmp_path)
    for name in ("INKMILL_S3_ENDPOINT", "INKMILL_S3_BUCKET", "INKMILL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for command, words in ((train, ["--submit"]), (serve, [])):
        with pytest.raises(UsageError, match="set INKMILL_S3_ENDPOINT"):
            CliRunner().invoke(command, words, catch_exceptions=False)
