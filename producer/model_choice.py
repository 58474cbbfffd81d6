"""Which model version a job is read with: the latest at its submit, one by name, or whichever
is latest when a chunk is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import NotFound, UsageError
from inkmill.records.jobs import FOLLOW, PINNED

#: A version may be named by this many of its first digits.
_SHORTEST = 8


def choose_model(
    store: Store, name: str, asked: str, latest: Callable[[str], str] | None = None
) -> tuple[str, str]:
    """The job's policy and version for what was asked: ``pinned``, ``follow`` or a version.

    ``latest`` may know a model's latest version without asking the store each time. Raises
    UsageError where nothing was published, or the version is none or not the only one.
    """
    current = latest or (lambda model: latest_version(store, model))
    if asked == FOLLOW:
        current(name)
        return FOLLOW, ""
    if asked == PINNED:
        return PINNED, current(name)
    if not re.fullmatch(f"[0-9a-f]{{{_SHORTEST},64}}", asked):
        raise UsageError(
            f"--model {asked}: give pinned, follow, or a version (its first {_SHORTEST} digits "
            "are enough); `inkmill models list` shows them"
        )
    version = _version(store, name, asked)
    return version, version


def latest_version(store: Store, name: str) -> str:
    """The version that the model's pointer names. Raises UsageError where there is none."""
    try:
        pointer = store.get(names.model_pointer(name))
    except NotFound:
        raise UsageError(
            f"there is no model {name!r} in the store yet: publish one with "
            "`inkmill models publish`"
        ) from None
    try:
        return names.check_sha256(json.loads(pointer.data)["version"])
    except (ValueError, KeyError, TypeError, UsageError):
        raise UsageError(
            f"{names.model_pointer(name)} names no version: set it anew with "
            "`inkmill models promote`"
        ) from None


def _version(store: Store, name: str, prefix: str) -> str:
    """The only complete version that begins with ``prefix``; its manifest makes it complete."""
    found = {
        entry.key.split("/")[2]
        for entry in store.list(f"{names.model_root(name)}{prefix}")
        if entry.key.endswith("/manifest.json")
    }
    if len(found) == 1:
        return found.pop()
    what = "several versions begin" if found else "no version begins"
    raise UsageError(
        f"--model {prefix}: {what} with that; `inkmill models list` shows those of {name!r}"
    )
