"""Compiles the kernels with Numba, where a process asks for it."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger(__name__)

#: The modules with kernels, which are compiled when they are imported.
_MODULES = (
    "levels",
    "streaks",
    "straight",
    "inks",
    "scaling",
    "crops",
    "crossing",
    "moves",
    "pages",
    "places",
)
#: This file in the folder of the machine code says that it is complete.
_COMPLETE = "complete"
_state = {"enabled": False, "failed": False}


def enable(cache: Path | None = None) -> bool:
    """Use the kernels from now on in this process; returns whether it can.

    ``cache`` is a folder in which the machine code is kept for other processes of this host: the
    first one compiles for some 27 seconds, and those that start meanwhile wait for it. Without
    it, or where it cannot be written, each process compiles for itself. The code is run: only users
    whose programs may be run may write there.
    """
    if _state["enabled"] or _state["failed"]:
        return _state["enabled"]
    if find_spec("numba") is None:
        _state["failed"] = True
        log.info("numba is not installed: pages are read without compiled kernels")
        return False
    try:
        _compile(cache)
    except Exception as error:
        # They only save time. A NumPy that Numba does not know, or a full disk, stops no page.
        _state["failed"] = True
        reason = f"{type(error).__name__}: {error}"
        log.warning("pages are read without compiled kernels, which takes longer: %s", reason)
        return False
    _state["enabled"] = True
    return True


def _compile(cache: Path | None) -> None:
    import numba

    with _alone(cache) as folder:
        numba.config.CACHE_DIR = "" if folder is None else str(folder)
        for module in _MODULES:
            importlib.import_module(f"{__package__}.{module}")
        if folder is not None:
            (folder / _COMPLETE).touch()


def are_compiled(cache: Path) -> bool:
    """Whether the kernels' machine code is in this folder: then `enable` takes half a second."""
    return (_folder(cache) / _COMPLETE).exists()


def disable() -> None:
    """Use NumPy and OpenCV alone again."""
    _state.update(enabled=False, failed=False)


def enabled() -> bool:
    """Whether this process uses the kernels."""
    return _state["enabled"]


def kernel(signature: str) -> Callable[[Function], Function]:
    """A function as machine code for arguments of these types, from the cache if it is there."""
    import numba

    # NumPy's rules for division: a check in each loop would keep it from being vectorised.
    made: Callable[[Function], Function] = numba.njit(
        signature, cache=bool(numba.config.CACHE_DIR), error_model="numpy"
    )
    return made


def part_of_kernels(function: Function) -> Function:
    """A function that kernels call, compiled together with them."""
    import numba

    made: Function = numba.njit(error_model="numpy")(function)
    return made


def _folder(cache: Path) -> Path:
    """Where the machine code of this version of the kernels is."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return cache / digest.hexdigest()[:16]


@contextmanager
def _alone(cache: Path | None) -> Iterator[Path | None]:
    """The folder for the code of this version, for one process at a time; None if there is none.

    Numba compiles a function again when its own file has changed, but not when another one has
    that it calls: so each version of the kernels has a folder of its own.
    """
    if cache is None:
        yield None
        return
    folder = _folder(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "compiling.lock").open("a")
    except OSError as error:
        log.warning("%s cannot be written, so each engine compiles for itself: %s", cache, error)
        yield None
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
