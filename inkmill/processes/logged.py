"""A child process whose output goes to a file, from which its last lines are shown to people."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from inkmill.processes.ending import end
from inkmill.processes.starting import starting
from inkmill.urls import redact


class LoggedChild:
    """A process whose standard output and error go to the file ``said``; ended at the block's end.

    Its standard input is never written to: it ends when this process does, however that happens,
    so that a child which reads it knows. ``seconds`` is how long it may take to stop before it is
    killed. Raises CannotStart, which begins with ``what`` it is.
    """

    def __init__(self, command: Sequence[str], said: Path, *, what: str, seconds: float) -> None:
        self._said = said
        self._seconds = seconds
        said.parent.mkdir(parents=True, exist_ok=True)
        with starting(what), said.open("wb") as output:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> LoggedChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if the process is still there after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """Have it stop, if it is still there; returns its exit code."""
        return end(self._process, self._seconds)

    def last_lines(self, most: int) -> str:
        """The last lines of what it said, at most so many characters, without passwords."""
        with self._said.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4 * most))
            text = redact(file.read().decode(errors="replace"))
        # A progress line is written over by the next: only its last state counts.
        lines = [
            line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")
        ]
        return "\n".join(filter(None, lines))[-most:]
