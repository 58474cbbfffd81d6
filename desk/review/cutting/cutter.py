"""Pictures cut from pages by a process apart: started with the first, replaced when it dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.apart import READY
from inkmill.settings import Settings

#: Bytes of memory that the process may take.
_MEMORY = 4 * 2**30
#: It starts in a second; on a host without a free core, in this time.
_START_SECONDS = 60.0
#: A page takes a tenth of a second, a bitmap of 120 million pixels some.
_SECONDS = 30.0
#: Environment variables that the process gets; it needs none but those that Python starts with.
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR")


class Cutter:
    """Cuts pictures in a child process, one page at a time, from whichever thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def cut(
        self, data: bytes, page: int, form: str, views: Sequence[dict[str, Any]]
    ) -> list[bytes]:
        """The pictures of ``views`` (`inkmill.forms.cut.enlarged.View`, as mappings) of a page.

        ``form`` is the template's text. Raises ItemError where the page cannot be decoded, TIMEOUT
        if that takes too long, and CRASHED if the process dies of it.
        """
        return self._asked({"page": page, "form": form, "views": list(views)}, data)[1]

    def by_corners(
        self,
        data: bytes,
        page: int,
        form: str,
        number: int,
        corners: Sequence[tuple[float, float]],
    ) -> tuple[list[tuple[float, float]], list[tuple[str, bytes]]]:
        """What `inkmill.forms.cut.enlarged.by_corners` makes of a page.

        Raises ItemError as `cut` does, and UNREGISTERED where these are no corners of a page.
        """
        wanted = {"page": page, "form": form, "number": number, "corners": list(corners)}
        about, pictures = self._asked(wanted, data)
        points = [(x, y) for x, y in about["corners"]]
        return points, list(zip(about["names"], pictures, strict=True))

    def _asked(self, wanted: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        wanted |= {
            "length": len(data),
            "pixels": self._settings.max_pixels,
            "pages": self._settings.max_pages,
        }
        with self._lock:
            # A child that died since its last page is not this page's fault.
            for _ in range(2):
                child = self._child = self._child or _Child()
                try:
                    return child.ask(wanted, data)
                except TimeoutError:
                    self._drop()
                    raise ItemError(Code.TIMEOUT, "its page takes too long to decode") from None
                except (OSError, ValueError, EOFError):
                    self._drop()
        raise ItemError(Code.CRASHED, "decoding its page ended the process that did it")

    def close(self) -> None:
        """End the child process."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


class _Child:
    """One process, and the connection to it."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # -P: the current folder may be one of strangers' files.
                [
                    *(sys.executable, "-P", "-m", "inkmill.desk.review.cutting.apart"),
                    *(str(theirs.fileno()), str(_MEMORY)),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name in _KEPT},
            )
        self._connection.settimeout(_START_SECONDS)
        self._stream = self._connection.makefile("rwb")
        self._started = False

    def ask(self, wanted: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """What it says of them, and the pictures.

        Raises ItemError as it says, else OSError, EOFError or ValueError.
        """
        if not self._started:
            if self._stream.read(len(READY)) != READY:
                raise EOFError("the process did not start")
            self._started = True
        self._connection.settimeout(_SECONDS)
        self._stream.write(json.dumps(wanted).encode() + b"\n")
        self._stream.write(data)
        self._stream.flush()
        line = self._stream.readline()
        if not line:
            raise EOFError("the process has ended")
        about = json.loads(line)
        if "lengths" not in about:
            raise ItemError(Code(str(about.get("code"))), str(about.get("message")))
        return about, [self._stream.read(length) for length in about["lengths"]]

    def close(self) -> None:
        with suppress(OSError):
            self._connection.close()
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
