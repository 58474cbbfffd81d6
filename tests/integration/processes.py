"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from inkmill.settings import Settings


def command(settings: Settings, *arguments: object) -> subprocess.Popen[str]:
    """Start ``inkmill`` with these arguments and settings."""
    return subprocess.Popen(
        [sys.executable, "-m", "inkmill", *map(str, arguments)],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
