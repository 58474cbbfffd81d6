"""What a trainer does with a run that a message names, and what it does besides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from inkmill.backends.queue import Queue
from inkmill.backends.store import Store
from inkmill.errors import (
    CannotStart,
    InkmillError,
    NotFinished,
    PreconditionFailed,
    ShuttingDown,
    Unreachable,
)
from inkmill.processes import LoggedChild
from inkmill.settings import Settings
from inkmill.trainer.runs import checkpoints, listing, queued
from inkmill.trainer.runs.queued import Held, Ledger, QueuedRun

log = logging.getLogger(__name__)

#: A claim is renewed so often, and open to others after twelve times as long (seconds).
_BEAT_SECONDS = 5.0
_SILENCES = 12
#: Before a run is tried again whose training could not reach a server, or was killed (seconds).
_PAUSE_SECONDS = 10.0
#: A training that is told to stop saves a checkpoint, which may take 25 s; then it is killed.
_END_SECONDS = 40.0
_STOPPED = NotFinished.exit_code
_NO_SERVER = Unreachable.exit_code

#: The command line that trains a run in a process of its own.
Command = Callable[[str], Sequence[str]]


def silence(settings: Settings) -> float:
    """Seconds after which a claim that is not renewed is open to others."""
    return min(_SILENCES * _BEAT_SECONDS, settings.visibility_timeout)


class TrainerService:
    """One trainer: it carries out one run at a time, each in a child process.

    ``command`` gives the child's command line, ``folder`` takes what it says.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        queue: Queue,
        *,
        name: str,
        command: Command,
        folder: Path,
    ) -> None:
        self.stopping = threading.Event()
        self._ledger = Ledger(store, silence(settings))
        self._store, self._queue = store, queue
        self._name, self._command, self._folder = name, command, folder
        self._beat = silence(settings) / _SILENCES
        self._interval = settings.reconcile_interval

    def take(self, run: str) -> None:
        """Carry out a run, unless it is over, or another trainer is at it.

        Raises ShuttingDown if the run is to be delivered again.
        """
        held = self._ledger.claim(run, self._name)
        if held is None:
            log.info("nothing to do for run %s: it is over, or another trainer has it", run)
            return
        record, etag = held
        if self._has_ended(record):
            self._ledger.change(record, etag, state=queued.DONE)
            return
        if record.attempts > queued.MOST_ATTEMPTS:
            why = f"its training ended without a word {queued.MOST_ATTEMPTS} times: see its log"
            self._ledger.change(record, etag, state=queued.FAILED, log=why)
            return
        log.info("run %s begins, attempt %d", run, record.attempts)
        try:
            self._carry_out(held)
        except PreconditionFailed:
            log.warning("run %s was withdrawn, or another trainer took it over", run)

    def _has_ended(self, record: QueuedRun) -> bool:
        """Whether a trainer that fell silent had done all but say so."""
        if record.publish:
            return False  # it may lack only that, which does no harm twice
        try:
            checkpoints.read_run(self._store, record.run)
        except InkmillError:
            return False
        return listing.show(self._store, record.run).result is not None

    def _carry_out(self, held: Held) -> None:
        said = self._folder / held[0].run / "training.log"
        command = self._command(held[0].run)
        try:
            child = LoggedChild(command, said, what="the training", seconds=_END_SECONDS)
        except CannotStart as error:
            log.error("run %s waits: %s", held[0].run, error)
            self._give_back(held, held[0].attempts - 1, str(error), "could not be started")
        with child:
            held, code = self._watch(held, child)
        self._conclude(held, code, child.last_lines(queued.MOST_LOG))

    def _watch(self, held: Held, child: LoggedChild) -> tuple[Held, int]:
        """Renew the claim until the child ends. Raises PreconditionFailed if it is ours no more."""
        while (code := child.wait(self._beat)) is None:
            if self.stopping.is_set():
                return held, child.stop()
            try:
                held = self._ledger.change(*held, log=child.last_lines(queued.MOST_LOG))
            except Unreachable as error:
                log.warning("run %s goes on, its claim is renewed later: %s", held[0].run, error)
        return held, code

    def _conclude(self, held: Held, code: int, said: str) -> None:
        run, attempts = held[0].run, held[0].attempts
        if code == 0:
            self._ledger.change(*held, state=queued.DONE, log=said)
            log.info("run %s is done", run)
            return
        is_killed = code < 0 and not self.stopping.is_set()
        if not is_killed and code not in (_STOPPED, _NO_SERVER) and not self.stopping.is_set():
            self._ledger.change(*held, state=queued.FAILED, log=said)
            log.error("run %s failed: %s", run, said.rpartition("\n")[2])
            return
        # That it was stopped, or that a server was away, is no fault of the run's.
        counted = attempts if is_killed else attempts - 1
        why = f"was ended by signal {-code}" if is_killed else "stopped"
        self._give_back(held, counted, said, why)

    def _give_back(self, held: Held, attempts: int, said: str, why: str) -> NoReturn:
        """The run is delivered again, after a pause, to this trainer or another."""
        self._ledger.change(*held, state=queued.WAITING, attempts=attempts, log=said)
        self.stopping.wait(_PAUSE_SECONDS if not self.stopping.is_set() else 0)
        raise ShuttingDown(f"the training of run {held[0].run} {why}")

    def keep_house(self) -> None:
        """Until stopped: send runs again whose message was lost, or whose trainer fell silent."""
        while not self.stopping.wait(self._interval):
            try:
                self.send_lost()
            except InkmillError as error:
                log.warning("runs that were lost are looked for again later: %s", error)
            except Exception:
                log.exception("looking for lost runs failed; retrying")

    def send_lost(self) -> None:
        """Send the runs that a trainer could take now, unless their message waits."""
        free = {record.run: record for record in self._ledger.free()}
        for run in self._queue.send_trainings(free) if free else ():
            if free[run].state == queued.RUNNING:
                log.warning("trainer %s of run %s fell silent", free[run].trainer, run)
