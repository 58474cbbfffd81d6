"""The engine: a process of its own that turns chunks into rows.

It decodes strangers' scans, which may make it crash, hang or run out of memory; that costs one
engine and no message. Bytes go in, bytes come out: it has no credentials, does not use the network,
and ends when its worker does. Started as ``python -m inkmill.worker.engine.main``.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inkmill.codes import Code
from inkmill.errors import Corrupt, InkmillError
from inkmill.forms import kernels
from inkmill.imagefile.sniff import Limits
from inkmill.log import set_up_logging
from inkmill.models.predictor import Predictor
from inkmill.records.chunks import ChunkTable
from inkmill.records.jobs import ANY_PRECISION
from inkmill.worker.confinement import confine, die_before_and_with_the_worker
from inkmill.worker.engine.compose import ChunkRows, Reader
from inkmill.worker.engine.digits import DigitBatch
from inkmill.worker.engine.forward import TOGETHER, DeviceClient, forward
from inkmill.worker.engine.inbox import Inbox
from inkmill.worker.engine.model_cache import ModelCache
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Recipe, parse_templates
from inkmill.worker.engine.stages import Stages
from inkmill.worker.engine.strip_readers import StripReaders, read_together
from inkmill.worker.engine.work import ItemBatch, Work
from inkmill.worker.link import (
    EVERY_REQUEST,
    PREDICT,
    RULES,
    STRIPS,
    Door,
    EngineConfig,
    Frame,
    Link,
    SharedPosition,
    send,
)

log = logging.getLogger(__name__)

#: Time spent on a large chunk before single ones that arrived meanwhile are read (seconds).
_MIN_TURN = 0.05
#: After so long without a request, an engine has time for what can wait (seconds).
_IDLE = 20.0
#: After so many pages, compiling the kernels pays: it takes as long as they would have saved. A few
#: pages are not kept waiting for it.
_WORTH_COMPILING = 2000


class Engine:
    """Answers its worker's requests, batch by batch, until the worker closes the connection."""

    def __init__(
        self,
        connection: Link,
        position: SharedPosition,
        config: EngineConfig,
        door: Door | None = None,
    ) -> None:
        self._connection = connection
        self._position = position
        self._config = config
        self._models = ModelCache(config.models_kept, config.threads, Path(config.cache_dir))
        self._strip_readers = StripReaders(config.models_kept, config.threads)
        self._device = DeviceClient(door) if door is not None else None
        self._inbox = Inbox(connection, self._use)
        self._next_break = 0.0
        #: Pages read without compiled kernels.
        self._pages = 0
        self._limits = Limits(max_pixels=config.max_pixels, max_pages=config.max_pages)

    def run(self) -> None:
        """Take the requests that wait, prepare them, predict once for all, answer each.

        Raises EOFError or ConnectionError when the worker has gone.
        """
        send(self._connection, Frame({"op": "ready", "pid": os.getpid()}))
        while True:
            if self._inbox.is_idle(_IDLE):
                self._models.reconsider(lambda: not self._inbox.is_empty)
                continue
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
            if crops >= TOGETHER:
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

    def _use(self, head: Mapping[str, Any]) -> None:
        """A chunk is to be read by these versions."""
        self._models.use(head["version"])
        self._strip_readers.use(head["strips_version"])

    def _load(self, request: int, frame: Frame) -> None:
        models = self._strip_readers if frame.head["kind"] == STRIPS else self._models
        manifest, weights, golden = (bytes(part) for part in frame.parts)
        loaded = models.load(manifest, weights, golden)
        head = {
            "op": "loaded",
            "request": request,
            "precision": loaded.precision,
            "versions": models.versions,
        }
        send(self._connection, Frame(head))

    def _prepare(self, request: int, frame: Frame) -> Work:
        """Decode and cut every item of a chunk; bad ones are sorted out here, before the batch."""
        started = time.perf_counter()
        head = frame.head
        predictor = self._models.get(head["version"], head["precision"])
        model = predictor.manifest
        recipe = Recipe(model.input_size, model.filters)
        table = ChunkTable.decode(frame.parts[0])
        positions: Sequence[int] = range(len(table)) if head["only"] is None else head["only"]
        if head["only"] is not None:
            table = table.part(positions)
        if head["form"]:
            self._use_kernels(len(positions))
        stages = Stages(traced=head.get("traced", False))
        batch: ItemBatch = (
            PageBatch(table, parse_templates(head["form"]), recipe, self._limits, stages)
            if head["form"]
            else DigitBatch(table, recipe, self._limits, stages)
        )
        blobs = dict(zip(head["blobs"], frame.parts[1:], strict=True))
        verdicts: Mapping[str, tuple[str, str]] = head["verdicts"]
        for number, position in enumerate(positions):
            self._read_singles(head["single"])
            self._position.step(request, position)
            if verdict := verdicts.get(str(position)):
                batch.lose(number, (Code(verdict[0]), verdict[1]))
            batch.read(number, blobs)
        self._position.step(request)
        return Work(
            request=request,
            single=head["single"],
            predictor=predictor,
            # In this engine alone, the predictor decides.
            asked=head["precision"] if self._device else ANY_PRECISION,
            strip_reader=self._strip_readers.get(head["strips_version"]),
            strips_version=head["strips_version"],
            batch=batch,
            crops=batch.crops,
            started=started,
            stages=stages,
        )

    def _use_kernels(self, pages: int) -> None:
        """Read pages by compiled kernels, if that saves time: they take memory, too."""
        if kernels.enabled():
            return
        cache = Path(self._config.cache_dir) / "kernels"
        if self._pages >= _WORTH_COMPILING or kernels.are_compiled(cache):
            kernels.enable(cache)
        self._pages += pages

    def _read_singles(self, single: bool) -> None:
        """In the middle of a large chunk, read the single ones that arrived meanwhile.

        The large chunk then has its turn for as long as they took, and for a minimum.
        """
        now = time.monotonic()
        if single or now < self._next_break:
            return
        if works := self._take(self._inbox.singles()):
            self._read(works)
        after = time.monotonic()
        self._next_break = after + max(_MIN_TURN, after - now)

    def _read(self, works: Sequence[Work]) -> None:
        """One forward pass over the crops of several chunks, then an answer to each."""
        self._position.step(EVERY_REQUEST)
        for predictor, asked in dict.fromkeys((work.predictor, work.asked) for work in works):
            mine = [w for w in works if w.predictor is predictor and w.asked == asked]
            self._predict(predictor, mine)

    def _predict(self, predictor: Predictor, works: Sequence[Work]) -> None:
        began = time.perf_counter()
        crops = np.concatenate([work.crops for work in works])
        single = all(work.single for work in works)
        found = forward(
            predictor,
            crops,
            device=self._device,
            asked=works[0].asked,
            between=lambda: self._read_singles(single),
        )
        model, batches, start = predictor.manifest, found.batches, 0
        reader = Reader(model.classes, model.version, found.precision, self._config.confidence)
        strips = read_together([(work.strip_reader, work.batch.strips) for work in works])
        for work in works:
            share = len(work.crops) / len(crops) if len(crops) else 1 / len(works)
            work.stages.add(PREDICT, began, share=share)
        for work, strings in zip(works, strips, strict=True):
            end = start + len(work.crops)
            by = replace(reader, strips_model=work.strips_version)
            began = time.perf_counter()
            answer = work.batch.answer(found.probabilities[start:end], by, strings)
            work.stages.add(RULES, began)
            self._answer(work, answer, batches)
            start, batches = end, []

    def _answer(self, work: Work, answer: ChunkRows, batches: Sequence[int]) -> None:
        head = {
            "op": "rows",
            "request": work.request,
            "rows": answer.counts.rows,
            "statuses": answer.counts.statuses,
            "codes": answer.counts.codes,
            "crops": len(work.crops),
            "seconds": time.perf_counter() - work.started,
            "stages": work.stages.seconds,
            "times": work.stages.times,
            "batches": list(batches),
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
    """Run an engine until its worker has gone.

    ``arguments`` are the descriptors of the connection and of the shared position, and an
    `EngineConfig` as JSON.
    """
    descriptor, shared, config = int(arguments[0]), int(arguments[1]), json.loads(arguments[2])
    # Ctrl-C and SIGTERM are for the worker, which closes the connection when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    confine()
    die_before_and_with_the_worker()
    settings = EngineConfig(**config)
    set_up_logging(settings.log_format, settings.log_level)
    _limit_threads(settings.threads)
    door = Door(socket.socket(fileno=settings.door)) if settings.door >= 0 else None
    engine = Engine(Link(socket.socket(fileno=descriptor)), SharedPosition(shared), settings, door)
    try:
        engine.run()
    except (EOFError, ConnectionError):
        # The worker has gone. Skip TensorFlow's slow clean-up: there is nothing to save.
        os._exit(0)


def _limit_threads(threads: int) -> None:
    """An engine has one share of the cores: more OpenCV threads would slow down the others."""
    import cv2

    cv2.setNumThreads(threads)


if __name__ == "__main__":
    main(sys.argv[1:])
