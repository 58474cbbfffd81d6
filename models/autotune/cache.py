"""The cached verdicts: one for each network on this host, followed by all its engines."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from inkmill.errors import Corrupt, UsageError
from inkmill.models.autotune.contest import GaveWay, measure
from inkmill.models.autotune.host import device_of, host
from inkmill.models.autotune.verdict import FLOAT32, Tuning, fastest
from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.protocol import runtimes

log = logging.getLogger(__name__)

#: An engine that reaches less than this share of the verdict's rate doubts it. Engines on all
#: cores share caches and memory, and two on one core its multipliers: those reach half to all.
_DISAPPOINTING = 0.5
#: A verdict found on a busy host, and one that disappoints, stand for so long (seconds).
_STANDS_BUSY, _STANDS_DISAPPOINTING = 600.0, 86_400.0


def tunings(cache: Path) -> list[Tuning]:
    """All measurements on this host with its installed runtimes, for `inkmill doctor`."""
    found, here, installed = [], host(), runtimes()
    for path in sorted(_folder(cache).glob("*.json")):
        try:
            tuning = Tuning.decode(path.read_bytes(), path.name)
        except (OSError, Corrupt):
            continue
        if device_of(tuning.host)[1] == here and tuning.runtimes == installed:
            found.append(tuning)
    return found


def precision_for(
    manifest: Manifest,
    weights: bytes,
    golden: bytes,
    cache: Path,
    threads: int,
    *,
    device: str = "",
) -> str:
    """The precision in which a network is to run here; measured unless that was done before.

    Engines that start together wait for the one that measures, so that all take the same.
    ``device`` is what TensorFlow computes on in this process, where that is not what engines do.
    """
    path = _folder(cache) / f"{_key(manifest, threads, device)}.json"
    with _alone(path):
        if (stored := _stored(path)) is not None:
            return stored.precision
        tuning = measure(manifest, weights, golden, threads, device=device)
        log.info("%s", tuning)
        # Where not even float32 could be tried, such as for lack of memory, nothing was found out.
        if not tuning.trials[FLOAT32].refused:
            _write(path, tuning)
        return tuning.precision


def instead_of(precision: str, manifest: Manifest, cache: Path, threads: int) -> str:
    """The best of the other precisions for a network here, as far as was measured."""
    tuning = _stored(_folder(cache) / f"{_key(manifest, threads)}.json")
    if tuning is None:
        return FLOAT32
    others = {name: each for name, each in tuning.trials.items() if name != precision}
    return fastest(others)


def reconsider(
    manifest: Manifest,
    weights: bytes,
    golden: bytes,
    *,
    cache: Path,
    threads: int,
    achieved: float = 0.0,
    quiet: bool = False,
    give_way: Callable[[], bool] = lambda: False,
) -> str:
    """The precision in which a network is to run from now on: for an engine that is idle.

    Where the verdict is doubtful, it is measured again, unless another engine is at it:

    - others kept the host busy then, and ``quiet`` says that they do not any more;
    - the engine ``achieved`` (images per second of processor time, 0 for unknown) less than half
      of what the verdict promised. Under a load that always lasts, that finds the better one too,
      since all precisions share it.

    ``give_way`` breaks the measurement off. Returns "" where nothing is known.
    """
    path = _folder(cache) / f"{_key(manifest, threads)}.json"
    tuning = _stored(path)
    if tuning is None or not _is_doubtful(tuning, achieved, quiet):
        return tuning.precision if tuning is not None else ""
    with _alone(path, wait=False) as alone:
        # Another engine may have been faster.
        now = _stored(path)
        if not alone or now != tuning:
            return now.precision if now is not None else ""
        try:
            again = measure(manifest, weights, golden, threads, give_way=give_way)
        except GaveWay:
            return tuning.precision
        log.info("measured again: %s", again)
        _write(path, again)
        return again.precision


def _is_doubtful(tuning: Tuning, achieved: float, quiet: bool) -> bool:
    age = abs(time.time() - tuning.measured)
    if not tuning.was_quiet and quiet and age > _STANDS_BUSY:
        return True
    disappoints = 0 < achieved < _DISAPPOINTING * tuning.rate
    return disappoints and age > _STANDS_DISAPPOINTING


def _stored(path: Path) -> Tuning | None:
    try:
        return Tuning.decode(path.read_bytes(), path.name)
    except (OSError, Corrupt):
        return None


def _key(manifest: Manifest, threads: int, device: str = "") -> str:
    """What a measurement holds for: this processor or device, these runtimes and this network."""
    parts = [
        host(device),
        threads,
        runtimes(),
        manifest.input_size,
        len(manifest.classes),
        [asdict(layer) for layer in (*manifest.layers, *manifest.first_layers)],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _folder(cache: Path) -> Path:
    return cache / "precision"


@contextmanager
def _alone(path: Path, wait: bool = True) -> Iterator[bool]:
    """One process at a time; gives whether this one is. Without ``wait``, another may be.

    Without a folder to write in, everyone measures for itself.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("a")
    except OSError as error:
        log.warning("%s cannot be written, so each engine measures for itself: %s", path, error)
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _write(path: Path, tuning: Tuning) -> None:
    try:
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(tuning.encode())
        part.replace(path)
    except (OSError, UsageError) as error:
        log.debug("the outcome was not cached: %s", error)
