"""What people would use instead of a pipeline, each with its documented best settings.

Each runs as a program of its own that prints one line of JSON. They use Inkmill's own decoding
and model in the same precision; how the images get there is theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import pipeline
from bench.frame import say

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Made by ``make bench-peers``; Celery needs nothing but what Inkmill has.
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def sides(running: pipeline.Servers, seconds: float) -> dict[str, Callable[[], dict[str, Any]]]:
    """The peers that are installed here."""
    environment = running.settings.environment()
    found: dict[str, Callable[[], dict[str, Any]]] = {
        "Celery, one image a task": lambda: _run("celery_one", sys.executable, seconds, environment)
    }
    if not PYTHON.exists():
        say("Ray Data and LitServe are left out: make bench-peers installs them")
        return found
    found["Ray Data"] = lambda: _run("ray_data", str(PYTHON), seconds, environment)
    found["LitServe"] = lambda: _run("litserve_http", str(PYTHON), seconds, environment)
    return found


def _run(name: str, python: str, seconds: float, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-m", f"bench.peers.{name}", str(seconds)],
        env={**os.environ, **environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        reason = " / ".join(done.stderr.strip().splitlines()[-3:])
        return {"failed": f"code {done.returncode}: {reason}"}
    return answer
