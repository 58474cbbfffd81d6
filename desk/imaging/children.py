"""The desk's side of its imaging processes: a few children, one request at a time each."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from inkmill.codes import Code
from inkmill.desk.imaging.link import Message, receive, send
from inkmill.errors import InkmillError, ItemError, UsageError
from inkmill.processes import start_linked, starting

#: A page of 300 dpi is decoded and its boxes are found in some three seconds; a request that takes
#: longer than this is not about an honest file.
SECONDS = 60.0
#: Each further page of a file gets this part of that.
_FURTHER = 0.25
#: Bytes of memory that a child may take: a page of 120 million pixels in colour, several times.
_MEMORY = 4 * 2**30
#: Environment variables that a child gets; it needs none but those that Python starts with.
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR")
#: A child may start no thread, which counts as a process of its user's.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Imaging:
    """Children that work on pictures; at most ``most`` at once, started when they are needed."""

    def __init__(self, most: int | None = None, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._closed = False
        # The child that answered last is asked next, so that the others may end when idle.
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(most or max(1, min(4, os.cpu_count() or 1))):
            self._idle.put(None)

    def ask(
        self, task: str, blobs: Sequence[bytes] = (), *, parts: int = 1, **values: Any
    ) -> Message:
        """The answer to a request about so many ``parts``, such as pages; waits for a free child.

        Raises ItemError with what is wrong with a file (TIMEOUT if it takes too long, CRASHED if
        the process died of it), UsageError for a request that cannot be carried out, and
        CannotStart where the host refuses another child.
        """
        seconds = self._seconds * (1 + _FURTHER * (parts - 1))
        child = self._idle.get()
        try:
            if self._closed:
                raise InkmillError("the desk is stopping: ask again when it runs")
            for attempt in range(2):
                # A child that was idle ends by itself, perhaps just now: a new one is asked.
                if child is None or not child.alive:
                    child = _Child()
                fresh = child.fresh
                try:
                    answer = child.ask(Message({"task": task, **values}, blobs), seconds)
                except _Died as error:
                    child = None
                    if fresh or attempt or isinstance(error, _TookTooLong):
                        raise _verdict(error, seconds) from None
                    continue
                return _checked(answer)
            raise AssertionError("the second attempt answers or raises")
        finally:
            if self._closed and child is not None:
                child.close()
                child = None
            self._idle.put(child)

    def close(self) -> None:
        """End the children: those at work once they have answered. Later requests are refused."""
        self._closed = True
        idle = list[_Child | None]()
        with suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for child in idle:
            if child is not None:
                child.close()
            # Whoever waits for a child is woken, and told.
            self._idle.put(None)


class _Died(Exception):
    """A child ended without an answer."""


class _TookTooLong(_Died):
    """A child was ended because it took too long."""


def _verdict(error: _Died, seconds: float) -> ItemError:
    if isinstance(error, _TookTooLong):
        return ItemError(
            Code.TIMEOUT,
            f"reading the file took longer than {seconds:.0f} s: save it again with another "
            "program, as PNG or with fewer pages",
        )
    return ItemError(
        Code.CRASHED,
        "reading the file ended the process that did it: save the file again with another program",
    )


def _checked(answer: Message) -> Message:
    """The answer, unless it tells of an error, which is raised here."""
    fault = answer.head.get("error")
    if not isinstance(fault, dict):
        return answer
    message = str(fault.get("message"))
    if fault.get("code"):
        raise ItemError(Code(str(fault["code"])), message)
    raise (UsageError if fault.get("usage") else InkmillError)(message)


class _Child:
    """One process and the connection to it."""

    def __init__(self) -> None:
        self.fresh = True
        with starting("the process that works on pictures"):
            self._process, connection = start_linked(
                "inkmill.desk.imaging.child",
                [str(_MEMORY)],
                options=["-P"],  # the current folder may be one of strangers' files
                output=subprocess.DEVNULL,
                environment=_environment(),
            )
        self._connection = Connection(connection.detach())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Message, seconds: float) -> Message:
        """Its answer. Raises _Died without one; the child is then gone."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        clock = threading.Timer(seconds, end)
        clock.daemon = True
        clock.start()
        try:
            send(self._connection, request)
            answer = receive(self._connection)
        except (EOFError, OSError, ValueError, KeyError, TypeError, RecursionError):
            self.close()
            raise (_TookTooLong if late.is_set() else _Died) from None
        finally:
            clock.cancel()
        self.fresh = False
        return answer

    def close(self) -> None:
        self._connection.close()
        with suppress(OSError):
            self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")
    }
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1")}
