"""Trainings that are asked for at the desk: claimed once, stopped, taken over, told of."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from inkmill.backends import event_log
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.training import asked, trainer
from inkmill.desk.training.asked import Outcome, PagesAgain, SetFigures, Training, Trainings
from inkmill.desk.training.pages import objections
from inkmill.errors import UsageError
from inkmill.records.events import Event
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import sums_job
from tests.unit.desk_visits import visit

OLD, NEW = "ab" * 32, "cd" * 32
AGAIN = PagesAgain("own-r2", 4, accepted=40, changed=1, doubted=2, gained=3)
GOOD = Outcome(60, 4, "digits", NEW, OLD, (SetFigures("mnist", 100, 0.98, 0.99),), AGAIN)


def ask(trainings: Trainings, job: str = "own") -> Training:
    return trainings.ask(job=job, label=job, person="sue", count=60)


def run(cluster: FakeCluster, script: str) -> int:
    """A trainer whose trainings are this script; its first argument is where the outcome goes."""

    def child(_: str, outcome: Path) -> Sequence[str]:
        return [sys.executable, "-c", script, str(outcome)]

    return trainer.Trainer(cluster.connection, child, "a test").serve(once=True, announce=print)


def test_a_training_is_claimed_once_and_carried_out(cluster: FakeCluster) -> None:
    trainings = Trainings(cluster.store)
    made = ask(trainings)
    with pytest.raises(UsageError, match="under way already"):
        ask(trainings)
    script = f"import sys; print('step 20'); open(sys.argv[1], 'wb').write({GOOD.encode()!r})"
    assert run(cluster, script) == 1
    assert run(cluster, script) == 0
    ended, _ = trainings.get(made.id)
    assert (ended.state, ended.outcome, ended.log.strip()) == ("done", GOOD, "step 20")
    assert "a test" in trainer.trainer_of(cluster.connection)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import sys; sys.exit('nobody has entered digits')", "nobody has entered digits"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("pass", "ended without an outcome"),
    ],
)
def test_a_training_that_fails_says_why(cluster: FakeCluster, script: str, why: str) -> None:
    made = ask(Trainings(cluster.store))
    run(cluster, script)
    ended, _ = Trainings(cluster.store).get(made.id)
    assert ended.state == "failed"
    assert why in ended.message


def test_a_stopped_training_ends_its_process(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_BEAT_SECONDS", 0.05)
    trainings, begun = Trainings(cluster.store), tmp_path / "begun"
    made = ask(trainings)
    script = f"import time; open({str(begun)!r}, 'w'); time.sleep(600)"
    working = threading.Thread(target=run, args=(cluster, script))
    working.start()
    while not begun.exists():
        time.sleep(0.01)
    trainings.stop(made.id)
    working.join(60)
    assert not working.is_alive()
    assert trainings.get(made.id)[0].state == "stopped"


def test_another_trainer_takes_over_from_one_that_fell_silent(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ask(Trainings(cluster.store))
    assert Trainings(cluster.store).claim("first") is not None
    assert Trainings(cluster.store).claim("second") is None
    monkeypatch.setattr(asked, "SILENT_SECONDS", 0.0)
    taken = Trainings(cluster.store).claim("second")
    assert taken is not None
    assert (taken[0].id, taken[0].trainer) == (made.id, "second")


def test_what_speaks_against_a_promotion() -> None:
    def of(outcome: Outcome) -> list[str]:
        training = Training("x" * 22, "own", "own", "sue", 1.0, 60, state="done", outcome=outcome)
        return objections(training)

    assert of(GOOD) == []
    worse = SetFigures("corrections", 20, 0.95, 0.90)
    unread = Outcome(60, 4, "digits", NEW, OLD, (worse,), None, "no worker")
    assert [each[:20] for each in of(unread)] == ["It reads 90.00% of c", "No page was read by "]
    elsewhere = Outcome(60, 4, "digits", NEW, OLD, (SetFigures("own", 9, -1.0, 0.9),), AGAIN)
    assert "no test set on which both" in of(elsewhere)[0]


def test_a_supervisor_asks_sees_old_against_new_and_a_keyer_does_not(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster, pages=2)
    context = DeskContext(cluster.connection)
    sue, anna = visit(context, Role.SUPERVISOR), visit(context, Role.KEYER)
    assert anna.get(f"/review/{job}/training").status_code == 403
    refused = sue.post(f"/review/{job}/training", data={"csrf": sue.csrf})
    assert "obody has entered a value" in refused.text
    event_log.add(cluster.store, job, [Event(0, "a", "67", "61", "anna", 1.0)])
    page = sue.post(f"/review/{job}/training", data={"csrf": sue.csrf})
    assert "A training with 1 corrected fields waits" in page.text
    assert "it waits until one is started" in page.text
    (made,) = Trainings(cluster.store).all()
    run(cluster, f"import sys; open(sys.argv[1], 'wb').write({GOOD.encode()!r})")
    shown = sue.get(f"/models/{made.id}").text
    assert "98.00 %" in shown
    assert "99.00 %" in shown
    assert "Read new jobs with this model" in shown
    cluster.publish("ef" * 32)
    assert "Another model is served by now" in sue.get(f"/models/{made.id}").text
    assert made.label in sue.get("/models").text
