"""Which model version a job is read with, and which jobs were read with a version.

A job is read with the version that is latest at its submit, with one that is named, or with the one
that is latest when a chunk is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import NotFound, UsageError
from inkmill.lifecycle.lookup import find_record, job_ids
from inkmill.records.jobs import FOLLOW, PINNED, Job

#: A version may be abbreviated to this many digits.
_SHORTEST = 8


def choose_model(
    store: Store, name: str, asked: str, latest: Callable[[str], str] | None = None
) -> tuple[str, str]:
    """The job's policy and version for ``asked``: ``pinned``, ``follow`` or a version.

    ``latest`` may return a model's latest version from a cache. Raises UsageError if no version is
    published, or if ``asked`` is not the beginning of exactly one.
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
    """The version that the model's pointer names. Raises UsageError if there is none."""
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
            f"{names.model_pointer(name)} names no version: set it again with "
            "`inkmill models promote`"
        ) from None


def _version(store: Store, name: str, prefix: str) -> str:
    """The only version that begins with ``prefix``; those without a manifest are incomplete."""
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


def jobs_read_with(store: Store, name: str, version: str) -> Iterator[Job]:
    """Jobs pinned to a version of a model, and jobs following it that have rows read with it."""
    for each in job_ids(store):
        job = find_record(store, each)
        if job is None or job.options.model != name:
            continue
        if job.options.policy != FOLLOW:
            used = job.version == version
        else:
            results = store.list(names.results(job.job))
            used = any(_has_rows_of(store, entry.key, version) for entry in results)
        if used:
            yield job


def _has_rows_of(store: Store, key: str, version: str) -> bool:
    """Whether a result object has a row that was read with this version."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column = pq.read_table(pa.BufferReader(store.get(key).data), columns=["model"]).column("model")
    return version in pc.unique(column).to_pylist()
