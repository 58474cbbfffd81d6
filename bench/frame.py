"""What all measurements share: sides in turn, repeats, medians, and what the figures came from."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

#: Where the figures and charts lie that the report is made of.
FIGURES = Path(__file__).parent.parent / "docs" / "benchmarks"

_LIBRARIES = ("celery", "redis", "boto3", "tensorflow", "opencv-python-headless", "pyarrow")


def say(text: str) -> None:
    print(f"[bench {time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def in_turn(
    part: str,
    seconds: float,
    sides: Mapping[str, Callable[[], dict[str, Any]]],
    repeats: int,
    **more: Any,
) -> None:
    """Each side once, then each again: what else happens on the host then hits all alike.

    What was measured is kept after each side, so that a run that is broken off is not lost.
    ``more`` is kept with it.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for number in range(repeats):
        for name, side in sides.items():
            say(f"{name}, {number + 1} of {repeats}")
            started = {"load_before": round(os.getloadavg()[0], 2)}
            runs[name].append({**side(), **started})
            say(f"  {json.dumps(brief(runs[name][-1]))}")
            done = {side: run for side, run in runs.items() if run}
            keep(part, {"seconds": seconds, **more, "runs": done})


def brief(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's plain figures, rounded."""
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in run.items()
        if isinstance(value, int | float | str)
    }


def median(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(float(run[name]) for run in runs)


def spread(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    """Half the range as a share of the median."""
    values = [float(run[name]) for run in runs]
    return (max(values) - min(values)) / 2 / statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def keep(part: str, figures: Mapping[str, Any]) -> None:
    """Write a part's figures, with where and when they were measured."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    record = {"part": part, "about": about(), **figures}
    path = FIGURES / f"{part}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    say(f"wrote {path.relative_to(FIGURES.parent.parent)}")


def about() -> dict[str, Any]:
    """This host and these versions, in words."""
    from inkmill.models import autotune

    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "host": autotune.host(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "libraries": libraries,
        "command": "python -m bench " + " ".join(sys.argv[1:]),
    }


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


@dataclass
class Watched:
    """Processes with a name each: their CPU seconds, and memory every half second."""

    processes: dict[str, psutil.Process]
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def watching(processes: Mapping[str, int]) -> Iterator[Watched]:
    """Watch processes (name -> pid) while the block runs."""
    watched = Watched({name: psutil.Process(pid) for name, pid in processes.items()})
    before = {name: _cpu(each) for name, each in watched.processes.items()}
    started, stop = time.monotonic(), threading.Event()

    def sample() -> None:
        while True:
            now = time.monotonic() - started
            for name, each in watched.processes.items():
                try:
                    size = each.memory_info().rss
                except psutil.Error:
                    continue
                watched.memory.setdefault(name, []).append((now, size))
            if stop.wait(0.5):
                return

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield watched
    finally:
        stop.set()
        sampler.join()
        watched.seconds = {
            name: _cpu(each) - before[name] for name, each in watched.processes.items()
        }


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def give(found: Mapping[str, Any], text: str, out: Path | None) -> None:
    """Write figures to OUT.json and their tables to OUT.md; without ``out``, print the tables."""
    if out is None:
        print(text)
        return
    out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    out.with_suffix(".md").write_text(text)
