"""Workers that a test starts, wounds, stops and counts; and the job it runs on them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import psutil

from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, open_store
from inkmill.lifecycle.identity import resolve
from inkmill.lifecycle.invariants import judge
from inkmill.local.servers import Stack
from inkmill.local.workers import LocalWorkers
from inkmill.producer import Connection, connect, submit
from inkmill.records.rows import Row
from inkmill.settings import Settings
from tests.faults import checker, workload
from tests.faults.checker import Calm
from tests.faults.workload import Workload

_HOOKS = Path(__file__).parent / "hooks"
#: What tests run with: recovery in seconds, where operators wait for minutes.
QUICK = {
    "engines": 1,
    "visibility_timeout": 12.0,
    "reconcile_interval": 2.0,
    "model_poll_interval": 1.0,
    "item_deadline": 3.0,
    "drain_deadline": 20.0,
    "redis_timeout": 5.0,
    "s3_timeout": 3.0,
    "log_format": "human",
}


class Cluster:
    """A store, a queue and workers for one test; all that it started is ended by ``close``."""

    def __init__(self, stack: Stack, settings: Settings, folder: Path, calm: Calm) -> None:
        self.stack = stack
        self.settings = settings.model_copy(update=dict(QUICK))
        self.folder = folder
        self.log = folder / "worker.log"
        self.flags = folder / "flags"
        self.flags.mkdir()
        self.store: S3Store = open_store(self.settings)
        self.queue = Queue(self.settings)
        self._calm = calm
        self._groups: list[LocalWorkers] = []
        self._adopted: list[subprocess.Popen[bytes]] = []

    @property
    def redis_port(self) -> int:
        """The port of the real redis-server."""
        return int(urlsplit(self.settings.redis_url).port or 0)

    # --- workers ---------------------------------------------------------------------------

    def start(
        self,
        count: int = 1,
        *,
        faults: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        ready: bool = True,
        **changes: object,
    ) -> list[subprocess.Popen[bytes]]:
        """Start workers, some of them with faults; waits until they are ready."""
        group = LocalWorkers(self.settings.model_copy(update=changes), count, self.log)
        with mock.patch.dict(os.environ, self.environment(faults, environment)):
            group.__enter__()
        self._groups.append(group)
        if ready:
            for worker in group.processes:
                self.wait_ready(worker)
        return group.processes

    def environment(
        self, faults: Sequence[str], more: dict[str, str] | None = None
    ) -> dict[str, str]:
        """What makes a process suffer from faults: see hooks/sitecustomize.py."""
        if not faults:
            return dict(more or {})
        return {
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(_HOOKS), os.environ.get("PYTHONPATH")])
            ),
            "FAULTS": ",".join(faults),
            "FAULT_FLAGS": str(self.flags),
            **(more or {}),
        }

    def process_environment(
        self, faults: Sequence[str], more: dict[str, str] | None = None
    ) -> dict[str, str]:
        """The whole environment of a process that is no worker."""
        settings = self.settings.environment()
        return {**os.environ, **settings, **self.environment(faults, more)}

    def adopt(self, worker: subprocess.Popen[bytes]) -> None:
        """A worker that the test started by itself is ended with the others."""
        self._adopted.append(worker)

    def arm(self, fault: str) -> None:
        """Let a fault that happens once happen (again)."""
        (self.flags / fault).touch()

    def struck(self, fault: str) -> bool:
        """Whether an armed fault has happened."""
        return not (self.flags / fault).exists()

    def wait_ready(self, worker: subprocess.Popen[bytes], timeout: float = 90.0) -> float:
        """Wait until this worker reports; returns how long it took."""
        name = f"{socket.gethostname()}:{worker.pid}"

        def look() -> bool:
            assert worker.poll() is None, f"ended with {worker.returncode}: {self.words()[-3000:]}"
            return name in self.queue.workers()

        return checker.until(look, timeout, f"worker ready: {self.words()[-3000:]}")

    def words(self) -> str:
        """What the workers logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def engine_of(
        self, worker: subprocess.Popen[bytes], after: psutil.Process | None = None
    ) -> psutil.Process:
        """The engine of a worker with one engine; with ``after`` the one that replaces that."""

        def look() -> list[psutil.Process]:
            return [each for each in psutil.Process(worker.pid).children() if each != after]

        checker.until(look, 30, "an engine")
        return look()[0]

    def leave(self, worker: subprocess.Popen[bytes], timeout: float = 60.0) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(timeout)
        return code, time.monotonic() - began

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL, as the kernel does it when memory runs out."""
        worker.kill()
        worker.wait()

    def close(self) -> None:
        """End all workers at once: what they had in hand is of no interest any more."""
        groups = (worker for group in self._groups for worker in group.processes)
        for worker in (*groups, *self._adopted):
            engines = _children(worker.pid)
            worker.kill()
            worker.wait()
            for engine in engines:
                _end(engine)

    # --- jobs ------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """A producer's connection, made anew."""
        return connect(self.settings)

    def submit(self, work: Workload, chunk_size: int = 20, **options: object) -> str:
        """Submit the workload as a producer does; returns the job's id."""
        label = submit(work.folder, chunk_size=chunk_size, settings=self.settings, **options)  # type: ignore[arg-type]
        return resolve(self.store, label)

    def submit_through(self, s3_endpoint: str, work: Workload, name: str) -> str:
        """Submit by name, as a producer that reaches the S3 server by another address."""
        chosen = self.settings.model_copy(update={"s3_endpoint": s3_endpoint})
        return resolve(self.store, submit(work.folder, name=name, chunk_size=20, settings=chosen))

    def work(
        self, count: int, marks: workload.Marks | None = None, name: str = "scans"
    ) -> Workload:
        """A workload in the test's own folder."""
        return workload.build(self.folder / name, count, marks)

    def done(self, job: str) -> bool:
        """Whether the job has its summary."""
        return checker.finished(self.store, job)

    def results(self, job: str) -> int:
        """Chunks that have their result."""
        from inkmill import names

        return sum(1 for _ in self.store.list(names.results(job)))

    def wait(self, job: str, timeout: float) -> float:
        """Wait until the workers finished the job; returns the seconds it took from now."""
        return checker.until(lambda: self.done(job), timeout, f"{job}: {self.words()[-4000:]}")

    def promised_rows(self, job: str) -> list[Row]:
        """The job's rows, in the items' order."""
        found = judge(self.store, self.queue, job).rows
        return [found[item] for item in sorted(found)]

    def rows(self, job: str) -> dict[str, Row]:
        """The job's rows by source."""
        return {row.source: row for row in self.promised_rows(job)}

    def promise(self, job: str) -> tuple[str, ...]:
        """How the promise was broken: not at all. A worker may still acknowledge its last chunk."""
        with suppress(AssertionError):
            checker.until(lambda: not judge(self.store, self.queue, job).problems, 5, "broken")
        return judge(self.store, self.queue, job).problems

    def as_calm(self, row: Row, work: Workload) -> None:
        """Assert that one row is as the undisturbed run read it."""
        checker.as_calm(row.source, row, work, self._calm)

    def verify(self, job: str, work: Workload) -> dict[str, Row]:
        """The checker's verdict; returns the rows by source."""
        return checker.verify(self.store, self.queue, job, work, self._calm)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return
