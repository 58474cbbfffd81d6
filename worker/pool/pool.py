"""The pool of a worker's engines: hands out chunks, and replaces engines that die.

An engine that dies or stops responding is replaced, and its chunk goes to another one. The shared
position says which item it had in hand: an item that was in hand at two deaths gets an error row,
and the rest of the chunk is read as if nothing had happened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from inkmill.codes import Code
from inkmill.errors import CannotStart, InkmillError, ModelError, ShuttingDown
from inkmill.settings import Settings
from inkmill.worker.link import BadFrame, ChunkResult, Frame, ModelPayload, Task
from inkmill.worker.pool.devices import Devices
from inkmill.worker.pool.engines import Engines
from inkmill.worker.pool.handle import Died, EngineHandle

log = logging.getLogger(__name__)

#: Deaths with one item in hand before that item is given up.
_STRIKES = 2
#: Deaths while a chunk's model is loaded before the chunk is put off.
_LOAD_STRIKES = 3
#: Deaths with no item in hand (while predicting) before the chunk is read item by item.
_UNKNOWN_STRIKES = 2
#: The files of a model version.
Files = Callable[[str], ModelPayload]


class EnginePool:
    """A fixed number of engines, replaced as they die.

    ``load`` loads a version in all of them; ``read`` gives a chunk to the one with the least to do
    and returns its rows. Both are called from many threads. ``devices`` are those on which
    predictor processes compute for the engines, such as "GPU:0".

    Raises CannotStart where the host refuses an engine at the beginning.
    """

    def __init__(
        self, settings: Settings, count: int, threads: int, *, devices: Sequence[str] = ()
    ) -> None:
        self._kept = settings.models_kept
        self._lock = threading.Lock()
        self._models: dict[str, ModelPayload] = {}
        self._devices = Devices(settings, devices, threads)
        try:
            self._engines = Engines(settings, count, threads, self._devices)
        except CannotStart:
            self._devices.close()
            raise
        self._stopping = self._engines.stopping
        threading.Thread(target=self._watch, name="engines", daemon=True).start()

    # --- models ----------------------------------------------------------------------------

    def load(self, model: ModelPayload) -> str:
        """Load and check a version in every engine; returns its precision there.

        Devices get it, too, and nobody waits for them. Raises ModelError where the version must not
        serve or every engine died of it, and ShuttingDown.
        """
        engines = list(self._engines.handles)
        self._devices.load(model)
        with ThreadPoolExecutor(len(engines)) as together:
            loads = [together.submit(self._load_into, engine, model) for engine in engines]
        precisions, deaths = list[str](), list[Died]()
        for load in loads:
            try:
                precisions.append(load.result())
            except Died as death:  # its successor loads the model when it is chosen
                deaths.append(death)
        if not precisions:
            if self._stopping.is_set():
                raise ShuttingDown("the worker is stopping") from deaths[-1]
            raise ModelError(f"every engine died while loading the model: {deaths[-1].words}")
        with self._lock:
            self._models[model.version] = model
            alike = [v for v, each in self._models.items() if each.kind == model.kind]
            for version in alike[: -self._kept]:
                del self._models[version]
        return precisions[-1]

    def _load_into(self, engine: EngineHandle, model: ModelPayload) -> str:
        try:
            return _loaded(engine.load(model).result())
        except ModelError:
            engine.drop(model.version)
            raise
        except LookupError as error:
            raise _refused(engine, repr(error)) from error

    # --- chunks ----------------------------------------------------------------------------

    def read(self, task: Task, files: Files) -> ChunkResult:
        """Read a chunk, however many engines die of it.

        ``files`` is called for the files of the chunk's models where an engine lacks them.
        Raises Corrupt where the bytes are not a chunk, ModelError, and ShuttingDown.
        """
        verdicts = dict(task.verdicts)
        strikes: dict[int, int] = {}
        unknown = 0
        while True:
            try:
                return self._once(task, files, verdicts, None)
            except Died as death:
                if self._stopping.is_set():
                    raise ShuttingDown("the worker is stopping") from death
                if death.bystander:
                    continue
                if death.item is None:
                    unknown += 1
                    if unknown >= _UNKNOWN_STRIKES:
                        return self.read_one_by_one(replace(task, verdicts=verdicts), files)
                    continue
                strikes[death.item] = strikes.get(death.item, 0) + 1
                if strikes[death.item] >= _STRIKES:
                    verdicts[death.item] = (death.code, death.words)
                    log.error(
                        "item at position %d of chunk %d is given up: %s",
                        death.item,
                        task.chunk,
                        death.words,
                        extra={"job": task.job, "chunk": task.chunk},
                    )

    def read_one_by_one(
        self,
        task: Task,
        files: Files,
        before: Callable[[int], None] = lambda _: None,
    ) -> ChunkResult:
        """Read each item by itself, so that one that kills an engine is identified.

        ``before`` is called with each item's position. Raises as ``read`` does.
        """
        parts: list[ChunkResult] = []
        for position in range(task.count):
            before(position)
            parts.append(self._alone(task, files, position))
        return ChunkResult.join(parts)

    def _alone(self, task: Task, files: Files, position: int) -> ChunkResult:
        """One item's row; if an engine dies of it, the row says so."""
        verdicts = dict(task.verdicts)
        while True:
            try:
                return self._once(task, files, verdicts, [position])
            except Died as death:
                if self._stopping.is_set():
                    raise ShuttingDown("the worker is stopping") from death
                if death.bystander:
                    continue
                if position in verdicts:  # it was not even to be read
                    raise ModelError(f"an engine died without an item: {death.words}") from death
                verdicts[position] = (death.code, death.words)

    def _once(
        self,
        task: Task,
        files: Files,
        verdicts: Mapping[int, tuple[Code, str]],
        only: Sequence[int] | None,
    ) -> ChunkResult:
        head, parts = task.head(verdicts, only), task.parts
        self._devices.provide(task.version, files)
        engine, deaths = self._engines.choose(), 0
        while (answer := engine.read(task.version, head, parts)) is None:
            try:
                for version in engine.lacks(task.versions):
                    self._load_into(engine, files(version))
            except Died as death:
                if death.bystander or self._stopping.is_set():
                    raise
                deaths += 1
                if deaths >= _LOAD_STRIKES:
                    # No item may be blamed for what the model did.
                    raise ModelError(
                        f"an engine died while loading the model: {death.words}"
                    ) from death
                engine = self._engines.choose()
        try:
            return ChunkResult.of(answer.result())
        except BadFrame as error:
            raise _refused(engine, str(error)) from error

    # --- processes -------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping.wait(0.25):
            with self._lock:
                serving = list(self._models.values())
            self._devices.check(serving)
            self._engines.check(serving)

    @property
    def pids(self) -> list[int]:
        return [engine.pid for engine in self._engines.handles]

    @property
    def device_pids(self) -> list[int]:
        """The predictor processes that run now, one for each device."""
        return self._devices.pids

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until every engine runs. Raises InkmillError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        for engine in list(self._engines.handles):
            if not engine.ready.wait(max(0.0, deadline - time.monotonic())):
                raise InkmillError(f"an engine did not start within {timeout:.0f} s")

    def wait_for_devices(self, version: str, timeout: float) -> None:
        """Wait until all devices compute with a version, for measurements: no chunk waits for them.

        Raises InkmillError after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self._devices.compute(version):
            if time.monotonic() > deadline:
                raise InkmillError(f"a device did not have the model within {timeout:.0f} s")
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill all engines; reads in progress raise ShuttingDown."""
        self._engines.stop()
        self._devices.close()


def _refused(engine: EngineHandle, why: str) -> Died:
    """An engine whose answer is none is killed, as if it had died of what it read."""
    engine.refuse(why)
    return Died(None, Code.CRASHED, "the engine gave an answer that is none")


def _loaded(answer: Frame) -> str:
    if answer.head["op"] == "refused":
        raise ModelError(answer.head["message"])
    return str(answer.head["precision"])
