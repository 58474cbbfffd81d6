"""A training that was asked for at the desk: a record in the bucket.

States: ``asked``, then ``running`` while a trainer is at it (it renews ``beat``), then ``done``
with a version and its figures, ``failed`` with the reason, or ``stopped`` by a person. A record
whose trainer fell silent can be claimed by another one, which begins again.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import (
    DigestOrEmpty,
    ItemCount,
    Length,
    Name,
    NameOrEmpty,
    Text,
    Timestamp,
    Within,
    one_of,
)

log = logging.getLogger(__name__)

ASKED, RUNNING, DONE, FAILED, STOPPED = STATES = ("asked", "running", "done", "failed", "stopped")
_SCHEMA = 1
#: A trainer at work renews its beat more often than this; else it died (seconds).
SILENT_SECONDS = 60.0
#: Characters of a trainer's last lines that a record keeps, and of a reason.
MOST_LOG = 4_000
_SHARE = Within(-1, 1)


@dataclass(frozen=True, slots=True)
class SetFigures:
    """Shares read correctly of one test set; ``old`` is -1 where the old model lacks a class."""

    name: Name
    samples: ItemCount
    old: Annotated[float, _SHARE]
    new: Annotated[float, _SHARE]

    @property
    def worse(self) -> float:
        """By how much the new model is worse; 0 where that is not known."""
        return max(0.0, self.old - self.new) if self.old >= 0 else 0.0


@dataclass(frozen=True, slots=True)
class PagesAgain:
    """What changed when pages of the job were read by the new model (`inkmill compare`).

    ``accepted`` counts fields accepted with the old model; ``changed`` of them have another
    accepted value now, ``doubted`` are in review; ``gained`` were in review and are accepted now.
    """

    revision: Name
    pages: ItemCount
    accepted: ItemCount
    changed: ItemCount
    doubted: ItemCount
    gained: ItemCount


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    ``fields`` on ``pages`` were the training set; ``version`` of the model ``model`` is stored and
    not served; ``replaces`` is the version it was compared with, "" if none was served. ``missing``
    says why pages were not read again.
    """

    fields: ItemCount
    pages: ItemCount
    model: Name
    version: DigestOrEmpty
    replaces: DigestOrEmpty = ""
    sets: Annotated[tuple[SetFigures, ...], Length(0, 200)] = ()
    again: PagesAgain | None = None
    missing: Text = ""

    def encode(self) -> bytes:
        """As JSON, on one line."""
        return codec.encode(self, "what a training came to")

    @classmethod
    def decode(cls, data: bytes) -> Outcome:
        """From JSON. Raises Corrupt."""
        return codec.decode(cls, data, "what a training came to")


@dataclass(frozen=True, slots=True)
class Training:
    """One training; ``count`` fields had been entered when ``person`` asked for it."""

    id: Annotated[str, Length(22, 22)]
    job: Name
    label: Name
    person: Name
    created: Timestamp
    count: ItemCount
    state: Annotated[str, one_of(STATES)] = ASKED
    beat: Timestamp = 0.0
    trainer: NameOrEmpty = ""
    log: Annotated[str, Length(0, MOST_LOG)] = ""
    message: Annotated[str, Length(0, MOST_LOG)] = ""
    outcome: Outcome | None = None
    promoted_by: NameOrEmpty = ""
    promoted: Timestamp = 0.0
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    @property
    def interrupted(self) -> bool:
        """Whether the trainer that was at it fell silent."""
        return self.state == RUNNING and time.time() - self.beat > SILENT_SECONDS

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in (ASKED, RUNNING)


class Trainings:
    """The trainings of a bucket. Every method may raise Unreachable or StoreDenied."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._over: set[str] = set()

    def ask(self, *, job: str, label: str, person: str, count: int) -> Training:
        """A new one. Raises UsageError while one of the same job is open."""
        if any(each.job == job and each.open for each in self.all()):
            raise UsageError(f"a training with the corrections of {label} is under way already")
        now = time.time()
        name = f"{int(now * 1000):013d}-{secrets.token_hex(4)}"
        made = Training(name, job, label, person, now, count)
        self._store.put(names.desk_training(made.id), _encode(made), if_none_match=True)
        return made

    def get(self, training: str) -> tuple[Training, str]:
        """A training and its etag. Raises NotFound, Corrupt, or UsageError for an absurd id."""
        key = names.desk_training(training)
        try:
            stored = self._store.get(key)
        except NotFound:
            raise NotFound("there is no such training: see the list of models") from None
        return codec.decode(Training, stored.data, key, schema=_SCHEMA), stored.etag

    def all(self, most: int = 100) -> Sequence[Training]:
        """The last ``most``, the newest first; records that cannot be read are left out."""
        keys = [entry.key for entry in self._store.list(names.desk_trainings())]
        found = []
        for key in reversed(keys[-most:]):
            try:
                found.append(self.get(names.desk_training_of(key))[0])
            except (NotFound, Corrupt, UsageError):
                continue
        return found

    def change(self, training: Training, etag: str, **changes: object) -> tuple[Training, str]:
        """Write a training as changed. Raises PreconditionFailed where somebody else changed it."""
        changed = replace(training, **changes)  # type: ignore[arg-type]
        key = names.desk_training(training.id)
        return changed, self._store.put(key, _encode(changed), if_match=etag)

    def claim(self, trainer: str) -> tuple[Training, str] | None:
        """Take the oldest training that waits, or whose trainer fell silent; None without one."""
        for entry in self._store.list(names.desk_trainings()):
            name = names.desk_training_of(entry.key)
            if name in self._over:
                continue
            try:
                found, etag = self.get(name)
                if found.state == ASKED or found.interrupted:
                    return self.change(
                        found, etag, state=RUNNING, beat=time.time(), trainer=trainer, log=""
                    )
            except (PreconditionFailed, NotFound):
                continue  # another trainer was quicker
            except (Corrupt, UsageError) as error:
                log.warning("skipped a training: %s", error)
            else:
                if found.open:
                    continue
            self._over.add(name)  # it will never be to do again: not read a second time
        return None

    def stop(self, training: str) -> Training:
        """End a training; its trainer notices within seconds. Raises UsageError if it is over."""
        while True:
            found, etag = self.get(training)
            if not found.open:
                raise UsageError(f"this training is over already: it is {found.state}")
            try:
                return self.change(found, etag, state=STOPPED, beat=time.time())[0]
            except PreconditionFailed:
                continue  # its trainer renewed its beat meanwhile


def _encode(training: Training) -> bytes:
    return codec.encode(training, "the training")
