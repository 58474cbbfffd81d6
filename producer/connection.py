"""What every call of the producer needs: the settings, the store and the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inkmill.backends.ttl_cache import TTLCache
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.model_choice import latest_version

if TYPE_CHECKING:
    from inkmill.backends.queue import Queue
    from inkmill.backends.store import S3Store, Store
    from inkmill.records.jobs import Job
    from inkmill.settings import Settings


#: For programs that submit many small jobs and wait for each (seconds).
_TTL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One store and one queue; a program that makes many calls makes one and passes it on.

    What it knows of the store is at most a second old: ``latest``, the latest version of a model,
    and ``jobs``, the record of a job.
    """

    settings: Settings
    store: Store
    queue: Queue
    latest: TTLCache[str] = field(init=False, repr=False, compare=False)
    jobs: TTLCache[Job] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        latest = TTLCache(_TTL_SECONDS, lambda name: latest_version(self.store, name))
        jobs = TTLCache(_TTL_SECONDS, lambda job: load_job(self.store, job))
        object.__setattr__(self, "latest", latest)
        object.__setattr__(self, "jobs", jobs)

    def bucket(self, name: str) -> S3Store:
        """A bucket of the user's, with the same credentials as ours."""
        from inkmill.backends.store import S3Store, s3_client

        if isinstance(self.store, S3Store):
            return S3Store(self.store.client, name)
        return S3Store(s3_client(self.settings), name)


def connect(settings: Settings | None = None) -> Connection:
    """Connect by ``settings``, else by those of this process. Raises SettingsError.

    Neither server is asked anything yet: the first request does.
    """
    from inkmill.backends.queue import Queue
    from inkmill.backends.store import open_store
    from inkmill.settings import Settings

    settings = settings or Settings.load()
    return Connection(settings, open_store(settings), Queue(settings))
