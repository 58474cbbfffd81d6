"""A training in a process of its own: what it says, and how it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from inkmill.trainer.runs.queued import MOST_LOG
from inkmill.urls import redact

#: A process that is told to stop saves a checkpoint, which may take 25 s; then it is killed.
_END_SECONDS = 40.0


class Child:
    """A process whose standard output and error go to a file.

    Its standard input is never written to: it ends when this process does, however that happens,
    and whoever is started here stops at its end.
    """

    def __init__(self, command: Sequence[str], said: Path) -> None:
        said.parent.mkdir(parents=True, exist_ok=True)
        self._said = said
        with said.open("wb") as output:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Child:
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
        """Have it save and stop, if it is still there; returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            if self.wait(_END_SECONDS) is None:
                self._process.kill()
        return self._process.wait()

    def last_lines(self) -> str:
        """The last lines of what it said, at most `MOST_LOG` characters."""
        with self._said.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4 * MOST_LOG))
            text = redact(file.read().decode(errors="replace"))
        # A progress line is written over by the next: only its last state counts.
        lines = [
            line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")
        ]
        return "\n".join(filter(None, lines))[-MOST_LOG:]
