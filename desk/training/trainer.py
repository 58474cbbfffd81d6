"""Carries out what was asked for at the desk, one training at a time.

The trainings themselves run in a process of their own, which a person may stop at the desk, and
which may die without the loop that starts it.
"""

from __future__ import annotations

import logging
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.desk.training.asked import (
    DONE,
    FAILED,
    MOST_LOG,
    Outcome,
    Training,
    Trainings,
)
from inkmill.errors import CannotStart, Corrupt, PreconditionFailed, Unreachable
from inkmill.processes import LoggedChild
from inkmill.producer.connection import Connection

log = logging.getLogger(__name__)

#: Seconds between two looks for something to do, and between two renewals of a record.
_POLL_SECONDS, _BEAT_SECONDS = 5.0, 5.0
#: A desk is told for so long that a trainer is there (seconds).
_PRESENT_SECONDS = 60
#: A process that is told to end has so long to do so (seconds).
_END_SECONDS = 20.0

#: The command line that carries a training out: a file to write the outcome to, and its id.
Child = Callable[[str, Path], Sequence[str]]


class Trainer:
    """The loop of ``inkmill trainer``.

    ``child`` gives the command that carries out the training of an id; it writes an `Outcome` as
    JSON to the file that it is given, and what it has to say to standard error.
    """

    def __init__(self, connection: Connection, child: Child, about: str) -> None:
        self._connection = connection
        self._trainings = Trainings(connection.store)
        self._child = child
        self._name = f"{platform.node()[:60] or 'a trainer'}: {about}"[:200]

    def serve(self, *, once: bool, announce: Callable[[str], None]) -> int:
        """Carry out what is asked for until interrupted; with ``once``, until nothing waits.

        Returns how many trainings were carried out.
        """
        count = 0
        while True:
            self._tell_desk()
            try:
                claimed = self._trainings.claim(self._name)
            except Unreachable as error:
                log.warning("%s", error)
                claimed = None
            if claimed is not None:
                announce(f"training {claimed[0].id}: corrections of job {claimed[0].label}")
                announce(f"training {claimed[0].id}: {self._carry_out(*claimed)}")
                count += 1
            elif once:
                return count
            else:
                time.sleep(_POLL_SECONDS)

    def _carry_out(self, training: Training, etag: str) -> str:
        """Returns the state in which it ended, in a word or a sentence."""
        with tempfile.TemporaryDirectory(prefix="inkmill-trainer-") as folder:
            outcome, output = Path(folder, "outcome.json"), Path(folder, "said.log")
            command = self._child(training.id, outcome)
            try:
                child = LoggedChild(command, output, what="the training", seconds=_END_SECONDS)
            except CannotStart as error:
                self._trainings.change(training, etag, state=FAILED, message=str(error))
                return str(error)
            with child:
                record = self._watch(child, training, etag)
            if record is None:
                return "given up: it was stopped at the desk, or another trainer took it over"
            training, etag = record
            said = child.last_lines(MOST_LOG)
            ended = _ended(child.stop(), outcome, said)
            self._trainings.change(training, etag, beat=time.time(), log=said, **ended)
            return str(ended.get("message") or ended["state"])

    def _watch(
        self, child: LoggedChild, training: Training, etag: str
    ) -> tuple[Training, str] | None:
        """Renew the record until the process ends; None if the training is no longer ours."""
        record = training, etag
        while child.wait(_BEAT_SECONDS) is None:
            self._tell_desk()
            try:
                said = child.last_lines(MOST_LOG)
                record = self._trainings.change(*record, beat=time.time(), log=said)
            except PreconditionFailed:
                return None
            except Unreachable as error:
                log.warning("training %s goes on, but its record is old: %s", training.id, error)
        return record

    def _tell_desk(self) -> None:
        try:
            with reachable():
                self._connection.queue.client.set(
                    names.DESK_TRAINER, self._name, ex=_PRESENT_SECONDS
                )
        except Unreachable as error:
            log.warning("no desk knows of this trainer: %s", error)


def trainer_of(connection: Connection) -> str:
    """The trainer that carries out what the desk asks for; "" if none was heard of lately."""
    try:
        with reachable():
            found = connection.queue.client.get(names.DESK_TRAINER)
    except Unreachable:
        return ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found or "")


def child_command(config: Path, data: Path | None, more: Sequence[str]) -> Child:
    """The command that carries out one training: this program, with the same config."""

    def command(training: str, outcome: Path) -> Sequence[str]:
        place = ["--data", str(data)] if data is not None else []
        return [
            *(sys.executable, "-P", "-m", "inkmill", "trainer", str(config), *place, *more),
            *("--only", training, "--outcome", str(outcome)),
        ]

    return command


def _ended(code: int, outcome: Path, said: str) -> dict[str, object]:
    """What the record says of a process that has ended."""
    if code == 0:
        try:
            return {"state": DONE, "outcome": Outcome.decode(outcome.read_bytes())}
        except (OSError, Corrupt) as error:
            return {"state": FAILED, "message": f"it ended without an outcome: {error}"[:MOST_LOG]}
    last = said.splitlines()[-1:] or ["it said nothing"]
    why = last[0] if code > 0 else f"its process was ended by signal {-code}; last: {last[0]}"
    return {"state": FAILED, "message": why[:MOST_LOG]}
