"""Which model version reads a job, and which jobs were read by a version.

A job is read with the version that is latest at its submit, with one that is named, or with the one
that is latest when a chunk is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from inkmill import names
from inkmill.backends import model_index
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, ModelError, Newer, NotFound, UsageError
from inkmill.lifecycle.lookup import readable_jobs
from inkmill.records import rows
from inkmill.records.jobs import FOLLOW, PINNED, Job

log = logging.getLogger(__name__)


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


def choose_strips_model(
    store: Store, name: str, policy: str, latest: Callable[[str], str] | None = None
) -> str:
    """The version of the model ``name`` that reads a job's numbers without cells.

    "" for a job that needs none (``name`` is empty) or follows the latest one. ``policy`` is the
    job's: a version of the model for digits pins this one to its latest. Raises UsageError if no
    version is published.
    """
    if not name:
        return ""
    try:
        version = (latest or (lambda model: latest_version(store, model)))(name)
    except NotFound:
        raise UsageError(
            f"the form has numbers without cells, and the model {name!r} that reads them is not in "
            f"the store yet: publish it with `inkmill models publish --name {name}`"
        ) from None
    return "" if policy == FOLLOW else version


def latest_version(store: Store, name: str) -> str:
    """The version that the model's pointer names. Raises UsageError if there is none."""
    try:
        return model_index.latest(store, name).version
    except ModelError as error:
        raise UsageError(str(error)) from None


def jobs_read_with(store: Store, name: str, version: str) -> Iterator[Job]:
    """Jobs pinned to a version of a model, and jobs following it that have rows read with it."""
    for job in readable_jobs(store):
        if name not in (job.options.model, job.strips_model):
            continue
        column, pinned = "model", job.version
        if name == job.strips_model:
            column, pinned = "strips_model", job.strips_version
        if job.options.policy != FOLLOW:
            used = pinned == version
        else:
            results = store.list(names.results(job.job))
            used = any(_has_rows_of(store, entry.key, version, column) for entry in results)
        if used:
            yield job


def _has_rows_of(store: Store, key: str, version: str, name: str) -> bool:
    """Whether a result object has a row that was read with this version, by the column of it."""
    try:
        return version in rows.values_of(store.get(key).data, name)
    except Newer:
        raise
    except Corrupt as error:
        log.warning("skipped %s: %s", key, error)
        return False
