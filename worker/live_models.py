"""Which model versions serve here, and how a newly promoted one is taken into use.

The pointer to the latest version is read by one conditional GET an interval. A new version is
loaded and checked in every engine beside the old one; only then do chunks use it. A version that
fails never serves: the old one goes on, and the new one is tried again after longer and longer
pauses.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from inkmill.backends import model_index
from inkmill.backends.store import Store
from inkmill.errors import (
    InkmillError,
    ModelError,
    NotFound,
    ShuttingDown,
    StoreDenied,
    Unreachable,
)
from inkmill.models.registry import Registry
from inkmill.records.jobs import Job
from inkmill.settings import Settings
from inkmill.worker import metrics
from inkmill.worker.link import DIGITS, STRIPS, ModelPayload
from inkmill.worker.patience import PatientStore
from inkmill.worker.pool import EnginePool

log = logging.getLogger(__name__)

#: First and longest pause before a version that failed is tried again (seconds).
_BACK_OFF = (10.0, 600.0)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A version that must not serve: when it is tried again, the pause after that, and why."""

    again: float
    pause: float
    words: str


class LiveModels:
    """The versions that this worker's engines may use."""

    def __init__(self, settings: Settings, store: PatientStore, pool: EnginePool) -> None:
        self._settings = settings
        self._store = store
        self._pool = pool
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._payloads: OrderedDict[tuple[str, str], ModelPayload] = OrderedDict()
        self._latest: dict[str, str] = {}
        self._etags: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._failed: dict[str, _Failure] = {}
        self._ready: set[str] = set()

    def poll(self) -> None:
        """Look once whether another version was promoted, and load it: of the configured model and
        of those that jobs followed here.

        Called each interval by the worker's housekeeping, so it does not wait for a store that is
        away. Raises nothing but ShuttingDown: what fails is logged.
        """
        for name in dict.fromkeys((self._settings.model, *self._latest)):
            self._look(name)

    def _look(self, name: str) -> None:
        try:
            etag = self._etags.get(name)
            pointer = model_index.latest_if_changed(self._store.plain, name, etag)
        except NotFound:
            if name not in self._wanted:
                log.warning("no model named %s was published yet: inkmill models publish", name)
                self._wanted[name] = ""
            return
        except (Unreachable, StoreDenied, ModelError) as error:
            log.warning(
                "the model's pointer cannot be read, the old version still serves: %s", error
            )
            return
        if pointer is not None:
            self._etags[name] = pointer.etag
            self._wanted[name] = pointer.version
        wanted = self._wanted.get(name)
        if wanted and wanted != self._latest.get(name):
            self._promote(name, wanted, self._store.plain)

    def _promote(self, name: str, version: str, store: Store) -> None:
        try:
            self._ensure(name, version, store)
        except ShuttingDown:
            raise
        except InkmillError as error:
            log.debug("version %s does not serve: %s", version[:12], error)
            return
        old = self._latest.get(name)
        self._latest[name] = version
        metrics.use_model(name, version[:12], old[:12] if old else "")
        log.info(
            "model %s %s is now in use (before: %s)",
            name,
            version[:12],
            old[:12] if old else "none",
            extra={"model": version},
        )

    def version_for(self, job: Job) -> str:
        """The version that a chunk of this job uses: pinned, or the latest that serves.

        Raises ModelError where none serves yet, and ShuttingDown.
        """
        return self._version_for(job.options.model, job.version)

    def strips_version_for(self, job: Job) -> str:
        """The version that reads numbers without cells; "" for a job whose forms have none.

        Raises as `version_for` does.
        """
        return self._version_for(job.strips_model, job.strips_version) if job.strips_model else ""

    def _version_for(self, name: str, pinned: str) -> str:
        if pinned:
            return pinned
        if name not in self._latest and name != self._settings.model:
            pointer = Registry(self._store, name).current()
            if pointer is not None:
                self._promote(name, pointer.version, self._store)
        try:
            return self._latest[name]
        except KeyError:
            raise ModelError(f"no version of model {name} serves here yet") from None

    def ensure(self, name: str, version: str) -> None:
        """Make sure that the engines have a version that passed its check.

        Waits while the store is away. Raises ModelError if the version fails, at once while it is
        in its back-off, and ShuttingDown.
        """
        self._ensure(name, version, self._store)

    def _ensure(self, name: str, version: str, store: Store) -> None:
        if version in self._ready:
            return
        self._refuse_in_back_off(version)
        try:
            # Fetched before the lock is taken: who waits for the store holds up nobody else.
            payload = self._payload(name, version, store)
        except (ModelError, NotFound) as error:
            raise self._back_off(name, version, error) from error
        with self._loading:
            if version in self._ready:
                return
            self._refuse_in_back_off(version)
            try:
                self._pool.load(payload)
            except ModelError as error:
                raise self._back_off(name, version, error) from error
            self._failed.pop(version, None)
            self._ready.add(version)

    def _refuse_in_back_off(self, version: str) -> None:
        failure = self._failed.get(version)
        if failure is not None and time.monotonic() < failure.again:
            raise ModelError(failure.words)

    def _back_off(self, name: str, version: str, error: InkmillError) -> ModelError:
        """Note that a version failed; returns the error to be raised."""
        words = f"model {name} {version[:12]} must not serve: {error}"
        now = time.monotonic()
        with self._lock:
            before = self._failed.get(version)
            if before is not None and now < before.again:  # another thread was first
                return ModelError(before.words)
            pause = before.pause if before is not None else _BACK_OFF[0]
            self._failed[version] = _Failure(
                again=now + pause, pause=min(2 * pause, _BACK_OFF[1]), words=words
            )
        log.error(
            "%s; the versions in use continue to serve, next try in %.0f s",
            words,
            pause,
            extra={"model": version},
        )
        return ModelError(words)

    def payload(self, name: str, version: str) -> ModelPayload:
        """A version's files: from memory, or from the store. Digests are checked.

        Waits while the store is away. Raises NotFound, ModelError or ShuttingDown.
        """
        return self._payload(name, version, self._store)

    def _payload(self, name: str, version: str, store: Store) -> ModelPayload:
        with self._lock:
            found = self._payloads.get((name, version))
        if found is None:
            files = Registry(store, name).fetch(version)
            kind = STRIPS if files.manifest.reads_strips else DIGITS
            found = ModelPayload(
                version, files.manifest.encode(), files.weights, files.golden, kind
            )
        with self._lock:
            self._payloads[name, version] = found
            self._payloads.move_to_end((name, version))
            alike = [key for key, each in self._payloads.items() if each.kind == found.kind]
            for key in alike[: -self._settings.models_kept]:
                del self._payloads[key]
        return found

    @property
    def latest(self) -> str:
        """The version of the configured model that serves now; "" for none."""
        return self._latest.get(self._settings.model, "")
