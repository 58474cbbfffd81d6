"""Which model versions serve here, and how a newly promoted one comes in.

The pointer is looked at by one conditional GET an interval. A new version is loaded and
checked in every engine beside the old one; only then do chunks use it. One that fails never
serves: the old one goes on, and the new one is tried again, each time after a longer while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

from inkmill.backends.store import Store
from inkmill.errors import InkmillError, ModelError, NotFound, StoreDenied, Unreachable
from inkmill.models.registry import Registry
from inkmill.records.jobs import FOLLOW, Job
from inkmill.settings import Settings
from inkmill.worker.link.task import ModelPayload
from inkmill.worker.pool.pool import EnginePool

log = logging.getLogger(__name__)

#: First and longest pause before a version that failed is tried again, in seconds.
_BACK_OFF = (10.0, 600.0)


class LiveModels:
    """The versions that this worker's engines may use."""

    def __init__(self, settings: Settings, store: Store, engines: EnginePool) -> None:
        self._settings = settings
        self._store = store
        self._engines = engines
        self._lock = threading.RLock()
        self._files: OrderedDict[tuple[str, str], ModelPayload] = OrderedDict()
        self._latest: dict[str, str] = {}
        self._etags: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._failed: dict[str, tuple[float, float, str]] = {}
        self._ready: set[str] = set()
        self.precision = ""

    def poll(self) -> None:
        """Look once whether another version was promoted, and take it in: of the configured model
        and of those that jobs followed here.

        Called each interval by the worker's housekeeping. Raises nothing: what fails is logged.
        """
        for name in dict.fromkeys((self._settings.model, *self._latest)):
            self._look(name)

    def _look(self, name: str) -> None:
        try:
            pointer = Registry(self._store, name).latest(self._etags.get(name))
        except NotFound:
            if name not in self._wanted:
                log.warning("no model named %s was published yet: inkmill models publish", name)
                self._wanted[name] = ""
            return
        except (Unreachable, StoreDenied, ModelError) as error:
            log.warning("the model's pointer cannot be read, the old version serves: %s", error)
            return
        if pointer is not None:
            self._etags[name] = pointer.etag
            self._wanted[name] = pointer.version
        wanted = self._wanted.get(name)
        if wanted and wanted != self._latest.get(name):
            self._promote(name, wanted)

    def _promote(self, name: str, version: str) -> None:
        try:
            self.ensure(name, version)
        except InkmillError as error:
            log.debug("version %s does not serve: %s", version[:12], error)
            return
        old = self._latest.get(name)
        self._latest[name] = version
        log.info(
            "model %s %s serves from now on (before: %s)",
            *(name, version[:12], old[:12] if old else "none"),
            extra={"model": version},
        )

    def version_for(self, job: Job) -> str:
        """The version that a chunk of this job uses: pinned, or the latest that serves.

        Raises ModelError where none serves yet.
        """
        if job.options.policy != FOLLOW:
            return job.version
        name = job.options.model
        if name not in self._latest and name != self._settings.model:
            pointer = Registry(self._store, name).current()
            if pointer is not None:
                self._promote(name, pointer.version)
        try:
            return self._latest[name]
        except KeyError:
            raise ModelError(f"no version of model {name} serves here yet") from None

    def ensure(self, name: str, version: str) -> None:
        """Make sure that the engines have a version that passed its check.

        Raises ModelError if it fails, at once while it is in its back-off.
        """
        if version in self._ready:
            return
        with self._lock:
            if version in self._ready:
                return
            again, pause, words = self._failed.get(version, (0.0, _BACK_OFF[0], ""))
            if time.monotonic() < again:
                raise ModelError(words)
            try:
                self.precision = self._engines.load(self.files(name, version))
            except (ModelError, NotFound) as error:
                words = f"model {name} {version[:12]} must not serve: {error}"
                self._failed[version] = (
                    time.monotonic() + pause,
                    min(2 * pause, _BACK_OFF[1]),
                    words,
                )
                log.error(
                    "%s; the versions that serve go on, next try in %.0f s",
                    *(words, pause),
                    extra={"model": version},
                )
                raise ModelError(words) from error
            self._failed.pop(version, None)
            self._ready.add(version)

    def files(self, name: str, version: str) -> ModelPayload:
        """A version's files: from memory, or from the store. Digests are checked.

        Raises NotFound, ModelError, Unreachable or StoreDenied.
        """
        with self._lock:
            found = self._files.get((name, version))
            if found is None:
                found = self._fetch(name, version)
                self._files[name, version] = found
                while len(self._files) > self._settings.models_kept:
                    self._files.popitem(last=False)
            self._files.move_to_end((name, version))
            return found

    def _fetch(self, name: str, version: str) -> ModelPayload:
        files = Registry(self._store, name).fetch(version)
        return ModelPayload(version, files.manifest.encode(), files.weights, files.golden)

    @property
    def latest(self) -> str:
        """The version of the configured model that serves now; "" for none."""
        return self._latest.get(self._settings.model, "")
