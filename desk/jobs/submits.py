"""What was handed in at the desk and is not a job yet: a record and the dropped files.

Both are in the bucket, so that any server can take them up where another one died. The record's
states: ``open`` while files come, ``running`` while a server submits (it renews ``beat``), then
``done`` with the job's label, or ``failed`` with the reason. A record whose server fell silent can
be claimed by another one; submitting under the same job name again stores nothing twice.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote, unquote

from inkmill import names
from inkmill.backends.store import Store, delete_prefix
from inkmill.errors import Corrupt, NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import (
    ItemCount,
    Length,
    NameOrEmpty,
    Text,
    Timestamp,
    Within,
    one_of,
)

OPEN, RUNNING, DONE, FAILED = "open", "running", "done", "failed"
_SCHEMA = 1
#: A server that submits renews its beat more often than this; else it died (seconds).
SILENT_SECONDS = 60.0
#: What was handed in and not submitted, and records of what was, are kept this long (seconds).
_KEPT_SECONDS = 3 * 24 * 3600.0
#: Characters of all templates of a submit together, and of each table.
MOST_TEMPLATES = 4 * 2**20
_MOST_NAME = 1000
#: Metadata of a dropped file: its name, percent-encoded; its size where it was too large to keep.
_NAME, _TOO_LARGE = "name", "too-large"


#: A file of the form for a new job: its name and its content.
File = tuple[NameOrEmpty, Annotated[str, Length(0, MOST_TEMPLATES)]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that were chosen.

    ``templates`` are YAML; ``expect`` (sources that must be there) and ``keys`` (of documents) are
    the tables that `inkmill submit` takes.
    """

    name: NameOrEmpty = ""
    templates: Annotated[tuple[File, ...], Length(0, 500)] = ()
    expect: File | None = None
    keys: File | None = None
    priority: Annotated[str, one_of(names.PRIORITIES)] = "normal"
    model: Annotated[str, Length(1, 80)] = "pinned"
    doubles: Annotated[str, Length(1, 20)] = "hold"
    retention_days: Annotated[int, Within(-1, 36500)] = -1
    new_revision: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """One submit at the desk; ``source`` is a folder or prefix, "" for dropped files."""

    id: Annotated[str, Length(16, 16)]
    person: NameOrEmpty
    created: Timestamp
    state: Annotated[str, one_of((OPEN, RUNNING, DONE, FAILED))] = OPEN
    beat: Timestamp = 0.0
    source: Text = ""
    choice: Choice = Choice()
    items: ItemCount = 0
    job: NameOrEmpty = ""
    message: Text = ""
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    @property
    def interrupted(self) -> bool:
        """Whether the server that submitted this fell silent."""
        return self.state == RUNNING and time.time() - self.beat > SILENT_SECONDS


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file as it was dropped; ``too_large`` is its size in bytes if it was not kept for that."""

    name: str
    data: bytes
    too_large: int = 0


class Submits:
    """The submits of a bucket. Every method may raise Unreachable or StoreDenied."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, person: str) -> Submit:
        """A new, open one."""
        made = Submit(secrets.token_hex(8), person, time.time())
        self._store.put(names.desk_submit_record(made.id), _encode(made), if_none_match=True)
        return made

    def get(self, submit: str) -> tuple[Submit, str]:
        """A submit and its etag. Raises NotFound, Corrupt, or UsageError for an absurd id."""
        key = names.desk_submit_record(submit)
        try:
            stored = self._store.get(key)
        except NotFound:
            raise NotFound(
                "there is no such submit: it is a job by now, or was thrown away; see the jobs"
            ) from None
        return codec.decode(Submit, stored.data, key, schema=_SCHEMA), stored.etag

    def change(self, submit: Submit, etag: str, **changes: object) -> tuple[Submit, str]:
        """Write a submit as changed. Raises PreconditionFailed where somebody else changed it."""
        changed = replace(submit, **changes)  # type: ignore[arg-type]
        key = names.desk_submit_record(submit.id)
        return changed, self._store.put(key, _encode(changed), if_match=etag)

    def claim(self, submit: str, **changes: object) -> tuple[Submit, str]:
        """Take a submit in order to run it. Raises UsageError if somebody else has or did."""
        found, etag = self.get(submit)
        if found.state == DONE or (found.state == RUNNING and not found.interrupted):
            raise UsageError("this was handed in already: see the list of jobs")
        try:
            return self.change(found, etag, state=RUNNING, beat=time.time(), message="", **changes)
        except PreconditionFailed:
            raise UsageError("somebody else handed this in at the same moment") from None

    def unfinished(self) -> list[Submit]:
        """Those that are no jobs yet, the newest first; very old ones are thrown away."""
        found = []
        for folder in self._store.folders(names.desk_submits()):
            submit = folder.removeprefix(names.desk_submits()).rstrip("/")
            try:
                each, _ = self.get(submit)
            except (NotFound, Corrupt, UsageError):
                continue
            if time.time() - max(each.created, each.beat) > _KEPT_SECONDS:
                self.discard(submit)
            elif each.state != DONE:
                found.append(each)
        return sorted(found, key=lambda each: -each.created)

    def discard(self, submit: str) -> None:
        """Throw a submit away, with its files."""
        delete_prefix(self._store, names.desk_submit(submit))

    def keep_file(self, submit: str, name: str, data: bytes, too_large: int = 0) -> None:
        """Store a dropped file; the same name again replaces it. Raises UsageError.

        ``too_large`` is the size of one that is not kept: its row will say so.
        """
        about = {_NAME: quote(check_file_name(name), safe="")}
        if too_large:
            about[_TOO_LARGE] = str(too_large)
        key = names.desk_submit_file(submit, hashlib.sha256(name.encode()).hexdigest())
        self._store.put(key, data, metadata=about)

    def count_files(self, submit: str) -> int:
        """How many files were dropped."""
        return sum(1 for _ in self._store.list(names.desk_submit_files(submit)))

    def files(self, submit: str) -> Iterator[Dropped]:
        """The dropped files."""
        for entry in self._store.list(names.desk_submit_files(submit)):
            stored = self._store.get(entry.key)
            about = stored.metadata
            name = check_file_name(unquote(about.get(_NAME, "")))
            yield Dropped(name, stored.data, int(about.get(_TOO_LARGE, "0")))

    def drop_files(self, submit: str) -> None:
        """Delete the dropped files, which are part of a job by now."""
        delete_prefix(self._store, names.desk_submit_files(submit))


def check_file_name(name: str) -> str:
    """Return the relative path under which a file was dropped. Raises UsageError."""
    parts = PurePosixPath(name).parts
    # Metadata of an object holds 2 kB, percent-encoded; a part of a path 255 bytes.
    fits = len(quote(name, safe="")) <= _MOST_NAME and all(
        len(part.encode()) <= 255 for part in parts
    )
    if not parts or not fits or not name.isprintable() or name.startswith("/") or ".." in parts:
        raise UsageError(f"{name[:80]!r} is not a file name that can be used: rename the file")
    return "/".join(parts)


def _encode(submit: Submit) -> bytes:
    return codec.encode(submit, "the submit")
