"""What a worker works with, and how it waits for servers that are away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from inkmill.backends.queue import Queue
from inkmill.backends.store import Store
from inkmill.backends.ttl_cache import TTLCache
from inkmill.errors import ShuttingDown, StoreDenied, Unreachable
from inkmill.lifecycle.lookup import read_record
from inkmill.records.jobs import Job
from inkmill.settings import Settings
from inkmill.worker.chunk import isolation
from inkmill.worker.chunk.images import Images
from inkmill.worker.chunk.markers import Markers
from inkmill.worker.live_models import LiveModels
from inkmill.worker.pool.pool import EnginePool

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Pauses while the store or Redis is away: from the first, doubling, to the longest (seconds).
_PAUSE = (0.5, 15.0)
#: What a worker knows of a job is at most so old (seconds).
_TTL_SECONDS = 2.0


@dataclass(frozen=True)
class Context:
    """What a worker works with: the store, the queue, the engines and their models."""

    settings: Settings
    store: Store
    queue: Queue
    engines: EnginePool
    models: LiveModels
    images: Images
    name: str = "worker"
    stopping: threading.Event = field(default_factory=threading.Event)
    solitude: isolation.Solitude = field(default_factory=isolation.Solitude)

    @cached_property
    def jobs(self) -> TTLCache[Job]:
        """Records of jobs. An old one does no harm: each write looks at the record itself."""
        return TTLCache(_TTL_SECONDS, lambda job: read_record(self.store, job))

    @cached_property
    def markers(self) -> Markers:
        """Open markers that are to go."""
        return Markers(self.store)


def patiently(context: Context, step: Callable[[], T]) -> T:
    """Do a step that needs the store or Redis, and wait while they are away.

    The message stays ours meanwhile: an outage costs time and counts against no chunk.
    """
    pause = _PAUSE[0]
    while True:
        if context.stopping.is_set():
            raise ShuttingDown("the worker is stopping")
        try:
            return step()
        except (Unreachable, StoreDenied) as error:
            log.warning("%s; next try in %.1f s", error, pause)
            context.stopping.wait(pause)
            pause = min(2 * pause, _PAUSE[1])
