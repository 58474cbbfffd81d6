"""Finding jobs: load a job's record, and list the jobs in the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, NotFound
from inkmill.lifecycle.identity import no_such_job, resolve
from inkmill.records.jobs import Job

log = logging.getLogger(__name__)


def load_job(store: Store, reference: str) -> Job:
    """The record of the job that an id or a label refers to.

    Raises NotFound, Corrupt, Newer, or UsageError for what can be neither id nor label.
    """
    try:
        return read_record(store, resolve(store, reference))
    except NotFound:
        raise no_such_job(reference) from None


def find_record(store: Store, job: str) -> Job | None:
    """As `read_record`, but None where there is no such job."""
    try:
        return read_record(store, job)
    except NotFound:
        return None


def read_record(store: Store, job: str) -> Job:
    """The record of the job with this id: one request. Raises NotFound, Corrupt or Newer."""
    key = names.job_record(job)
    return Job.decode(store.get(key).data, key)


def readable_jobs(store: Store) -> Iterator[Job]:
    """The records of all jobs, in the order of their ids. A damaged one, or one of a newer Inkmill,
    is passed over: it must not keep anybody from the others."""
    for job in job_ids(store):
        try:
            record = find_record(store, job)
        except Corrupt as error:
            log.warning("skipped job %s: %s", job, error)
            continue
        if record is not None:
            yield record


def job_ids(store: Store) -> Iterator[str]:
    """The ids of all jobs in the store, in order; also of those that are being deleted.

    A folder that is none of Inkmill's is passed over.
    """
    for folder in store.folders(names.JOBS):
        job = folder.removeprefix(names.JOBS).rstrip("/")
        if names.is_job(job):
            yield job
        else:
            log.warning("skipped %s: it is not a folder of Inkmill", folder)
