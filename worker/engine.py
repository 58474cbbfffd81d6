"""The engine: a process of its own that turns chunks into rows.

It decodes what strangers scanned and may crash, hang or eat memory on it; that costs one
engine and no message. It is given bytes and answers bytes: it has no credentials, no network
use, and ends when its worker does. Started as ``python -m inkmill.worker.engine``.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from inkmill import rows
from inkmill.codes import Code
from inkmill.errors import Corrupt, InkmillError, ItemError
from inkmill.form import Form
from inkmill.images import Limits
from inkmill.jobs import Chunk, Item
from inkmill.rows import Row
from inkmill.worker.compose import Reader
from inkmill.worker.config import EngineConfig
from inkmill.worker.frames import Frame, receive, send
from inkmill.worker.prepare import Prepared, Recipe, parse_form, prepare
from inkmill.worker.progress import EVERY_REQUEST, Progress
from inkmill.worker.shelf import Shelf

log = logging.getLogger(__name__)

#: Chunks that wait are read together until they have this many crops: the largest batch shape.
_TOGETHER = 1024


#: Codes of items that something died of: their evidence is kept.
_GIVEN_UP = (Code.CRASHED, Code.TIMEOUT, Code.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk in hand: its request, items and what became of them."""

    request: int
    version: str
    form: Form | None
    prepared: list[Prepared]
    started: float

    @property
    def crops(self) -> int:
        return sum(len(each.crops) for each in self.prepared)


class Engine:
    """Answers its worker's requests, one batch after another, until the worker hangs up."""

    def __init__(self, connection: Connection, progress: Progress, config: EngineConfig) -> None:
        self._connection = connection
        self._progress = progress
        self._config = config
        self._shelf = Shelf(config.models_kept, config.threads)
        self._limits = Limits(max_pixels=config.max_pixels, max_pages=config.max_pages)

    def run(self) -> None:
        """Take what waits, prepare it, predict once for all of it, answer each request."""
        send(self._connection, Frame({"op": "ready", "pid": os.getpid()}))
        while True:
            works = self._take()
            self._progress.step(EVERY_REQUEST)
            for version in dict.fromkeys(work.version for work in works):
                together = [work for work in works if work.version == version]
                self._read(version, together)
            self._progress.step(0)

    def _take(self) -> list[Work]:
        """Requests that wait, up to a full batch: at least one, and never a wait for more."""
        works: list[Work] = []
        while not works or (
            sum(work.crops for work in works) < _TOGETHER and self._connection.poll(0)
        ):
            frame = receive(self._connection)
            work = self._begin(frame)
            if work is not None:
                works.append(work)
        return works

    def _begin(self, frame: Frame) -> Work | None:
        request = int(frame.head["request"])
        self._progress.step(request)
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
        predictor = self._shelf.load(manifest, weights, golden)
        head = {
            "op": "loaded",
            "request": request,
            "precision": predictor.precision,
            "versions": self._shelf.versions,
        }
        send(self._connection, Frame(head))

    def _prepare(self, request: int, frame: Frame) -> Work:
        """Decode and cut every item of a chunk; bad ones leave here, before the batch."""
        started = time.perf_counter()
        head = frame.head
        model = self._shelf.get(head["version"]).manifest
        recipe = Recipe(model.input_size, model.filters)
        form = parse_form(head["form"]) if head["form"] else None
        chunk = Chunk.decode(bytes(frame.parts[0]))
        blobs = dict(zip(head["blobs"], frame.parts[1:], strict=True))
        verdicts: Mapping[str, tuple[str, str]] = head["verdicts"]
        only: set[int] | None = set(head["only"]) if head["only"] is not None else None
        prepared = []
        for position, item in enumerate(chunk.items):
            if only is not None and position not in only:
                continue
            self._progress.step(request, position)
            prepared.append(self._item(item, position, blobs, verdicts, form, recipe))
        self._progress.step(request)
        return Work(request, head["version"], form, prepared, started)

    def _item(
        self,
        item: Item,
        position: int,
        blobs: Mapping[str, bytes | memoryview],
        verdicts: Mapping[str, tuple[str, str]],
        form: Form | None,
        recipe: Recipe,
    ) -> Prepared:
        verdict = verdicts.get(str(position))
        if verdict is not None:
            code, message = verdict
            item = Item(item.item, item.source, item.page, code=Code(code), message=message)
        data = bytes(blobs[item.key]) if item.key and item.code is None else item.data
        try:
            return prepare(item, data, form, recipe, self._limits)
        except ItemError:
            raise
        except MemoryError:
            error = (Code.TOO_LARGE, "the image needs more memory than there is: scan it smaller")
        except Exception as defect:
            # A defect of ours or of a decoder on this one input: its row says so, the
            # neighbours go on, and the log has the trace.
            log.exception("item %d (%s) failed", item.item, item.source)
            error = (Code.CRASHED, f"reading failed: {type(defect).__name__}: {defect}")
        failed = Item(item.item, item.source, item.page, code=error[0], message=error[1])
        return prepare(failed, b"", form, recipe, self._limits)

    def _read(self, version: str, works: list[Work]) -> None:
        """One forward pass over the crops of several chunks, then regroup and answer."""
        predictor = self._shelf.get(version)
        crops = np.concatenate([each.crops for work in works for each in work.prepared])
        probabilities = predictor.predict(crops)
        if len(probabilities) != len(crops) or not np.isfinite(probabilities).all():
            raise AssertionError(f"{len(crops)} crops gave {probabilities.shape} probabilities")
        reader = Reader(
            predictor.manifest.classes, version, predictor.precision, self._config.confidence
        )
        start = 0
        for work in works:
            answers: list[Row] = []
            for prepared in work.prepared:
                end = start + len(prepared.crops)
                answers.append(reader.row(prepared, probabilities[start:end], work.form))
                start = end
            self._answer(work, answers)

    def _answer(self, work: Work, answers: list[Row]) -> None:
        counts = rows.count(answers)
        pictures = {each.row.item: each.picture for each in work.prepared if each.picture}
        head = {
            "op": "rows",
            "request": work.request,
            "rows": counts.rows,
            "statuses": counts.statuses,
            "codes": counts.codes,
            "crops": work.crops,
            "seconds": time.perf_counter() - work.started,
            "pictures": list(pictures),
            "given_up": {
                row.item: (row.code, row.message) for row in answers if row.code in _GIVEN_UP
            },
        }
        send(self._connection, Frame(head, [rows.encode(answers), *pictures.values()]))

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
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    settings = EngineConfig(**config)
    _few_threads(settings.threads)
    engine = Engine(Connection(descriptor), Progress(shared), settings)
    try:
        engine.run()
    except (EOFError, ConnectionError):
        # The worker has gone. Skip TensorFlow's slow clean-up: nothing here is worth keeping.
        os._exit(0)


def _no_core_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _few_threads(threads: int) -> None:
    """One engine is one share of the cores: OpenCV's own threads would fight the others'."""
    import cv2

    cv2.setNumThreads(threads)


if __name__ == "__main__":
    main(sys.argv[1:])
