"""One submit in progress: a job begun, continued, refused, or kept as another revision.

The order makes it safe to be killed anywhere and run again: the marker lets sweeps see the job;
the record is written open; the name is pointed to it; chunks are uploaded, and each is offered
to the queue as soon as it is stored; sealing the record with the counts ends it. A job without a
name that fits into one chunk is written in three steps: the marker, the chunk, the record
already sealed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from inkmill import names
from inkmill.backends.store import exists
from inkmill.errors import InkmillError, PreconditionFailed, Unreachable, UsageError
from inkmill.imagefile.sniff import Limits
from inkmill.lifecycle import reconcile, retention
from inkmill.lifecycle.identity import is_id, new_id, no_such_job, read_name, split_label
from inkmill.lifecycle.lookup import find_record
from inkmill.lifecycle.marker import mark_open
from inkmill.lifecycle.summary import load_summary
from inkmill.producer.connection import Connection
from inkmill.producer.inputs import pack
from inkmill.producer.inputs.document_keys import Keys
from inkmill.producer.inputs.expect import read_list, with_missing
from inkmill.producer.inputs.sources import Sources
from inkmill.producer.inputs.unchanged import Glances, Known, Recognised
from inkmill.producer.inputs.upload import Differs, Upload, about, send
from inkmill.producer.submission import revisions
from inkmill.producer.submission.progress import Sending
from inkmill.producer.submission.record import (
    Announcement,
    begin,
    busy,
    check_wanted,
    is_stopped,
    others,
    seal,
)
from inkmill.records.chunks import DIGEST, Chunk, combine
from inkmill.records.jobs import Job

#: Seconds between two looks whether the job is still wanted while it is being uploaded.
_LOOK_SECONDS = 5.0
#: So long after its marker, a chunk without a record is nearly taken for remains.
_SLOW_SECONDS = retention.TAKE_OVER_SECONDS / 2


class Submission:
    """One submit: the inputs, the drafted record, and the ways it can go."""

    def __init__(
        self,
        connection: Connection,
        inputs: Sources,
        record: Job,
        expect: Path | None,
        progress: Callable[[Sending], None],
        keys: Keys | None = None,
        any_size: bool = False,
        rehash: bool = False,
    ) -> None:
        """``any_size`` says that a job of the same name may have chunks of another size, ``rehash``
        that files are read whatever is known of them."""
        self._any_size = any_size
        # Items that a list adds, and keys that a table gives, are not seen by looking at files.
        self._by_files = expect is None and keys is None
        self._rehash = rehash
        self._hints: dict[int, dict[str, str]] = {}
        self._keys = keys
        self._connection = connection
        self._store = connection.store
        self._inputs = inputs
        self._draft = record
        self._expect = expect
        self._expected = read_list(expect) if expect is not None else []
        self._progress = progress
        self._state = Sending(passed_over=inputs.passed_over)

    def unnamed(self) -> str:
        """Submit a job without a name; returns its id."""
        record = replace(self._draft, job=new_id())
        announce = Announcement(self._connection, record)
        chunks = self._chunks(record, keep=True, announce=announce)
        first, second = next(chunks, None), next(chunks, None)
        if first is None:
            raise self._nothing()
        if second is None:
            assert isinstance(first, Chunk)
            return self._single(record, first, announce)
        announce()
        return self._stream(record, _chain([first, second], chunks))

    def _single(self, record: Job, chunk: Chunk, announce: Announcement) -> str:
        """One chunk: three objects are written, the last makes them a job."""
        digest, data = chunk.digest, chunk.encode()
        began = time.monotonic()
        if announce.etag is None:
            # Where the record does not come, a sweep finds the marker and removes the chunk.
            mark_open(self._store, record.job, record.label)
        metadata = {**about(chunk, digest), **self._hints.pop(chunk.number, {})}
        self._store.put(names.chunk(record.job, 0), data, metadata=metadata)
        if announce.etag is None and time.monotonic() - began > _SLOW_SECONDS:
            announce()  # a sweep may have begun to: from here on it lets the job be
            return self._stream(record, iter([chunk]))
        sealed = record.seal([len(chunk.items)], combine([digest]))
        if announce.etag is None:
            self._store.put(names.job_record(record.job), sealed.encode(), if_none_match=True)
            if time.monotonic() - began > _SLOW_SECONDS:
                self._check_stored(sealed)
        else:
            sealed = seal(self._connection, sealed, announce.etag)
        self._connection.jobs.tell(record.job, sealed)
        self._report(record, chunk)
        self._send(sealed, fresh=True)
        return record.label

    def _check_stored(self, record: Job) -> None:
        """So slow a store may have let a sweep take the chunk for remains. Raises Unreachable."""
        mark_open(self._store, record.job, record.label)
        if not exists(self._store, names.chunk(record.job, 0)):
            retention.delete_job(self._store, self._connection.queue, record.job)
            raise Unreachable(
                "storing the images took so long that workers removed them as the remains of an "
                "interrupted submit: submit them again"
            )

    def named(self, label: str, new_revision: bool) -> str:
        """Submit under the user's name: begin, continue, refuse, or add a revision.

        An id in place of a name continues the job that has it. Returns the job's label.
        """
        name, number = split_label(label)
        if is_id(label) and (own := find_record(self._store, label)) is not None and own.name:
            return self.named(own.label, new_revision)
        held = read_name(self._store, name).revisions
        if is_id(name):
            held.setdefault(1, name)
        if new_revision:
            there = (n for n, job in held.items() if exists(self._store, names.job_record(job)))
            number = max(there, default=number)
        record = find_record(self._store, held[number]) if number in held else None
        if record is None:
            if is_id(name) and number == 1:
                raise no_such_job(name)
            return self._begin(name, number)
        differences = self._differences(record, new_revision)
        if not differences:
            try:
                return self._go_on(record)
            except Differs as differs:
                differences = revisions.input_differences(self._store, record, differs.chunk)
            except Removed as removed:
                differences = revisions.removed_inputs(self._store, record, removed.number)
        if not new_revision:
            raise revisions.mismatch(record.label, differences)
        self._state.note = f"a revision of {record.label}: {'; '.join(differences)}"
        return self._begin_revision(name, number + 1)

    def _differences(self, record: Job, new_revision: bool) -> list[str]:
        differences = revisions.option_differences(record, self._draft, self._any_size)
        if reconcile.is_cancelled(self._store, record.job):
            differences.append("it was cancelled")
        if new_revision and record.version != self._draft.version:
            # The same scans read again by a newer model: what a revision is for.
            differences.append(f"model was {record.version[:12]}, now {self._draft.version[:12]}")
        if new_revision and record.strips_version != self._draft.strips_version:
            old, new = record.strips_version[:12], self._draft.strips_version[:12]
            differences.append(f"the model for numbers without cells was {old}, now {new}")
        return differences

    def _begin(self, name: str, number: int) -> str:
        """Take the name and send everything."""
        self._check_inputs()
        record = self._named_draft(name, number)
        try:
            begin(self._connection, record)
        except PreconditionFailed:
            raise busy(record.label) from None
        return self._fill(record)

    def _begin_revision(self, name: str, number: int) -> str:
        """Send everything under the first number that is free, from this one on."""
        self._check_inputs()
        while True:
            record = self._named_draft(name, number)
            try:
                begin(self._connection, record)
            except PreconditionFailed:  # another submit took it while this one compared
                number += 1
                continue
            return self._fill(record)

    def _named_draft(self, name: str, number: int) -> Job:
        record = replace(self._draft, job=new_id(), name=name, revision=number)
        self._connection.jobs.forget(record.label)
        return record

    def _check_inputs(self) -> None:
        """Nothing is claimed for no images. Raises UsageError."""
        if not self._expected and next(iter(self._inputs), None) is None:
            raise self._nothing()

    def _fill(self, record: Job) -> str:
        """Upload a job that was just begun."""
        try:
            return self._stream(record, self._chunks(record, keep=True))
        except (Differs, Removed):
            raise others(record.label) from None

    def _go_on(self, record: Job) -> str:
        """The same submit again. Raises Differs or Removed if it is not the same."""
        if record.sealed:
            return self._compare(record)
        mark_open(self._store, record.job, record.label)
        self._state.note = f"job {record.label} continues where an earlier submit stopped"
        there = reconcile.numbers(self._store, names.chunks(record.job))
        # The last one that is stored may be cut short, where more images come than came then.
        known = max(there, default=0)
        return self._stream(record, self._chunks(record, keep=True, known=known))

    def _compare(self, record: Job) -> str:
        """A sealed job needs nothing uploaded: only to be the same, and to be sent."""
        digests, lost = list[str](), 0
        for chunk in self._chunks(record, keep=False, known=record.chunks):
            if isinstance(chunk, Known):
                digests.append(chunk.digest)
                self._report(record, chunk)
                continue
            found = self._store.head(names.chunk(record.job, chunk.number))
            digests.append(chunk.digest)
            lost += found is None
            behind = chunk.number >= record.chunks
            if behind or (found is not None and found.get(DIGEST) != digests[-1]):
                raise Differs(chunk)
            self._report(record, chunk)
        if combine(digests) != record.inputs:
            raise Removed(len(digests))
        self._state.sealed = True
        if load_summary(self._store, record) is not None:
            self._state.note = f"job {record.label} is already finished: nothing to do"
            self._progress(self._state)
            return record.label
        self._state.note = f"job {record.label} is already stored"
        mark_open(self._store, record.job, record.label)
        if lost:  # somebody deleted chunks that are still wanted
            return self._stream(record, self._chunks(record, keep=True))
        self._send(record)
        return record.label

    def _stream(self, record: Job, chunks: Iterable[Chunk | Known]) -> str:
        """Upload and send chunks as they come, then seal the record."""
        try:
            sealed = self._upload(record, chunks)
        except (Differs, Removed):
            # A cancel fills holes with empty chunks: then nothing is wrong with the inputs.
            check_wanted(self._connection, record)
            raise
        record = seal(self._connection, sealed)
        self._send(record)
        return record.label

    def _upload(self, record: Job, chunks: Iterable[Chunk | Known]) -> Job:
        """Upload chunks, as long as the job is wanted; returns the record to be sealed."""
        there = frozenset(reconcile.numbers(self._store, names.chunks(record.job)))
        sizes, looked = list[int](), time.monotonic()
        with Upload(self._connection, record.job, record.options.priority, there) as upload:
            for chunk in chunks:
                if isinstance(chunk, Known):
                    upload.known(chunk)
                else:
                    upload.add(chunk, self._hints.pop(chunk.number, {}))
                sizes.append(_amount(chunk)[0])
                self._report(record, chunk)
                if time.monotonic() - looked > _LOOK_SECONDS:
                    if is_stopped(self._connection, record):
                        break  # sealing it is refused
                    looked = time.monotonic()
            digests = upload.finish()
        if len(sizes) <= max(there, default=-1):
            raise Removed(len(sizes))
        return record.seal(sizes, combine(digests))

    def _send(self, record: Job, fresh: bool = False) -> None:
        """Let the queue have what has no result yet; of a fresh job that is its only chunk."""
        self._state.sealed = True
        self._state.unkeyed = self._keys.note() if self._keys is not None else ""
        self._progress(self._state)
        try:
            if fresh:
                self._connection.queue.send_only(record.job, record.options.priority)
            else:
                send(self._connection, record)
        except Unreachable as error:
            raise Unreachable(
                f"job {record.label} is stored, but could not be sent: {error}. Nothing is lost: "
                f"workers find it once Redis answers, or `inkmill resume {record.label}` sends it"
            ) from error

    def _chunks(
        self,
        record: Job,
        keep: bool,
        announce: Callable[[], None] | None = None,
        known: int = 0,
    ) -> Iterator[Chunk | Known]:
        """The job's chunks, of the size that its record says.

        The first ``known`` are stored: they are read only if their files changed.
        """
        settings = self._connection.settings
        glances = Glances() if keep and self._by_files else None
        packer = pack.Packer(
            self._store,
            record.job if keep else None,
            Limits(settings.max_pixels, settings.max_pages),
            settings.max_file_bytes,
            self._connection.bucket,
            announce,
            glances=glances,
        )
        if self._by_files:
            yield from self._by_glance(record, packer, 0 if self._rehash else known)
            return
        items = packer.items(self._inputs)
        if self._expected:
            assert self._expect is not None
            items = with_missing(items, self._expected, self._expect.name)
        if self._keys is not None:
            items = self._keys.given(items)
        yield from pack.chunks(record.job, items, record.options.chunk_size)

    def _by_glance(self, record: Job, packer: pack.Packer, known: int) -> Iterator[Chunk | Known]:
        """The chunks, of which the first ``known`` are recognised by their files."""
        stored = Recognised(self._store, record.job, iter(self._inputs), packer.items)
        yield from stored.chunks(known)
        rest, glances = stored.rest(), packer.glances
        if glances is not None:
            glances.begin(stored.taken)
        size = record.options.chunk_size
        for chunk in pack.chunks(record.job, rest, size, number=stored.number, first=stored.items):
            if glances is not None:
                self._hints[chunk.number] = glances.of(chunk)
            yield chunk

    def _report(self, record: Job, chunk: Chunk | Known) -> None:
        state = self._state
        if chunk.number == 0:
            state.items = state.bytes = 0  # a second pass begins
        state.job, state.chunks = record.label, chunk.number + 1
        items, size = _amount(chunk)
        state.items, state.bytes = state.items + items, state.bytes + size
        state.passed_over = self._inputs.passed_over
        self._progress(state)

    def _nothing(self) -> InkmillError:
        left_out = ", ".join(f"{n} {what}" for what, n in self._inputs.passed_over.items())
        return UsageError(
            "nothing to submit: no images were found there"
            + (f" ({left_out} were skipped)" if left_out else "")
        )


class Removed(Exception):
    """The job has a chunk behind the last one of this submit. Becomes JobMismatch."""

    def __init__(self, number: int) -> None:
        super().__init__(f"chunk {number}")
        self.number = number


def _amount(chunk: Chunk | Known) -> tuple[int, int]:
    """How many items a chunk has, and their bytes."""
    if isinstance(chunk, Known):
        return chunk.count, chunk.size
    return len(chunk.items), sum(len(item.data) for item in chunk.items)


def _chain(first: list[Chunk | Known], others: Iterator[Chunk | Known]) -> Iterator[Chunk | Known]:
    """Chunks read already, then the others; each is let go once it was taken."""
    while first:
        yield first.pop(0)
    yield from others
