"""Faults that a test cannot make from outside: loaded by Python itself at its start.

A test that wants them starts its processes with this folder on PYTHONPATH and the faults' names
in FAULTS. The product knows nothing of it: its functions are wrapped here, after their module
was imported. Signals, crashes and hangs are real ones.

A fault with ``once`` in its comment happens one time for all processes together: whoever
removes the file of its name from the folder FAULT_FLAGS does it.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: Marks in an image's bytes (a PNG text chunk): what becomes of the process that decodes it.
_MARK = b"FAULT:"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _once(name: str) -> bool:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(os.environ["FAULT_FLAGS"], name))  # noqa: PTH108, PTH118
        return True
    return False


def _mark(data: bytes) -> str:
    _, found, rest = data.partition(_MARK)
    return rest.split(b"\0", 1)[0].decode() if found else ""


# --- engines ---------------------------------------------------------------------------------


def decoder(intake: ModuleType) -> None:
    """A decoder with bugs: marked images crash it, hang it, or eat memory."""
    real = intake.cv2.imdecode

    def imdecode(buffer: Any, flags: int) -> Any:
        _suffer(_mark(buffer.tobytes()))
        return real(buffer, flags)

    intake.cv2.imdecode = imdecode


def misread(intake: ModuleType) -> None:
    """A decoder that gives one image back black; once."""
    real = intake.cv2.imdecode

    def imdecode(buffer: Any, flags: int) -> Any:
        pixels = real(buffer, flags)
        return pixels * 0 if _once("misread") else pixels

    intake.cv2.imdecode = imdecode


def _suffer(what: str) -> None:
    kind, _, figure = what.partition("=")
    if kind == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "abort":
        os.abort()
    elif kind == "hang":
        while True:
            time.sleep(3600)
    elif kind == "memory":
        held = []
        while True:
            held.append(bytearray(os.urandom(1)) * 2**25)
            time.sleep(0.01)
    elif kind == "slow":
        time.sleep(float(figure))


# --- workers ---------------------------------------------------------------------------------


def before_unacked(channel: ModuleType) -> None:
    """kill -9 between the pop and the unacked record; once."""
    real = channel.QoS.append

    def append(self: Any, message: Any, delivery_tag: str) -> None:
        if _once("before_unacked"):
            _die()
        real(self, message, delivery_tag)

    channel.QoS.append = append


def after_result(store: ModuleType) -> None:
    """kill -9 after the result is written, before anything else; once."""
    real = store.S3Store.put

    def put(self: Any, key: str, data: bytes, **options: Any) -> str:
        etag: str = real(self, key, data, **options)
        if "/results/" in key and _once("after_result"):
            _die()
        return etag

    store.S3Store.put = put


def deadly_items(engines: ModuleType) -> None:
    """Items marked ``worker`` take the whole worker down, as a host without memory would."""
    from inkmill.records.chunks import Chunk

    real = engines.EnginePool._once

    def once(self: Any, task: Any, files: Any, verdicts: Any, only: Any) -> Any:
        for position, item in enumerate(Chunk.decode(task.data).items):
            chosen = only is None or position in only
            if chosen and position not in verdicts and _mark(item.data) == "worker":
                _die()
        return real(self, task, files, verdicts, only)

    engines.EnginePool._once = once


def slow_chunks(engines: ModuleType) -> None:
    """Each chunk takes some seconds more (FAULT_SECONDS): for kills and drains under load."""
    real = engines.EnginePool.read

    def read(self: Any, task: Any, files: Any) -> Any:
        self._stopping.wait(float(os.environ["FAULT_SECONDS"]))
        return real(self, task, files)

    engines.EnginePool.read = read


def put_counts(store: ModuleType) -> None:
    """kill -9 at the put number FAULT_PUT: before it if negative, else after it."""
    real, target, numbers = store.S3Store.put, int(os.environ["FAULT_PUT"]), itertools.count(1)

    def put(self: Any, key: str, data: bytes, **options: Any) -> str:
        number = next(numbers)  # puts come from several threads
        if number == -target:
            _die()
        etag: str = real(self, key, data, **options)
        if number == target:
            _die()
        return etag

    store.S3Store.put = put


def before_send(queue: ModuleType) -> None:
    """kill -9 when a chunk has left the backlog and its message is not sent yet; once."""
    real = queue.Queue.send

    def send(self: Any, *args: Any, **options: Any) -> None:
        if _once("before_send"):
            _die()
        real(self, *args, **options)

    queue.Queue.send = send


# --- no care at all: what safety costs (bench/safety.py) -----------------------------------------


def no_checksums(store: ModuleType) -> None:
    """Objects are written without their digest, and read without a look at it."""
    from inkmill.errors import Unreachable

    def put(self: Any, key: str, data: bytes, **options: Any) -> str:
        headers = {
            f"x-amz-meta-{name}": value for name, value in (options.get("metadata") or {}).items()
        }
        headers |= {"If-Match": options["if_match"]} if options.get("if_match") else {}
        headers |= {"If-None-Match": "*"} if options.get("if_none_match") else {}
        written = self._direct.put(self.bucket, key, data, "UNSIGNED-PAYLOAD", headers)
        if not written.etag:
            raise Unreachable(f"the benchmark could not write {key}")
        etag: str = written.etag
        return etag

    store.S3Store.put = put
    store.verify = lambda key, data, metadata: None  # type: ignore[attr-defined]


def no_records(channel: ModuleType) -> None:
    """Messages are taken off the queue and forgotten: a worker that dies takes them along."""
    bookkeeping = channel.QoS.__mro__[2]

    channel.QoS.append = bookkeeping.append
    channel.QoS.ack = bookkeeping.ack


def clock() -> None:
    """This process's clock is wrong by FAULT_CLOCK seconds."""
    real, wrong = time.time, float(os.environ["FAULT_CLOCK"])
    time.time = lambda: real() + wrong


_AFTER: dict[str, tuple[str, Callable[[ModuleType], None]]] = {
    "decoder": ("inkmill.forms.intake", decoder),
    "misread": ("inkmill.forms.intake", misread),
    "before_unacked": ("inkmill.backends.queue.channel", before_unacked),
    "after_result": ("inkmill.backends.store.s3", after_result),
    "deadly_items": ("inkmill.worker.pool.pool", deadly_items),
    "slow_chunks": ("inkmill.worker.pool.pool", slow_chunks),
    "put_counts": ("inkmill.backends.store.s3", put_counts),
    "before_send": ("inkmill.backends.queue", before_send),
    "no_checksums": ("inkmill.backends.store.s3", no_checksums),
    "no_records": ("inkmill.backends.queue.channel", no_records),
}


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the loaders of the modules that are to be changed after they were imported."""

    def __init__(self, wanted: dict[str, list[Callable[[ModuleType], None]]]) -> None:
        self._wanted = wanted
        self._looking = False

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._wanted or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            for change in self._wanted[fullname]:
                change(module)

        loader.exec_module = exec_module
        return spec


def _install(faults: list[str]) -> None:
    import importlib.util  # noqa: F401 - find_spec above needs it

    wanted: dict[str, list[Callable[[ModuleType], None]]] = {}
    for fault in faults:
        if fault == "clock":
            clock()
            continue
        module, change = _AFTER[fault]
        wanted.setdefault(module, []).append(change)
    sys.meta_path.insert(0, _Finder(wanted))


def _of_the_parent() -> dict[str, str]:
    """The faults in the environment of the parent: an engine's own has nothing of them."""
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:  # noqa: PTH123
            data = file.read()
    except OSError:
        return {}
    pairs = (each.decode(errors="replace").partition("=") for each in data.split(b"\0"))
    return {name: value for name, _, value in pairs if name.startswith("FAULT")}


if "inkmill.worker.engine.main" in sys.orig_argv:
    os.environ.update(_of_the_parent())
if os.environ.get("FAULTS"):
    _install(os.environ["FAULTS"].split(","))
