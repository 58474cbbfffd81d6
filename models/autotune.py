"""The precision and runtime in which a network runs on this host: measured once, then cached.

bfloat16 doubles the speed of a processor that multiplies it (AVX-512 BF16, AMX) and makes
others many times slower; only a measurement shows which. OpenVINO and ONNX Runtime take part
where they are installed. So the first engine that loads a network times each precision, keeps
those that read the golden set as float32 does, and writes the fastest down in the cache folder.
Later loads of any version of that network, in any engine of this host, follow it; each version
is still checked against its own golden set.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from inkmill.errors import Corrupt, ModelError, UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.runtimes.protocol import available, is_tensorflow, runtimes
from inkmill.records import codec
from inkmill.records.codec import Name, Text, Within

if TYPE_CHECKING:
    from inkmill.models.predictor import Predictor

log = logging.getLogger(__name__)

#: Version of the stored record; a newer one is not used.
_SCHEMA = 1

#: float32 is kept unless another precision saves this share of the time: less is noise.
_WORTHWHILE = 0.05
#: Another runtime has to save more: its sums are another dependency's arithmetic, which may
#: change with that dependency, and what a form's thresholds were calibrated with no longer holds.
_WORTH_A_RUNTIME = 0.1
#: Each precision has so many turns of so many seconds. Its best call counts, since neighbours
#: on the host can only make it slower; in turns, so that none has the quiet moments for itself.
_TURNS, _SECONDS = 3, 0.15

#: Large enough to be at full speed, small enough for a host that is slow in a precision.
_SHAPE = (256,)

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class Trial:
    """How one precision did: images a second, the largest change of a confidence on the golden
    set, and why it must not be used ("" if it may)."""

    rate: Annotated[float, Within(0, 1e12)]
    difference: Annotated[float, Within(0, 1)]
    refused: Text = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured on a host for a network."""

    precision: Name
    architecture: Name
    host: Text
    threads: Annotated[int, Within(0, 100_000)]
    classes: Annotated[int, Within(2, 256)]
    trials: dict[str, Trial] = field(default_factory=dict)
    #: The runtimes that were there and their versions: with others it is measured again.
    runtimes: dict[str, str] = field(default_factory=dict)
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def __str__(self) -> str:
        each = ", ".join(
            f"{name} {trial.refused or f'{trial.rate:,.0f} images/s a core'}"
            + ("" if trial.refused else f" (confidence differs by up to {trial.difference:.4f})")
            for name, trial in self.trials.items()
        )
        network = f"{self.architecture} with {self.classes} classes"
        engine = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{network} runs in {self.precision} on {self.host}, in engines with {engine}: {each}"
        )

    def encode(self) -> bytes:
        """The record as JSON."""
        return codec.encode(self, "what was measured", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str) -> Tuning:
        """The record in a file of that name. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=_SCHEMA)


def tunings(cache: Path) -> list[Tuning]:
    """All measurements on this host with its installed runtimes, for `inkmill doctor`."""
    found, here, installed = [], host(), runtimes()
    for path in sorted(_folder(cache).glob("*.json")):
        try:
            tuning = Tuning.decode(path.read_bytes(), path.name)
        except (OSError, Corrupt):
            continue
        if tuning.host == here and tuning.runtimes == installed:
            found.append(tuning)
    return found


def precision_for(
    manifest: Manifest, weights: bytes, golden: bytes, cache: Path, threads: int
) -> str:
    """The precision in which a network is to run here; measured unless that was done before.

    Engines that start together wait for the one that measures, so that all take the same.
    """
    path = _folder(cache) / f"{_key(manifest, threads)}.json"
    with _alone(path):
        try:
            return Tuning.decode(path.read_bytes(), path.name).precision
        except (OSError, Corrupt):
            pass
        tuning = measure(manifest, weights, golden, threads)
        log.info("%s", tuning)
        _write(path, tuning)
        return tuning.precision


def measure(
    manifest: Manifest,
    weights: bytes,
    golden: bytes,
    threads: int,
    precisions: Sequence[str] = (),
) -> Tuning:
    """Time each precision and check it against the golden set."""
    from inkmill.models.predictor import Predictor

    trials: dict[str, Trial] = {}
    running: dict[str, Predictor] = {}
    for precision in precisions or available():
        try:
            predictor = Predictor(
                manifest, weights, precision=precision, threads=threads, shapes=_SHAPE
            )
            trials[precision] = Trial(0.0, predictor.check(golden))
            running[precision] = predictor
        except ModelError as error:
            trials[precision] = Trial(0.0, 1.0, str(error))
    for _ in range(_TURNS):
        for precision, predictor in running.items():
            rate = max(trials[precision].rate, _rate(predictor))
            trials[precision] = replace(trials[precision], rate=rate)
    return Tuning(
        precision=fastest(trials),
        architecture=manifest.architecture,
        host=host(),
        threads=threads,
        classes=len(manifest.classes),
        trials=trials,
        runtimes=runtimes(),
    )


def fastest(trials: Mapping[str, Trial]) -> str:
    """The precision to take: float32 unless another one is allowed and clearly faster."""
    rates = {name: 0.0 if trial.refused else trial.rate for name, trial in trials.items()}
    taken = FLOAT32
    # First TensorFlow's own, then the best of the others against the best of those.
    for own, worthwhile in ((True, _WORTHWHILE), (False, _WORTH_A_RUNTIME)):
        names = [name for name in rates if is_tensorflow(name) is own]
        best = max(names, key=lambda name: rates[name], default=taken)
        if rates.get(best, 0.0) * (1 - worthwhile) > rates.get(taken, 0.0):
            taken = best
    return taken


def _rate(predictor: Predictor) -> float:
    """Images a second: by the best of some calls."""
    size, (count,) = predictor.manifest.input_size, _SHAPE
    crops = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    best, started = float("inf"), time.perf_counter()
    until = started + _SECONDS
    while started < until:
        predictor.predict(crops)
        now = time.perf_counter()
        best, started = min(best, now - started), now
    return count / best


def host() -> str:
    """The processor and how many cores of it there are: what decides about speed."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _key(manifest: Manifest, threads: int) -> str:
    """What a measurement holds for: this processor, these runtimes and this network."""
    parts = [
        host(),
        threads,
        runtimes(),
        manifest.input_size,
        len(manifest.classes),
        [asdict(layer) for layer in manifest.layers],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _folder(cache: Path) -> Path:
    return cache / "precision"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; without a folder to write in, everyone measures for itself."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("a")
    except OSError as error:
        log.warning("%s cannot be written, so each engine measures for itself: %s", path, error)
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, tuning: Tuning) -> None:
    try:
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(tuning.encode())
        part.replace(path)
    except (OSError, UsageError) as error:
        log.debug("the outcome was not cached: %s", error)
