"""Compiles kernels with Numba, where a process asks for it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

log = logging.getLogger(__name__)

_state: dict[str, bool] = {"enabled": False}


def enable(cache: Path | None = None) -> bool:
    """Use the kernels from now on in this process; returns whether Numba is there for it.

    ``cache`` is a folder in which the compiled code is kept for other processes of this host. It
    must be writable by trusted users only, since its files are run. Without it, or where it cannot
    be written, each process compiles for itself.
    """
    if find_spec("numba") is None:
        log.info("numba is not installed: cells are cut without compiled kernels")
        return False
    import numba

    numba.config.CACHE_DIR = "" if cache is None else _usable(cache)
    _state["enabled"] = True
    return True


def disable() -> None:
    """Use NumPy and OpenCV alone again."""
    _state["enabled"] = False


def enabled() -> bool:
    """Whether this process uses the kernels."""
    return _state["enabled"]


def compiled(kernel: Kernel) -> Kernel:
    """A kernel as machine code, from the cache if it was compiled on this host before."""
    import numba

    kept = bool(numba.config.CACHE_DIR)
    # NumPy's rules for division: a check in each loop would keep it from being vectorised.
    made: Kernel = numba.njit(cache=kept, error_model="numpy")(kernel)
    return made


def _usable(cache: Path) -> str:
    """The folder for the code of this version, or nothing if it cannot be written.

    Numba compiles a function again when its own file has changed, but not when another one has
    that it calls: so each version of the kernels has a folder of its own.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    folder = cache / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{id(digest):x}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        log.warning("compiled kernels cannot be kept in %s: %s", folder, error)
        return ""
    return str(folder)
