"""Look up versions of a model without loading one: the latest, and those with a prefix.

The one home of such look-ups: the producer, which may not import the models' room, and the
registry in it, both ask here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, ModelError, NotFound, UsageError
from inkmill.records.pointer import Pointer

#: A version may be named by this many of its first digits.
MIN_PREFIX = 4
#: Stands for the latest version where a version is asked for.
LATEST = "latest"


def latest(store: Store, name: str) -> Pointer:
    """The pointer to a model's latest version, by one GET.

    Raises NotFound where nothing was published, ModelError for a pointer that is damaged.
    """
    found = latest_if_changed(store, name, None)
    assert found is not None
    return found


def latest_if_changed(store: Store, name: str, etag: str | None) -> Pointer | None:
    """As `latest`, by a conditional GET: None where the pointer still has ``etag``."""
    key = names.model_pointer(name)
    try:
        found = store.get(key) if etag is None else store.get_if_changed(key, etag)
        return None if found is None else Pointer.decode(found.data, found.etag, key)
    except NotFound:
        raise NotFound(
            f"there is no model {name!r} in the store yet: publish one with "
            "`inkmill models publish`"
        ) from None
    except Corrupt as error:
        raise ModelError(f"{error}: set it again with `inkmill models promote VERSION`") from error


def versions(store: Store, name: str, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Complete versions whose digest begins with ``prefix``, with the time at which each was
    stored, in seconds since the epoch. A version's manifest, written last, makes it complete."""
    root = names.model_root(name)
    for entry in store.list(f"{root}{prefix}"):
        version, _, file = entry.key.removeprefix(root).partition("/")
        if file == "manifest.json" and names.is_sha256(version):
            yield version, entry.modified


def is_prefix(text: str) -> bool:
    """Whether a version may be named so: its first digits, at least `MIN_PREFIX` of them."""
    return re.fullmatch(f"[0-9a-f]{{{MIN_PREFIX},64}}", text) is not None


def find_version(store: Store, name: str, text: str) -> str:
    """The version that ``text`` names: `LATEST`, or the first digits of a complete one.

    Raises UsageError for a text that names none or several, or NotFound.
    """
    if text == LATEST:
        return latest(store, name).version
    if not is_prefix(text):
        raise UsageError(
            f"{text!r} is not a version: give {LATEST}, or at least {MIN_PREFIX} of its first "
            "digits; `inkmill models list` shows them"
        )
    found = [version for version, _ in versions(store, name, text)]
    if not found:
        raise NotFound(
            f"model {name} has no version that begins with {text}: `inkmill models list` shows them"
        )
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} versions of model {name} begin with {text}: give more digits"
        )
    return found[0]
