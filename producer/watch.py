"""Watching a folder or an S3 prefix: what lands there is submitted, each file once.

A batch of new files is first written down in the store, under a number that only one watcher
can claim; then it is submitted as a job whose name has that number, and marked as submitted.
Killed anywhere in between, the next start finds the batches that are not marked and submits them
again, which does nothing twice. Two watchers of one folder share the work in the same way. A
marked batch is never submitted again, whatever becomes of its job.

If files of an interrupted batch changed meanwhile, so that its job cannot be gone on with, the
whole batch becomes a revision of that job, which is then cancelled as far as it came.

A file counts as there when it kept its size and time of change for a while: no marker files
and no renaming are asked of those who copy. One that changes later is a new scan; an object in
S3 is there at once, and new when its ETag is. While the folder itself is gone (an unmounted
share), nothing is concluded from that.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from inkmill import names
from inkmill.errors import (
    JobBusy,
    JobMismatch,
    JobStopped,
    PreconditionFailed,
    StoreDenied,
    Unreachable,
    UsageError,
)
from inkmill.lifecycle.identity import read_name
from inkmill.lifecycle.lookup import find_record
from inkmill.lifecycle.reconcile import is_cancelled
from inkmill.producer.connection import Connection
from inkmill.producer.control import cancel
from inkmill.producer.inputs.sources import S3, STDIN, UNKNOWN, Found, Inputs
from inkmill.producer.submission.submission import Submission
from inkmill.producer.submission.submit import draft
from inkmill.records.jobs import HOLD, PINNED, Job

log = logging.getLogger(__name__)

#: Files of one batch at most: a folder that fills quickly becomes several jobs.
_BATCH = 10_000
#: Its jobs add "-000000" to it, and a revision "-r2"; ids of jobs have at most 80 characters.
_LONGEST_NAME = 70
_DEFAULTS = {
    **{"form": None, "forms": None, "model": PINNED, "priority": "normal"},
    **{"chunk_size": None, "retention_days": None, "doubles": HOLD},
}


@dataclass
class Batch:
    """Files that are submitted together: inputs of a job, to be gone through again and again."""

    found: Sequence[Found]
    passed_over: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Found]:
        return iter(self.found)


class Watch:
    """A watch of one place under one name; ``look`` is called again and again.

    ``settle`` is how long a file must keep its size before it counts as there (seconds).
    ``options`` are those of submit: form, forms, model, priority, chunk_size, retention_days,
    doubles.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        name: str,
        *,
        settle: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        **options: object,
    ) -> None:
        """Raises UsageError for a place that cannot be watched or options that are wrong."""
        if path == STDIN or not (path.startswith(S3) or os.path.isdir(path)):  # noqa: PTH112
            raise UsageError(f"{path}: watch a folder that exists, or s3://bucket/prefix/")
        self._connection = connection
        self._name = names.check_job(name)
        if len(name) > _LONGEST_NAME:
            raise UsageError(f"{name}: a watch's name has at most {_LONGEST_NAME} characters")
        self._settle = settle
        self._clock = clock
        self._given = path
        #: One spelling, wherever the watch is started: marks and batches are of whole paths.
        self._place = _whole(path)
        self._inputs = Inputs([self._place], connection.settings.input_buckets, connection.bucket)
        self._options = {**_DEFAULTS, **options}
        self._draft()
        self._waiting: dict[bytes, float] = {}
        self._done: set[bytes] = set()
        self._gone = False
        self._next = 0
        #: Batches that are claimed and not known to be submitted, by number.
        self._unfinished: dict[int, Batch] = {}

    def _draft(self) -> Job:
        return draft(self._connection, **self._options)  # type: ignore[arg-type]

    def look(self) -> str | None:
        """Look once; returns the job that was submitted, or None when nothing new is there.

        Raises Unreachable or StoreDenied; call again later, nothing is lost or done twice.
        """
        while self._is_there():
            self._catch_up()
            for number, batch in sorted(self._unfinished.items()):
                if job := self._submit(number, batch):
                    return job
            ready = self._ready()
            if not ready:
                return None
            # Lost to another watcher: the next turn learns what it took.
            with suppress(PreconditionFailed):
                self._claim(ready)
        self._waiting = {}  # what comes back settles anew
        return None

    def _is_there(self) -> bool:
        there = self._place.startswith(S3) or os.path.isdir(self._place)  # noqa: PTH112
        if not there and not self._gone:
            log.warning("%s is gone, perhaps unmounted: waited for", self._place)
        self._gone = not there
        return there

    def _catch_up(self) -> None:
        """Read the batches that this watcher does not know yet."""
        store = self._connection.store
        after = names.watch_batch(self._name, self._next - 1) if self._next else ""
        for entry in store.list(names.watch(self._name), after=after):
            record = json.loads(store.get(entry.key).data)
            self._done.update(bytes.fromhex(mark) for mark in record["marks"])
            number = names.number_of(entry.key)
            self._next = number + 1
            if not _is_submitted(record):
                self._unfinished[number] = Batch([Found(**each) for each in record["files"]])

    def _ready(self) -> list[Found]:
        """Files that nobody submitted and that have settled."""
        now, waiting, ready = self._clock(), dict[bytes, float](), list[Found]()
        for found in self._inputs:
            mark = _mark(found)
            if found.path == self._place or self._is_done(found, mark):
                continue  # the first: what cannot be read is the folder itself
            since = self._waiting.get(mark, now)
            if now - since >= self._settle or found.key:
                ready.append(found)
                if len(ready) == _BATCH:
                    break
            else:
                waiting[mark] = since
        self._waiting = waiting
        # Had the folder gone meanwhile, its files would be missing.
        return ready if ready and self._is_there() else []

    def _is_done(self, found: Found, mark: bytes) -> bool:
        if mark in self._done:
            return True
        # Early versions took paths as they were given, and objects without their ETag.
        if found.key:
            return _mark(replace(found, changed=UNKNOWN)) in self._done
        given = self._given.rstrip("/") + found.path.removeprefix(self._place.rstrip("/"))
        return _mark(replace(found, path=given)) in self._done

    def _claim(self, ready: Sequence[Found]) -> None:
        files = [
            {name: getattr(found, name) for name in ("source", "path", "key", "size")}
            for found in ready
        ]
        marks = [_mark(found).hex() for found in ready]
        record = {"submitted": False, "marks": marks, "files": files}
        key = names.watch_batch(self._name, self._next)
        self._connection.store.put(key, json.dumps(record).encode(), if_none_match=True)

    def _submit(self, number: int, batch: Batch) -> str | None:
        """Submit a batch; returns the job, or None if others did or do, or nobody wants it."""
        key = names.watch_batch(self._name, number)
        stored = self._connection.store.get(key)
        record = json.loads(stored.data)
        job = None
        try:
            if not _is_submitted(record):
                job = self._submitted(f"{self._name}-{number:06d}", batch)
        except JobBusy as error:
            log.info("%s", error)
            return None  # should the other be killed, the next look goes on with it
        except JobStopped as error:
            log.warning("%s", error)
        try:
            if not _is_submitted(record):
                self._mark(key, record, stored.etag)
        except (Unreachable, StoreDenied) as error:
            if job is None:
                raise
            log.warning("%s is marked at the next look: %s", key, error)
            return job
        del self._unfinished[number]
        return job

    def _mark(self, key: str, record: dict[str, Any], etag: str) -> None:
        """The batch is submitted; the files' names were for submitting them only."""
        marked = json.dumps({"submitted": True, "marks": record["marks"]}).encode()
        with suppress(PreconditionFailed):  # another watcher marked it
            self._connection.store.put(key, marked, if_match=etag)

    def _submitted(self, name: str, batch: Batch) -> str | None:
        """The job of a batch, or None where it was submitted or cancelled before."""
        store = self._connection.store
        revisions = read_name(store, name).revisions
        job = None
        if not revisions or not self._is_closed(revisions[max(revisions)]):
            job = self._named(name, batch, new_revision=len(revisions) > 1)
            log.info("%d files submitted", len(batch.found), extra={"job": job})
            revisions = read_name(store, name).revisions
        for earlier in sorted(revisions)[:-1]:
            self._close(revisions[earlier])
        return job

    def _named(self, name: str, batch: Batch, new_revision: bool) -> str:
        submission = Submission(self._connection, batch, self._draft(), None, lambda _: None)
        try:
            return submission.named(name, new_revision)
        except JobMismatch as error:
            revisions = read_name(self._connection.store, name).revisions
            if new_revision or self._is_closed(revisions.get(1, "")):  # by others, just now
                raise JobBusy(str(error)) from error
            log.warning("%s files of a batch are submitted anew: %s", len(batch.found), error)
            return self._named(name, batch, new_revision=True)

    def _is_closed(self, job: str) -> bool:
        """Whether nothing is to be uploaded to a job any more."""
        record = find_record(self._connection.store, job) if job else None
        return record is not None and (record.sealed or is_cancelled(self._connection.store, job))

    def _close(self, job: str) -> None:
        """Cancel what an interrupted submit left open, once another job has all of its files."""
        store = self._connection.store
        record = find_record(store, job)
        if record is not None and (not record.sealed or is_cancelled(store, job)):
            cancel(job, connection=self._connection)


def _is_submitted(record: dict[str, Any]) -> bool:
    """Batches that do not say it are of a version that did not mark them."""
    return bool(record.get("submitted", True))


def _mark(found: Found) -> bytes:
    """Eight bytes that stand for this state of a file: where, how large, when changed."""
    text = f"{found.key or found.path}\n{found.size}\n{found.changed}"
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _whole(path: str) -> str:
    return path if path.startswith(S3) else os.path.abspath(path)  # noqa: PTH100


def default_name(path: str) -> str:
    """A name for the watch of a place, the same at each start: its last part and a digest."""
    place = _whole(path)
    last = "".join(c if c.isalnum() else "-" for c in place.rstrip("/").rpartition("/")[2].lower())
    digest = blake2b(place.encode("utf-8", "surrogateescape"), digest_size=3).hexdigest()
    return f"{last.encode('ascii', 'ignore').decode().strip('-')[:40] or 'watch'}-{digest}"


def watch(
    watched: Watch, interval: float, stop: Callable[[], bool], submitted: Callable[[str], None]
) -> None:
    """Look again and again until ``stop``; an outage of the servers is waited out."""
    due = 0.0
    while not stop():
        if time.monotonic() < due:
            time.sleep(0.1)
            continue
        due = time.monotonic() + interval
        try:
            while (job := watched.look()) is not None:
                submitted(job)
        except (Unreachable, StoreDenied) as error:
            log.warning("%s; tried again in %.0f s", error, interval)
