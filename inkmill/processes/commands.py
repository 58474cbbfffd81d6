"""Runs this program's own commands in processes of their own, for servers that load no OpenCV."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from inkmill.processes.starting import starting
from inkmill.urls import redact


def run_command(
    arguments: Sequence[str], *, settings: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """The exit code of ``inkmill ARGUMENTS``, and what it said on standard error, without
    passwords.

    ``settings`` are environment variables besides those of this process. Raises CannotStart, and
    `subprocess.TimeoutExpired` if it took longer than so many ``seconds``: it is then killed.
    """
    # -P: the current folder may be one of strangers' files.
    command = [sys.executable, "-P", "-m", "inkmill", *arguments]
    with starting("a command of Inkmill's"):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={**os.environ, **settings},
            check=False,
        )
    return done.returncode, redact(done.stderr).strip()
