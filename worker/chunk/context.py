"""What a worker needs for every chunk: settings, store, queue, engines, caches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from inkmill.backends.queue import Queue
from inkmill.backends.store import Store
from inkmill.backends.ttl_cache import TTLCache
from inkmill.lifecycle.lookup import read_record
from inkmill.records.jobs import Job
from inkmill.settings import Settings
from inkmill.traces import Traces, traces_of
from inkmill.worker.chunk.images import Images
from inkmill.worker.chunk.isolation import IsolationLock
from inkmill.worker.chunk.markers import OpenMarkers
from inkmill.worker.live_models import LiveModels
from inkmill.worker.patience import Patience, PatientQueue, PatientStore
from inkmill.worker.pool import EnginePool
from inkmill.worker.speed import EngineSpeeds

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

#: A job's record may be this old (seconds) before it is read again.
_TTL_SECONDS = 2.0


@dataclass(frozen=True)
class Context:
    """The store and the queue, which wait while they are away, the engines and their models.

    ``stopping`` is set when the drain deadline has passed: whoever waits then gives up.
    """

    settings: Settings
    stopping: threading.Event
    store: PatientStore
    queue: PatientQueue
    pool: EnginePool
    models: LiveModels
    images: Images
    name: str = "worker"
    isolation: IsolationLock = field(default_factory=IsolationLock)
    speeds: EngineSpeeds = field(default_factory=EngineSpeeds)
    traces: Traces | None = None
    #: Called with a job whose notice was just written.
    tell: Callable[[str], None] = lambda _: None

    @classmethod
    def of(
        cls,
        settings: Settings,
        store: Store,
        queue: Queue,
        pool: EnginePool,
        client: S3Client | None = None,
        name: str = "worker",
        tell: Callable[[str], None] = lambda _: None,
    ) -> Context:
        """A worker's context with this store, queue and engine pool.

        ``client`` reads buckets of the user's own. ``tell`` is called with the id of each job whose
        notice was just written.
        """
        stopping = threading.Event()
        patient = PatientStore(store, Patience(stopping, "store"))
        return cls(
            settings=settings,
            stopping=stopping,
            store=patient,
            queue=PatientQueue(queue, Patience(stopping, "redis")),
            pool=pool,
            models=LiveModels(settings, patient, pool),
            images=Images(settings, patient, client),
            traces=traces_of(settings),
            name=name,
            tell=tell,
        )

    @cached_property
    def jobs(self) -> TTLCache[Job]:
        """Records of jobs. An old one does no harm: each write looks at the record itself."""
        return TTLCache(_TTL_SECONDS, lambda job: read_record(self.store, job))

    @cached_property
    def markers(self) -> OpenMarkers:
        """Open markers of finished jobs, to be deleted."""
        return OpenMarkers(self.store.plain)
