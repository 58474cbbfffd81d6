"""A watcher: it finds files that have settled, and submits them in batches.

A file counts as complete once its size and modification time stay the same for a while and it has
its end, so those who copy need no marker files and no renaming. A file that changes later is a new
scan; an object in S3 is complete at once, and new when its ETag is. While the folder itself is
gone (an unmounted share), no file counts as missing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Unpack

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
from inkmill.producer.inputs.document_keys import Keys, read_keys
from inkmill.producer.inputs.expect import absence, read_list
from inkmill.producer.inputs.sources import STDIN, Found, Inputs
from inkmill.producer.submission.options import SubmitOptions, complete
from inkmill.producer.submission.submission import Submission
from inkmill.producer.submission.submit import draft, is_any_size
from inkmill.producer.watch.arrivals import Arrivals
from inkmill.producer.watch.batches import (
    BatchInputs,
    WatchBatch,
    absent,
    mark,
    source_digest,
)
from inkmill.producer.watch.places import default_name, whole
from inkmill.records.image_ref import S3_PREFIX
from inkmill.records.jobs import Job

log = logging.getLogger(__name__)

#: Files of one batch at most: a folder that fills quickly becomes several jobs.
_BATCH = 10_000
#: Its jobs append "-000000", and a revision "-r2"; job names have at most 80 characters.
_LONGEST_NAME = 70
#: A copy over a slow network may pause for minutes; scanners and mail gateways are faster.
PATIENCE = 600.0


class Watch:
    """A watch of one place; call `look` again and again.

    It takes the options of a submit (`SubmitOptions`) and applies them to each batch:

    - ``name`` is the watch's name, by default made from the place; jobs are NAME-000000,
      NAME-000001 ...
    - ``keys`` is read again for each batch, so that the table may grow with the scans.
    - ``expect`` is read again at each use. `absent` tells which sources have not come yet; with
      ``once``, each of them gets a row with MISSING, the first time that it is absent.
    - ``new_revision`` says what happens if another job has the name of a batch's job: the batch
      becomes a revision of it. Without, it counts as submitted.
    - ``rehash`` changes nothing: a watch reads every file.

    Args:
        connection: The servers.
        path: A folder, or ``s3://bucket/prefix/``.
        settle: Seconds for which a file must stay the same before it counts as complete.
        patience: Seconds for which a file whose end is missing must stay the same, in addition,
            before it is submitted as it is.
        once: Whether all files that are there count as complete, and no more will come.
        clock: Seconds, for tests.

    Raises:
        UsageError: The place cannot be watched, or an option is wrong.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        *,
        settle: float = 5.0,
        patience: float = PATIENCE,
        once: bool = False,
        clock: Callable[[], float] = time.monotonic,
        **options: Unpack[SubmitOptions],
    ) -> None:
        if path == STDIN or not (path.startswith(S3_PREFIX) or os.path.isdir(path)):  # noqa: PTH112
            raise UsageError(f"{path}: give a folder that exists, or s3://bucket/prefix/")
        self._options = complete(options)
        self.name = names.check_job(self._options["name"] or default_name(path))
        if len(self.name) > _LONGEST_NAME:
            raise UsageError(f"{self.name}: at most {_LONGEST_NAME} characters for a watch's name")
        self._connection = connection
        self._arrivals = Arrivals(*((0.0, 0.0) if once else (settle, patience)), clock)
        self._once = once
        self._place = whole(path)
        self._inputs = Inputs(
            [self._place],
            connection.settings.input_buckets,
            connection.bucket,
            follow_symlinks=self._options["follow_symlinks"],
        )
        draft(connection, self._options)
        self._keys()
        self._expected()
        self._done: set[bytes] = set()
        #: Sources that came, as digests.
        self._came: set[bytes] = set()
        self._gone = False
        self._next = 0
        #: Batches that are claimed and not known to be submitted, by number.
        self._unfinished: dict[int, WatchBatch] = {}

    def _keys(self) -> Keys | None:
        path = self._options["keys"]
        return read_keys(Path(path)) if path is not None else None

    def _expected(self) -> list[str]:
        path = self._options["expect"]
        return read_list(Path(path)) if path is not None else []

    def absent(self) -> list[str]:
        """Expected sources that no look has seen yet. Raises UsageError if the list is wrong."""
        return [source for source in self._expected() if source_digest(source) not in self._came]

    def look(self) -> str | None:
        """Look once; returns the job that was submitted, or None if there is nothing new.

        Raises Unreachable, StoreDenied, or UsageError if a table has become wrong. Call again
        later: nothing is lost or done twice.
        """
        while self._is_there():
            self._catch_up()
            for number in sorted(self._unfinished):
                if job := self._submit(number):
                    return job
            ready = self._ready()
            if not ready:
                return None
            # Another watcher was faster: the next turn reads what it claimed.
            with suppress(PreconditionFailed):
                self._claim(ready)
        self._arrivals.forget()
        return None

    def _is_there(self) -> bool:
        there = self._place.startswith(S3_PREFIX) or os.path.isdir(self._place)  # noqa: PTH112
        if not there and not self._gone:
            log.warning("%s has disappeared, perhaps unmounted: waiting for it", self._place)
        self._gone = not there
        return there

    def _catch_up(self) -> None:
        """Read the batches that this watcher does not know yet."""
        store = self._connection.store
        after = names.watch_batch(self.name, self._next - 1) if self._next else ""
        for entry in store.list(names.watch(self.name), after=after):
            batch = WatchBatch.decode(store.get(entry.key).data)
            self._done.update(map(bytes.fromhex, batch.marks))
            self._saw(map(bytes.fromhex, batch.sources))
            number = names.number_of(entry.key)
            self._next = number + 1
            if not batch.submitted:
                self._unfinished[number] = batch

    def _ready(self) -> list[Found]:
        """Files that nobody submitted and that have settled; with ``once``, also absent sources."""
        ready = list[Found]()
        self._arrivals.begin()
        for found in self._inputs:
            if found.path == self._place:  # the folder itself cannot be read
                return []
            self._saw([source_digest(found.source)])
            state = mark(found)
            if state in self._done:
                continue
            if self._arrivals.has_come(found, state):
                ready.append(found)
                if len(ready) == _BATCH:
                    break
        self._arrivals.end()
        if self._once and len(ready) < _BATCH:
            ready += self._missing()[: _BATCH - len(ready)]
        # If the folder disappeared meanwhile, its files would be missing.
        return ready if ready and self._is_there() else []

    def _missing(self) -> list[Found]:
        """Expected sources that are absent for the first time."""
        problem = absence(str(self._options["expect"]))
        missing = (absent(source, problem) for source in self.absent())
        return [found for found in missing if mark(found) not in self._done]

    def _saw(self, sources: Iterable[bytes]) -> None:
        """Remember sources (digests), where a list asks for them."""
        if self._options["expect"] is not None:
            self._came.update(sources)

    def _claim(self, ready: Sequence[Found]) -> None:
        key = names.watch_batch(self.name, self._next)
        self._connection.store.put(key, WatchBatch.of(ready).encode(), if_none_match=True)

    def _submit(self, number: int) -> str | None:
        """Submit a batch; returns the job, or None if others did or do, or nobody wants it."""
        key = names.watch_batch(self.name, number)
        stored = self._connection.store.get(key)
        batch = WatchBatch.decode(stored.data)
        job = None
        try:
            if not batch.submitted:
                job = self._submitted(f"{self.name}-{number:06d}", batch)
        except JobBusy as error:
            log.info("%s", error)
            return None  # if the other one is killed, the next look continues the batch
        except JobStopped as error:
            log.warning("%s", error)
        try:
            if not batch.submitted:
                self._mark(key, batch, stored.etag)
        except (Unreachable, StoreDenied) as error:
            if job is None:
                raise
            log.warning("%s will be marked at the next check: %s", key, error)
            return job
        del self._unfinished[number]
        return job

    def _mark(self, key: str, batch: WatchBatch, etag: str) -> None:
        with suppress(PreconditionFailed):  # another watcher marked it
            self._connection.store.put(key, batch.mark_submitted().encode(), if_match=etag)

    def _submitted(self, name: str, batch: WatchBatch) -> str | None:
        """The job of a batch, or None if it was submitted or cancelled before."""
        revisions = self._revisions(name)
        closed = revisions[-1].label if revisions and self._is_closed(revisions[-1]) else None
        job = None
        if closed is None or self._options["new_revision"]:
            revised = any(each.revision > 1 for each in revisions)
            new_revision = revised or self._options["new_revision"]
            job = self._named(name, batch, new_revision=new_revision)
            revisions = self._revisions(name)
        for earlier in revisions[:-1]:
            self._close(earlier)
        return job if job != closed else None

    def _revisions(self, name: str) -> list[Job]:
        """The jobs of a name, the latest last."""
        store = self._connection.store
        found = sorted(read_name(store, name).revisions.items())
        records = [find_record(store, job) for _, job in found]
        return [record for record in records if record is not None]

    def _named(self, name: str, batch: WatchBatch, new_revision: bool) -> str:
        keys = self._keys()
        submission = Submission(
            self._connection,
            BatchInputs(batch.files),
            draft(self._connection, self._options),
            expect=None,
            progress=lambda _: None,
            keys=keys,
            any_size=is_any_size(self._connection, self._options),
            # A batch knows its files as they were when they were claimed, not as they are.
            rehash=True,
        )
        try:
            job = submission.named(name, new_revision)
        except JobMismatch as error:
            first = [each for each in self._revisions(name) if each.revision == 1]
            if new_revision or any(map(self._is_closed, first)):  # by another watcher, just now
                raise JobBusy(str(error)) from error
            log.warning(
                "submitting the %s files of a batch as a revision: %s", len(batch.files), error
            )
            return self._named(name, batch, new_revision=True)
        log.info("%d files submitted", len(batch.files), extra={"job": job})
        if keys is not None and keys.unkeyed:
            log.warning("%s", keys.without_key(), extra={"job": job})
        return job

    def _is_closed(self, record: Job) -> bool:
        """Whether nothing more is to be uploaded to a job."""
        return record.sealed or is_cancelled(self._connection.store, record.job)

    def _close(self, record: Job) -> None:
        """Cancel a job whose submit was interrupted, once another job has all of its files."""
        if not record.sealed or is_cancelled(self._connection.store, record.job):
            cancel(record.job, connection=self._connection)
