"""Ends child processes: those that are asked and do not go are killed."""

from __future__ import annotations

import subprocess
from typing import Any


def end(process: subprocess.Popen[Any], seconds: float) -> int:
    """Have a process stop, if it is still there, and kill it if it is not gone after so many
    ``seconds``. Returns its exit code, as `subprocess.Popen.returncode`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
