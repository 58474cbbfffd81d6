"""How many pages a file has, found out by a process that has no credentials."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from functools import lru_cache

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.apart import ANSWER, READY, REQUEST
from inkmill.imagefile.sniff import FileType, Limits, require_kind
from inkmill.processes import start_linked, starting

#: Counting pages takes milliseconds; files that take longer than this are not honest.
SECONDS = 20.0
#: It starts in a fifth of a second; on a host without a free core, in this time.
_START_SECONDS = 60.0
#: Bytes of memory that it may take besides the file itself, which is held three times.
_MEMORY, _COPIES = 2 * 2**30, 3
#: Files of this size need no process with more memory.
_SMALL = 256 * 2**20
#: An answer longer than this is none.
_LONGEST_ANSWER = 2**16
#: Environment variables that the process gets; it needs none but those that Python starts with.
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR")
_KEPT_PREFIX = "LC_"


@lru_cache(maxsize=1)
def shared() -> PageCounter:
    """The counter of this process; its child is started with the first file that needs it."""
    return PageCounter()


class PageCounter:
    """Counts pages in a child process, one file at a time, from whichever thread.

    The child is used again for the next file, and replaced when it dies or takes too long.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = _MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def count(self, data: bytes, limits: Limits) -> int:
        """How many pages a file holds; 1 for every picture that is neither a TIFF nor a PDF.

        Raises ItemError as `inkmill.imagefile.sniff.count_pages` does, TIMEOUT if it takes too
        long, and CRASHED if the process dies of it; CannotStart where the host refuses it.
        """
        if require_kind(data) not in (FileType.TIFF, FileType.PDF):
            return 1
        with self._lock:
            return self._asked(data, limits.max_pages)

    def close(self) -> None:
        """End the child process."""
        with self._lock:
            self._drop()

    def _asked(self, data: bytes, most: int) -> int:
        # A child that was idle may end while it is asked: the file is to blame only if a second
        # one dies, too.
        for _ in range(2):
            if self._child is None or not self._child.can_take(len(data)):
                self._drop()
                self._child = _Child(self._memory + _COPIES * max(len(data), _SMALL))
            try:
                self._child.await_start()
                return _pages(self._child.ask(data, most, time.monotonic() + self._seconds), most)
            except TimeoutError:
                self._drop()
                raise ItemError(
                    Code.TIMEOUT,
                    f"counting its pages took longer than {self._seconds:.0f} s: save the file "
                    "again with another program",
                ) from None
            except (EOFError, OSError, ValueError, RecursionError):
                self._drop()
        raise ItemError(
            Code.CRASHED,
            "counting its pages ended the process that did it: save the file again with another "
            "program",
        )

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


class _Child:
    """One process that counts pages, and the connection to it."""

    def __init__(self, memory: int) -> None:
        self._parent = os.getpid()
        self._memory = memory
        self._started = False
        with starting("the process that counts pages"):
            self._process, self._connection = start_linked(
                "inkmill.imagefile.apart",
                [str(memory)],
                options=["-P"],  # the current folder may be one of strangers' files
                output=subprocess.DEVNULL,
                environment=_environment(),
            )

    def can_take(self, size: int) -> bool:
        """Whether it runs, has memory for a file of ``size``, and is not our parent's, forked."""
        ours = self._parent == os.getpid() and self._process.poll() is None
        return ours and _COPIES * size <= self._memory

    def await_start(self) -> None:
        """Wait until it has started: on a busy host, that takes longer than most files.

        Raises OSError or EOFError if it does not.
        """
        if not self._started:
            if self._received(len(READY), time.monotonic() + _START_SECONDS) != READY:
                raise EOFError("the process did not start")
            self._started = True

    def ask(self, data: bytes, most: int, until: float) -> dict[str, object]:
        """Its answer about a file. Raises TimeoutError, EOFError, OSError, or ValueError."""
        self._wait(until)
        self._connection.sendall(REQUEST.pack(len(data), most))
        self._connection.sendall(data)
        (length,) = ANSWER.unpack(self._received(ANSWER.size, until))
        if length > _LONGEST_ANSWER:
            raise ValueError(f"an answer of {length} bytes")
        answer = json.loads(self._received(length, until))
        if not isinstance(answer, dict):
            raise ValueError("no answer about a file")
        return answer

    def _received(self, length: int, until: float) -> bytes:
        data = b""
        while len(data) < length:
            self._wait(until)
            part = self._connection.recv(length - len(data))
            if not part:
                raise EOFError("the process has ended")
            data += part
        return data

    def _wait(self, until: float) -> None:
        self._connection.settimeout(max(0.001, until - time.monotonic()))

    def close(self) -> None:
        self._connection.close()
        if self._parent == os.getpid():
            with suppress(OSError):
                self._process.kill()
            self._process.wait()


def _pages(answer: dict[str, object], most: int) -> int:
    """The number of pages in an answer. Raises ItemError as it says, ValueError for nonsense, since
    a file may have taken the process over."""
    pages = answer.get("pages")
    if type(pages) is int:
        if 0 <= pages <= most:
            return pages
        raise ValueError(f"{pages} pages, of at most {most}")
    raise ItemError(Code(str(answer.get("code"))), str(answer.get("message")))


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIX)
    }
