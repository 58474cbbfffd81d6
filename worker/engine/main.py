"""The engine: a process of its own that turns chunks into rows.

It decodes what strangers scanned and may crash, hang or eat memory on it; that costs one
engine and no message. It is given bytes and answers bytes: it has no credentials, no network
use, and ends when its worker does. Started as ``python -m inkmill.worker.engine.main``.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import Code
from inkmill.errors import Corrupt, InkmillError
from inkmill.imagefile.sniff import Limits
from inkmill.log import set_up_logging
from inkmill.models.predictor import Predictor
from inkmill.records.jobs import ChunkTable
from inkmill.worker.engine.compose import ChunkRows, Reader
from inkmill.worker.engine.digits import DigitBatch
from inkmill.worker.engine.inbox import Inbox
from inkmill.worker.engine.model_cache import ModelCache
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Crops, Recipe, Verdict, parse_templates
from inkmill.worker.link.config import EngineConfig
from inkmill.worker.link.frames import Frame, Link, send
from inkmill.worker.link.position import EVERY_REQUEST, SharedPosition

log = logging.getLogger(__name__)

#: Chunks that wait are read together until they have this many crops: the largest batch shape.
_TOGETHER = 1024
#: So long a large chunk is worked on before single ones that came meanwhile are read (seconds).
_SPELL = 0.05


class ItemBatch(Protocol):
    """The items of a chunk on their way to rows: digit images or pages of a form."""

    @property
    def crops(self) -> Crops:
        """What the model is to read, uint8 (n, size, size)."""
        ...

    def lose(self, number: int, verdict: Verdict) -> None: ...

    def read(self, number: int, blobs: Mapping[str, bytes]) -> None: ...

    def answer(self, probabilities: NDArray[np.float32], reader: Reader) -> ChunkRows: ...


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk in hand: its request, its batch and who reads it, and when it was begun."""

    request: int
    single: bool
    predictor: Predictor
    batch: ItemBatch
    crops: Crops
    started: float


class Engine:
    """Answers its worker's requests, one batch after another, until the worker hangs up."""

    def __init__(self, connection: Link, position: SharedPosition, config: EngineConfig) -> None:
        self._connection = connection
        self._position = position
        self._config = config
        self._models = ModelCache(config.models_kept, config.threads, Path(config.cache_dir))
        self._inbox = Inbox(connection, self._models.use)
        self._next_way = 0.0
        self._limits = Limits(max_pixels=config.max_pixels, max_pages=config.max_pages)

    def run(self) -> None:
        """Take what waits, prepare it, predict once for all of it, answer each request."""
        send(self._connection, Frame({"op": "ready", "pid": os.getpid()}))
        while True:
            self._read(self._take(self._inbox.turn()))
            self._position.step(0)

    def _take(self, requests: Iterable[Frame]) -> list[Work]:
        """A turn's requests, prepared, up to a full batch."""
        works: list[Work] = []
        crops = 0
        for frame in requests:
            if (work := self._begin(frame)) is not None:
                works.append(work)
                crops += len(work.crops)
            if crops >= _TOGETHER:
                break
        return works

    def _begin(self, frame: Frame) -> Work | None:
        request = int(frame.head["request"])
        self._position.step(request)
        try:
            if frame.head["op"] == "load":
                self._load(request, frame)
                return None
            return self._prepare(request, frame)
        except InkmillError as error:
            self._refuse(request, error)
            return None

    def _load(self, request: int, frame: Frame) -> None:
        manifest, weights, golden = (bytes(part) for part in frame.parts)
        predictor = self._models.load(manifest, weights, golden)
        head = {
            "op": "loaded",
            "request": request,
            "precision": predictor.precision,
            "versions": self._models.versions,
        }
        send(self._connection, Frame(head))

    def _prepare(self, request: int, frame: Frame) -> Work:
        """Decode and cut every item of a chunk; bad ones leave here, before the batch."""
        started = time.perf_counter()
        head = frame.head
        predictor = self._models.get(head["version"], head["precision"])
        model = predictor.manifest
        recipe = Recipe(model.input_size, model.filters)
        table = ChunkTable.decode(frame.parts[0])
        positions: Sequence[int] = range(len(table)) if head["only"] is None else head["only"]
        if head["only"] is not None:
            table = table.part(positions)
        batch: ItemBatch = (
            PageBatch(table, parse_templates(head["form"]), recipe, self._limits)
            if head["form"]
            else DigitBatch(table, recipe, self._limits)
        )
        blobs = dict(zip(head["blobs"], frame.parts[1:], strict=True))
        verdicts: Mapping[str, tuple[str, str]] = head["verdicts"]
        for number, position in enumerate(positions):
            self._give_way(head["single"])
            self._position.step(request, position)
            if verdict := verdicts.get(str(position)):
                batch.lose(number, (Code(verdict[0]), verdict[1]))
            batch.read(number, blobs)
        self._position.step(request)
        return Work(request, head["single"], predictor, batch, batch.crops, started)

    def _give_way(self, single: bool) -> None:
        """In the middle of a large chunk: read the single ones that came meanwhile.

        As long as they took, and a spell at least, they then wait.
        """
        now = time.monotonic()
        if single or now < self._next_way:
            return
        if works := self._take(self._inbox.singles()):
            self._read(works)
        after = time.monotonic()
        self._next_way = after + max(_SPELL, after - now)

    def _read(self, works: Sequence[Work]) -> None:
        """One forward pass over the crops of several chunks, then regroup and answer."""
        self._position.step(EVERY_REQUEST)
        for predictor in dict.fromkeys(work.predictor for work in works):
            self._predict(predictor, [work for work in works if work.predictor is predictor])

    def _predict(self, predictor: Predictor, works: Sequence[Work]) -> None:
        crops = np.concatenate([work.crops for work in works])
        single = all(work.single for work in works)
        parts = list[NDArray[np.float32]]()
        for start in range(0, max(len(crops), 1), _TOGETHER):
            parts.append(predictor.predict(crops[start : start + _TOGETHER]))
            self._give_way(single)
        probabilities = np.concatenate(parts)
        if len(probabilities) != len(crops) or not np.isfinite(probabilities).all():
            raise AssertionError(f"{len(crops)} crops gave {probabilities.shape} probabilities")
        reader = Reader(
            predictor.manifest.classes,
            predictor.version,
            predictor.precision,
            self._config.confidence,
        )
        start = 0
        for work in works:
            end = start + len(work.crops)
            self._answer(work, work.batch.answer(probabilities[start:end], reader))
            start = end

    def _answer(self, work: Work, answer: ChunkRows) -> None:
        head = {
            "op": "rows",
            "request": work.request,
            "rows": answer.counts.rows,
            "statuses": answer.counts.statuses,
            "codes": answer.counts.codes,
            "crops": len(work.crops),
            "seconds": time.perf_counter() - work.started,
            "pictures": list(answer.pictures),
            "given_up": answer.given_up,
        }
        send(self._connection, Frame(head, [answer.data, *answer.pictures.values()]))

    def _refuse(self, request: int, error: InkmillError) -> None:
        kind = "corrupt" if isinstance(error, Corrupt) else "model"
        send(
            self._connection,
            Frame({"op": "refused", "request": request, "kind": kind, "message": str(error)}),
        )


def main(arguments: list[str]) -> None:
    """Run an engine on the descriptors and the configuration that the worker gave."""
    descriptor, shared, config = int(arguments[0]), int(arguments[1]), json.loads(arguments[2])
    # Ctrl-C and SIGTERM are for the worker, which hangs up when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _no_core_files()
    _go_first_and_together()
    settings = EngineConfig(**config)
    set_up_logging(settings.log_format, settings.log_level)
    _few_threads(settings.threads)
    engine = Engine(Link(socket.socket(fileno=descriptor)), SharedPosition(shared), settings)
    try:
        engine.run()
    except (EOFError, ConnectionError):
        # The worker has gone. Skip TensorFlow's slow clean-up: nothing here is worth keeping.
        os._exit(0)


def _no_core_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _go_first_and_together() -> None:
    """A host out of memory kills the engine before its worker (which then knows the item that
    did it); and a hung decoder does not outlive a worker that was killed (Linux)."""
    if sys.platform != "linux":
        return
    import contextlib
    import ctypes

    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _few_threads(threads: int) -> None:
    """One engine is one share of the cores: OpenCV's own threads would fight the others'."""
    import cv2

    cv2.setNumThreads(threads)


if __name__ == "__main__":
    main(sys.argv[1:])
