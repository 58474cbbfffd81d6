"""Which model version reads a job, and which jobs were read by a version.

A job is read with the version that is latest at its submit, with one that is named, or with the one
that is latest when a chunk is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inkmill import names
from inkmill.backends import model_index
from inkmill.backends.store import Store
from inkmill.errors import ModelError, UsageError
from inkmill.lifecycle.lookup import find_record, job_ids
from inkmill.records.jobs import FOLLOW, PINNED, Job


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
    if not model_index.is_prefix(asked):
        raise UsageError(
            f"--model {asked}: give pinned, follow, or a version (its first "
            f"{model_index.MIN_PREFIX} digits are enough); `inkmill models list` shows them"
        )
    try:
        version = model_index.find_version(store, name, asked)
    except UsageError as error:
        raise UsageError(f"--model {asked}: {error}") from None
    return version, version


def latest_version(store: Store, name: str) -> str:
    """The version that the model's pointer names. Raises UsageError if there is none."""
    try:
        return model_index.latest(store, name).version
    except ModelError as error:
        raise UsageError(str(error)) from None


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
