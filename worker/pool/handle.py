"""One engine process, seen from its worker: requests out, answers in, and how it died."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import psutil

from inkmill.codes import Code
from inkmill.processes import start_linked
from inkmill.settings import Settings
from inkmill.worker.link import (
    DIGITS,
    EVERY_REQUEST,
    NO_ITEM,
    STRIPS,
    Door,
    EngineConfig,
    Frame,
    Link,
    ModelPayload,
    SharedPosition,
    receive,
    send,
)
from inkmill.worker.pool.environment import engine_environment

log = logging.getLogger(__name__)

_requests = itertools.count(1)
#: Steps that belong to no item (starting, loading and compiling a network, predicting) may take
#: this long on a busy host.
_STEP_SECONDS = 180.0
#: Bytes of an answer: rows of a chunk, and small pictures of its pages.
_MOST_ANSWER = 2**30


class Died(Exception):
    """The engine is gone.

    ``item`` is the position of the item that it had in hand, if any; ``bystander`` is set for a
    request that it had not begun.
    """

    def __init__(
        self, item: int | None, code: Code, words: str, *, bystander: bool = False
    ) -> None:
        super().__init__(words)
        self.item = item
        self.bystander = bystander
        self.code = code
        self.words = words


class EngineHandle:
    """A spawned engine with its connection.

    Requests may come from many threads; answers arrive as futures, which raise Died when the
    process dies. The versions in its memory are mirrored here: the engine's model cache sees the
    same loads and uses in the same order, and so drops the same ones. ``door`` is the engine's end
    of the one through which it gets connections to its device; it is closed here.

    Raises OSError where the process cannot be started, and leaves nothing open.
    """

    def __init__(self, settings: Settings, threads: int, *, door: Door | None = None) -> None:
        self._deadline = settings.item_deadline
        self._memory = settings.engine_memory
        self._sending = threading.Lock()
        self._pending: dict[int, Future[Frame]] = {}
        self._lock = threading.Lock()
        self._beat = 0
        self._silent = 0.0
        self._checked = time.monotonic()
        self.ready = threading.Event()
        self.started = time.monotonic()
        self._held = {kind: OrderedDict[str, None]() for kind in (DIGITS, STRIPS)}
        self._kept = settings.models_kept
        self.alive = True
        self.cause = ""
        self._code = Code.CRASHED
        with ExitStack() as undo, ExitStack() as passed_on:
            if door is not None:
                passed_on.callback(door.close)
            self._process = self._start(settings, threads, door, undo)
            self._usage = psutil.Process(self._process.pid)
            threading.Thread(target=self._listen, name=f"engine-{self.pid}", daemon=True).start()
            undo.pop_all()

    def _start(
        self, settings: Settings, threads: int, door: Door | None, undo: ExitStack
    ) -> subprocess.Popen[bytes]:
        """``undo`` closes what this worker holds of it."""
        self._position = SharedPosition()
        undo.callback(self._position.close)
        position = self._position.descriptor
        config = json.dumps(asdict(engine_config(settings, threads, door)))
        process, connection = start_linked(
            "inkmill.worker.engine.main",
            [str(position), config],
            passed_on=[position, *([door.descriptor] if door is not None else [])],
            environment=engine_environment(os.environ, threads),
        )
        undo.callback(process.kill)
        undo.enter_context(connection)
        self._connection = Link(connection)
        undo.callback(self._connection.close)
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def waiting(self) -> int:
        """Number of requests that it has not answered."""
        return len(self._pending)

    def load(self, model: ModelPayload) -> Future[Frame]:
        """Send a model version; the future holds the engine's verdict on it, or Died."""
        with self._sending:
            held = self._held[model.kind]
            held[model.version] = None
            held.move_to_end(model.version)
            while len(held) > self._kept:
                held.popitem(last=False)
            return self._ask({"op": "load", "kind": model.kind}, model.parts)

    def lacks(self, versions: Sequence[str]) -> list[str]:
        """Those of the versions that are to be loaded first."""
        with self._sending:
            return [each for each in versions if not any(each in h for h in self._held.values())]

    def read(
        self, version: str, head: Mapping[str, Any], parts: Sequence[bytes]
    ) -> Future[Frame] | None:
        """Send a chunk; the future holds its rows, or Died. None: load the versions first.

        ``head`` names the version for numbers without cells, if the chunk needs one.
        """
        strips = head["strips_version"]
        with self._sending:
            if version not in self._held[DIGITS] or (strips and strips not in self._held[STRIPS]):
                return None
            self._held[DIGITS].move_to_end(version)
            if strips:
                self._held[STRIPS].move_to_end(strips)
            return self._ask({**head, "op": "chunk", "version": version}, parts)

    def drop(self, version: str) -> None:
        """The engine refused this version."""
        with self._sending:
            for held in self._held.values():
                held.pop(version, None)

    def _ask(self, head: Mapping[str, Any], parts: Sequence[bytes]) -> Future[Frame]:
        number = next(_requests)
        future: Future[Frame] = Future()
        with self._lock:
            if not self.alive:
                future.set_exception(Died(None, self._code, self.cause, bystander=True))
                return future
            self._pending[number] = future
        try:
            send(self._connection, Frame({**head, "request": number}, parts))
        except (OSError, ValueError):
            # The listener sees the end of the connection too, and sets the future.
            log.debug("engine %d closed the connection while it was sent a request", self.pid)
        return future

    def check(self) -> None:
        """Kill the engine if it hangs or holds too much memory; called each quarter second."""
        if not self.alive:
            return
        now = time.monotonic()
        # A pause longer than a second was one of the whole worker (SIGSTOP, a suspended laptop) and
        # says nothing about the engine.
        passed, self._checked = min(now - self._checked, 1.0), now
        position = self._position.read()
        moved, self._beat = position.beat != self._beat, position.beat
        self._silent = 0.0 if moved or not self._pending else self._silent + passed
        limit = _STEP_SECONDS if position.item == NO_ITEM else self._deadline
        if self._silent > limit:
            self._kill(Code.TIMEOUT, f"it took longer than {limit:.0f} s")
            return
        try:
            held = self._usage.memory_info().rss
        except (psutil.Error, OSError):  # it has gone, or this worker can open no more files
            return
        if held > self._memory:
            self._kill(
                Code.CRASHED,
                f"it needed more than {self._memory / 2**30:.1f} GiB of memory: scan it at a lower "
                "resolution",
            )

    def _kill(self, code: Code, cause: str) -> None:
        self._code, self.cause = code, cause
        self._process.kill()

    def _listen(self) -> None:
        """Pass answers on to those who wait, until the process ends."""
        try:
            while True:
                frame = receive(self._connection, _MOST_ANSWER)
                if frame.head["op"] == "ready":
                    self.ready.set()
                    continue
                with self._lock:
                    future = self._pending.pop(int(frame.head["request"]))
                future.set_result(frame)
        except (EOFError, OSError):
            log.debug("engine %d has gone", self.pid)
        except Exception as error:
            # Whatever it is: nobody else would ever answer those who wait.
            self.refuse(f"{type(error).__name__}: {error}")
        self._bury()

    def refuse(self, why: str) -> None:
        """It said something that no engine says: kill it, since a file may have taken it over."""
        log.error("engine %d is killed, since its answer is none (%s)", self.pid, why[:200])
        self._kill(Code.CRASHED, "the engine gave an answer that is none")

    def _bury(self) -> None:
        """The process is gone: pass on to everyone who waits which item it had in hand."""
        self._process.kill()
        returned = self._process.wait()
        position = self._position.read()
        with self._lock:
            self.alive = False
            self.cause = self.cause or _how(returned)
            pending, self._pending = self._pending, {}
        words = f"reading it failed: {self.cause}"
        for number, future in pending.items():
            item = position.item if number == position.request else NO_ITEM
            death = Died(
                None if item == NO_ITEM else item,
                self._code,
                words,
                bystander=position.request not in (number, EVERY_REQUEST),
            )
            future.set_exception(death)
        # A sender notices the end by itself; its descriptor must not be closed while it writes.
        with self._sending:
            self._connection.close()
        self._position.close()

    def close(self) -> None:
        """Kill the process; the listener closes the connection."""
        self._process.terminate()
        self._process.kill()


def _how(returned: int) -> str:
    if returned < 0:
        return f"the engine was killed by signal {-returned}"
    return f"the engine exited with code {returned}"


def engine_config(settings: Settings, threads: int, door: Door | None = None) -> EngineConfig:
    """The part of the settings that an engine needs."""
    return EngineConfig(
        models_kept=settings.models_kept,
        threads=threads,
        confidence=settings.confidence,
        max_pixels=settings.max_pixels,
        max_pages=settings.max_pages,
        cache_dir=str(settings.cache_dir),
        log_format=settings.log_format,
        log_level=settings.log_level,
        door=door.descriptor if door is not None else -1,
    )
