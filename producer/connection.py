"""The connection that every function of the producer uses: settings, store and queue."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inkmill.backends.ttl_cache import TTLCache
from inkmill.errors import InkmillError
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.model_choice import latest_version

if TYPE_CHECKING:
    from inkmill.backends.queue import Queue
    from inkmill.backends.store import S3Store, Store
    from inkmill.records.jobs import Job
    from inkmill.settings import Settings

log = logging.getLogger(__name__)

#: For programs that submit many small jobs and wait for each (seconds).
_TTL_SECONDS = 1.0
#: How fast engines read changes rarely (seconds).
_SPEED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A store and a queue, for programs that make many calls: create one and reuse it.

    It caches, for at most a second, the ``latest`` version of a model and the records of ``jobs``;
    for half a minute, the ``speeds`` of engines.
    """

    settings: Settings
    store: Store
    queue: Queue
    latest: TTLCache[str] = field(init=False, repr=False, compare=False)
    jobs: TTLCache[Job] = field(init=False, repr=False, compare=False)
    speeds: TTLCache[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        latest = TTLCache(_TTL_SECONDS, lambda name: latest_version(self.store, name))
        jobs = TTLCache(_TTL_SECONDS, lambda job: load_job(self.store, job))
        object.__setattr__(self, "latest", latest)
        object.__setattr__(self, "jobs", jobs)
        object.__setattr__(self, "speeds", TTLCache(_SPEED_SECONDS, self._speed))

    def _speed(self, kind: str) -> float:
        """Items per second that an engine reads of a kind of work; 0 where nobody can say: chunks
        then have their usual size."""
        try:
            return self.queue.speed(kind)
        except InkmillError as error:
            log.debug("the size of chunks is the usual one: %s", error)
            return 0.0

    def bucket(self, name: str) -> S3Store:
        """A bucket of the user, opened with the same credentials."""
        from inkmill.backends.store import S3Store, s3_client

        if isinstance(self.store, S3Store):
            return S3Store(self.store.client, name)
        return S3Store(s3_client(self.settings), name)


def connect(settings: Settings | None = None) -> Connection:
    """Connect to the store and the queue. No request is made before the first call.

    Args:
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.

    Returns:
        A `Connection`, to pass to the other functions.

    Raises:
        SettingsError: A setting is wrong.

    Example:
        connection = connect()
        for folder in ("monday", "tuesday"):
            submit(folder, form="tally.yaml", connection=connection)
    """
    from inkmill.backends.queue import Queue
    from inkmill.backends.store import open_store
    from inkmill.settings import Settings

    settings = settings or Settings.load()
    return Connection(settings, open_store(settings), Queue(settings))
