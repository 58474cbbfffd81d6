"""The outbox: notices that jobs have ended, in the bucket until their receivers took them.

Whoever finishes a job writes its notice before the job's open marker is removed. As long as that
marker is there, sweeps finish the job again, so a notice outlives every kill. Workers claim one by
a conditional write that says when the next attempt is due, send it, and delete it. A kill between
these means another attempt: each notice is delivered at least once; its id tells a repeated one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from inkmill import names
from inkmill.backends.store import Store, exists
from inkmill.errors import Corrupt, Newer, NotFound, PreconditionFailed, UsageError
from inkmill.records.codec import MOST_ITEMS
from inkmill.records.jobs import Job
from inkmill.records.notices import Waiting

log = logging.getLogger(__name__)

#: Seconds from the beginning of an attempt to the next one; the last is for all that follow.
PAUSES = (15.0, 60.0, 300.0, 900.0, 3600.0)
#: A notice that nobody took for so long is given up (seconds).
KEPT_SECONDS = 3 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice that this process may send now; ``etag`` is its object's."""

    job: str
    waiting: Waiting
    etag: str

    @property
    def key(self) -> str:
        return names.outbox(self.job)

    def is_last(self, now: float) -> bool:
        """Whether it is given up unless this attempt succeeds."""
        return now - self.waiting.since > KEPT_SECONDS


def post(store: Store, job: Job, ended: float) -> None:
    """Write a finished job's notice, if somebody wants to be told of it.

    To be called before its open marker is removed: where that is gone, another process finished
    the job, and wrote the notice. One that still waits is replaced, since a job that is read again
    ends again.
    """
    if job.on_done and exists(store, names.open_marker(job.job)):
        store.put(names.outbox(job.job), Waiting(since=ended).encode())


def pending(store: Store) -> Iterator[str]:
    """The jobs whose notices wait."""
    for entry in store.list(names.OUTBOX):
        job = entry.key.removeprefix(names.OUTBOX)
        if names.is_job(job):
            yield job
        else:
            log.debug("skipped %s: it is not an object of Inkmill", entry.key)


def read(store: Store, job: str) -> Waiting:
    """A notice as it waits. Raises NotFound, Corrupt or Newer."""
    key = names.outbox(job)
    return Waiting.decode(store.get(key).data, key)


def claim(store: Store, job: str, now: float) -> Claim | None:
    """Take a notice for one attempt; None where there is none, it is not due, or another process
    has it. One that is damaged is written anew, since only its times are lost. Raises Newer."""
    key = names.outbox(job)
    try:
        stored = store.get(key)
        waiting = Waiting.decode(stored.data, key)
    except NotFound:
        return None
    except Newer:
        raise
    except Corrupt as error:
        log.warning("%s: sent as if it were new", error)
        with suppress(NotFound, UsageError):
            store.put(key, Waiting(since=now).encode())
        return None
    if waiting.due > now:
        return None
    pause = PAUSES[min(waiting.attempts, len(PAUSES) - 1)]
    attempts = min(waiting.attempts + 1, MOST_ITEMS)
    claimed = replace(waiting, attempts=attempts, due=now + pause)
    try:
        return Claim(job, claimed, store.put(key, claimed.encode(), if_match=stored.etag))
    except (PreconditionFailed, NotFound):
        return None


def done(store: Store, claimed: Claim) -> None:
    """The notice was taken, or is given up. One that was written anew meanwhile stays."""
    with suppress(PreconditionFailed, NotFound):
        store.delete_if_match(claimed.key, claimed.etag)


def failed(store: Store, claimed: Claim, error: str) -> None:
    """Note why an attempt failed; the next one is due already."""
    with suppress(PreconditionFailed, NotFound):
        waiting = replace(claimed.waiting, error=error[:1000])
        store.put(claimed.key, waiting.encode(), if_match=claimed.etag)
