"""Blocks of crops made ahead of the model, in other processes, and cut into batches."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from inkmill.trainer.config import Config
from inkmill.trainer.crops.blocks import STEPS, Block, BlockMaker
from inkmill.trainer.crops.material import Material
from inkmill.trainer.strings.blocks import StringBlock, StringBlockMaker
from inkmill.trainer.strings.material import StringMaterial

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]

#: Blocks that are made in advance, beyond one for each process.
_AHEAD = 2
#: Prefix of folders with material, and the file whose lock shows that their training is alive.
_PREFIX, _LOCK = "inkmill-train-", "lock"
_maker: BlockMaker | StringBlockMaker | None = None


def _open(config: Config, folder: str) -> None:
    import cv2

    # A signal that stops the training goes to its whole process group, like Ctrl-C in a terminal.
    # The main process finishes its step and saves, and may need crops for that step. So these
    # processes leave the group and are ended by the pool, whose SIGTERM must work (it ends them
    # all if one has died).
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread per process: there are as many processes as spare cores.
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _maker
    kind = StringMaterial if config.reads_strips else Material
    _maker = maker_of(config, kind.map(Path(folder)))


def _end_with_parent() -> None:
    """End with the training, even if it is killed and cannot end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def maker_of(config: Config, material: Material | StringMaterial) -> BlockMaker | StringBlockMaker:
    """What makes blocks of this material."""
    if isinstance(material, StringMaterial):
        return StringBlockMaker(config, material)
    return BlockMaker(config, material)


def _make(number: int) -> tuple[Block | StringBlock, float]:
    assert _maker is not None
    start = time.perf_counter()
    return _maker.make(number), time.perf_counter() - start


def default_processes(config: Config) -> int:
    """Processes for augmentation: all cores but one; none if there is nothing to do."""
    if not (config.augmentation.active or config.negatives.reject or config.reads_strips):
        return 0
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _leftovers() -> Iterator[Path]:
    """Folders of material whose training was killed and could not remove them.

    Each has a lock file, which its owner keeps locked as long as it lives.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Locked, somebody else's, or just removed.
            continue
        yield lock.parent


def _claim(folder: Path) -> BinaryIO:
    """Lock a folder of material for this process, until the returned file is closed."""
    file = (folder / f".{_LOCK}").open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    # Locked before it can be found.
    (folder / f".{_LOCK}").rename(folder / _LOCK)
    return file


class Feed:
    """Batches from any step on; a context manager, since it owns processes.

    ``made_rate`` is the number of crops that one process makes per second, ``waited`` the seconds
    that the model waited for crops.
    """

    def __init__(
        self,
        config: Config,
        material: Material | StringMaterial,
        processes: int | None = None,
    ) -> None:
        self.config = config
        self.processes = default_processes(config) if processes is None else processes
        self.waited = 0.0
        self._crops, self._seconds = 0, 0.0
        self._pool: ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._maker: BlockMaker | StringBlockMaker | None = None
        if self.processes == 0:
            self._maker = maker_of(config, material)
            return
        for folder in _leftovers():
            shutil.rmtree(folder, ignore_errors=True)
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._lock = _claim(Path(self._folder.name))
        material.save(Path(self._folder.name))
        self._pool = ProcessPoolExecutor(
            self.processes,
            # Forking a process with TensorFlow's threads may hang.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(config, self._folder.name),
        )

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()
            self._lock.close()

    @property
    def made_rate(self) -> float:
        return self._crops / self._seconds if self._seconds else 0.0

    def batches(self, start: int, steps: int) -> Iterator[Batch]:
        """The batches of steps ``start`` to ``steps``, which do not depend on ``start``."""
        echo, size = self.config.training.echo, self.config.training.batch
        for number, block in self._blocks(start // (STEPS * echo), -(-steps // (STEPS * echo))):
            for repeat in range(echo):
                order = _order(self.config, number, repeat, block)
                for at in range(STEPS):
                    step = (number * echo + repeat) * STEPS + at
                    if start <= step < steps:
                        chosen = order[at * size : (at + 1) * size]
                        yield block.take(chosen)

    def _blocks(self, first: int, end: int) -> Iterator[tuple[int, Block | StringBlock]]:
        if self._maker is not None:
            for number in range(first, end):
                begun = time.perf_counter()
                block = self._maker.make(number)
                self._count(block, time.perf_counter() - begun)
                self.waited += time.perf_counter() - begun
                yield number, block
            return
        assert self._pool is not None
        pending: deque[tuple[int, Future[tuple[Block | StringBlock, float]]]] = deque()
        upcoming = first
        while upcoming < end or pending:
            while upcoming < end and len(pending) < self.processes + _AHEAD:
                pending.append((upcoming, self._pool.submit(_make, upcoming)))
                upcoming += 1
            number, future = pending.popleft()
            begun = time.perf_counter()
            block, seconds = future.result()
            self.waited += time.perf_counter() - begun
            self._count(block, seconds)
            yield number, block

    def _count(self, block: Block | StringBlock, seconds: float) -> None:
        self._crops += len(block.labels)
        self._seconds += seconds


def _order(
    config: Config, number: int, repeat: int, block: Block | StringBlock
) -> NDArray[np.int64]:
    if repeat == 0:
        return np.arange(len(block.labels))
    rng = np.random.default_rng([config.training.seed, 4, number, repeat])
    return block.order(config.training.batch, rng)
