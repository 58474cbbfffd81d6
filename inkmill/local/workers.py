"""Workers as child processes on this machine: for `inkmill up`, `run`, the demo, the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from inkmill.backends.queue import Queue
from inkmill.errors import InkmillError
from inkmill.processes import starting
from inkmill.settings import Settings


class LocalWorkers:
    """Some workers with the same settings; stopped at the end as an operator would."""

    def __init__(self, settings: Settings, count: int, log: Path) -> None:
        self._settings = settings
        self._count = count
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> LocalWorkers:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(self._count):
            self.add()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self) -> subprocess.Popen[bytes]:
        """Start one more worker. Raises CannotStart."""
        with starting("a worker"), self._log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "inkmill.cli.main", "worker", "--until-eof"],
                env={**os.environ, **self._settings.environment()},
                # Never written to. It ends when this process does, however that happens.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return list(self._processes)

    def wait_ready(self, timeout: float = 90.0) -> None:
        """Wait until as many workers as were started have reported. Raises InkmillError."""
        queue = Queue(self._settings)
        deadline = time.monotonic() + timeout
        while len(queue.workers()) < len(self._processes):
            self.check()
            if time.monotonic() > deadline:
                raise InkmillError(f"no worker was ready within {timeout:.0f} s: see {self._log}")
            time.sleep(0.1)

    def check(self) -> None:
        """Raise InkmillError if a worker has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise InkmillError(
                    f"a worker ended with code {process.returncode}: see {self._log}"
                )

    def revive(self) -> int:
        """Start a new worker for each that ended; returns how many."""
        ended = [each for each in self._processes if each.poll() is not None]
        for each in ended:
            self._processes.remove(each)
            self.add()
        return len(ended)

    def stop(self) -> None:
        """Let the workers drain, then make sure that they are gone."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.drain_deadline + 15
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
