"""How much of this host a worker uses: engines, their threads, and chunks held at once."""

from __future__ import annotations

import os
from pathlib import Path

from inkmill.settings import Settings


def cores() -> int:
    """Cores that this process may use, by its CPU affinity and its cgroup's quota (Linux)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, _quota() or allowed or 1))


def _quota() -> int | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


def engine_count(settings: Settings) -> int:
    """Engines of a worker: one for each core, measured faster than one with several threads."""
    return cores() if settings.engines == "auto" else settings.engines


def slots(settings: Settings) -> int:
    """Chunks that a worker holds at once: one in work and one waiting for each engine, and one on
    its way."""
    if settings.concurrency == "auto":
        return 2 * engine_count(settings) + 1
    return settings.concurrency


def threads(settings: Settings) -> int:
    """Threads of each engine: its share of the cores."""
    return max(1, cores() // engine_count(settings))
