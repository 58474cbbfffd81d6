"""Compare two models on the same pages: which accepted values would change."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from inkmill import names
from inkmill.codes import Status
from inkmill.errors import NotFinished, NotFound, PreconditionFailed, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.identity import new_id, read_name
from inkmill.lifecycle.lookup import load_job
from inkmill.people import lists, review
from inkmill.people.lists import About
from inkmill.producer.connection import Connection
from inkmill.producer.inputs import pack
from inkmill.producer.inputs.upload import Differs, Upload, send
from inkmill.producer.model_choice import choose_model, latest_version
from inkmill.producer.submission.record import begin, check_wanted, seal
from inkmill.producer.tables.export import results, stored_rows
from inkmill.producer.tables.originals import Cutter
from inkmill.producer.tables.settlement import templates_of
from inkmill.records import codec
from inkmill.records.chunks import Chunk, Item, combine
from inkmill.records.codec import ItemCount, Name, Timestamp, Within
from inkmill.records.image_ref import JobFile
from inkmill.records.jobs import Job
from inkmill.records.rows import READ, FieldResult, Row
from inkmill.rules import bounds
from inkmill.rules.documents import Document, document_of
from inkmill.template.form import Form
from inkmill.template.templates import Templates

_SCHEMA = 1


@dataclass
class Comparison:
    """Two readings of the same pages.

    ``accepted`` counts the fields accepted with the old model; ``changed`` are those of them with
    another accepted value now, ``doubted`` counts those now in review, and ``gained`` the fields
    that were in review and are accepted now. ``documents`` has for each document how many of its
    fields changed and how many were accepted.
    """

    job: str
    revision: str
    old: str
    new: str
    pages: int = 0
    accepted: int = 0
    doubted: int = 0
    gained: int = 0
    changed: list[tuple[Row, FieldResult, FieldResult]] = field(default_factory=list)
    documents: dict[Document, tuple[int, int]] = field(default_factory=dict)

    @property
    def rate(self) -> bounds.Rate:
        """Changed among the accepted, with 95 % bounds that count each document as a cluster."""
        return bounds.clustered(self.documents.values())


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """The counts of a comparison, as stored for the form and the two versions."""

    job: Name
    revision: Name
    pages: ItemCount
    accepted: ItemCount
    changed: ItemCount
    doubted: ItemCount
    gained: ItemCount
    when: Timestamp
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def read_again(
    connection: Connection,
    job: str,
    model: str,
    count: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> str:
    """Submit a job's pages, or ``count`` of them drawn at random, to another model version.

    Whole documents are drawn, so that no check lacks a page. They become a revision of the job,
    which is returned; the job itself does not change. ``name`` is the name of the model: that of
    the job's digits by default, or that of its numbers without cells; the other one stays. Raises
    UsageError if the model is the same or does not read the job, NotFinished, and NotFound if the
    pages were deleted.
    """
    if count is not None and count < 1:
        raise UsageError(f"--sample {count}: draw at least one page")
    record = review.form_job(connection, job)
    reading = _with_model(connection, record, model, name or record.options.model)
    wanted = _drawn(connection, record, count, seed)
    label = record.name or record.job
    draft = replace(
        reading,
        job=new_id(),
        name=label,
        revision=max(read_name(connection.store, label).revisions, default=1) + 1,
        created=time.time(),
        sealed=False,
        chunks=0,
        items=0,
        inputs="",
        layout=(),
    )
    _upload(connection, record, draft, wanted)
    return draft.label


def _with_model(connection: Connection, record: Job, asked: str, name: str) -> Job:
    """The job's record with another version of one of its models, pinned to both. UsageError."""
    if name not in (record.options.model, record.strips_model):
        known = " and ".join(each for each in (record.options.model, record.strips_model) if each)
        raise UsageError(f"--name {name}: job {record.label} is read by {known}")
    is_strips = name == record.strips_model
    _, version = choose_model(connection.store, name, asked)
    if version == (record.strips_version if is_strips else record.version):
        raise UsageError(
            f"job {record.label} was read by {version[:12]} already: name another version"
        )
    if not is_strips:
        options = replace(record.options, policy=version)
        return replace(record, options=options, version=version)
    # The digits are read as before, or by the latest version if the job follows that.
    digits = record.version or latest_version(connection.store, record.options.model)
    options = replace(record.options, policy=digits)
    return replace(record, options=options, version=digits, strips_version=version)


def _drawn(connection: Connection, record: Job, count: int | None, seed: int) -> set[int] | None:
    """The items of documents drawn at random, until there are ``count``; None for all items.

    Raises NotFinished: without all rows, the documents are not known.
    """
    if not reconcile.standing(connection.store, record).finished:
        raise NotFinished(
            f"job {record.label} is not finished: `inkmill wait {record.label}` first"
        )
    if count is None or count >= record.items:
        return None
    templates, documents = templates_of(record), dict[Document, list[int]]()
    for row in stored_rows(connection, record, range(record.chunks), heads=True):
        documents.setdefault(_document(row, templates), []).append(row.item)
    order = list(documents.values())
    random.Random(seed).shuffle(order)  # noqa: S311
    wanted = set[int]()
    for items in order:
        if len(wanted) >= count:
            break
        wanted.update(items)
    return wanted


def _document(row: Row, templates: Templates) -> Document:
    """The document of a row; a page of which no form was told is one by itself."""
    form = templates.of_hash(row.form_hash)
    return document_of(row, form) if form is not None else (row.source, row.page)


def _upload(connection: Connection, record: Job, draft: Job, wanted: set[int] | None) -> None:
    """Begin the job, copy the pages, seal: in the order in which a submit does it."""
    try:
        begin(connection, draft)
    except PreconditionFailed:
        raise UsageError(f"job {draft.label} is being made by somebody else: try again") from None
    sizes = list[int]()
    try:
        with Upload(connection, draft.job, draft.options.priority) as upload:
            pages = _copied(connection, record, draft.job, wanted)
            for chunk in pack.chunks(draft.job, pages, draft.options.chunk_size):
                upload.add(chunk, {})
                sizes.append(len(chunk.items))
            digests = upload.finish()
    except Differs:
        # A cancel fills the holes between parallel uploads.
        check_wanted(connection, draft)
        raise UsageError(f"job {draft.label} was changed while it was being made") from None
    send(connection, seal(connection, draft.seal(sizes, combine(digests))))


def _copied(
    connection: Connection, record: Job, job: str, wanted: set[int] | None
) -> Iterator[Item]:
    copied = set[JobFile]()
    for number in range(record.chunks):
        try:
            chunk = Chunk.decode(connection.store.get(names.chunk(record.job, number)).data)
        except NotFound:
            raise NotFound(
                f"the pages of job {record.label} were deleted: nothing can be read again"
            ) from None
        for item in chunk.items:
            if wanted is not None and item.item not in wanted:
                continue
            if isinstance(item.ref, JobFile) and item.ref not in copied:
                digest = item.ref.digest
                data = connection.store.get(names.image(record.job, digest)).data
                with suppress(PreconditionFailed):
                    connection.store.put(names.image(job, digest), data, if_none_match=True)
                copied.add(item.ref)
            yield item


def compare(connection: Connection, job: str, revision: str) -> Comparison:
    """Compare a job with its revision, page by page, and store the counts.

    Values that people entered are left out, since no model changes them. Raises NotFinished.
    """
    record, again = (load_job(connection.store, each) for each in (job, revision))
    old, new = record.version, again.version
    if again.strips_version != record.strips_version:
        old, new = record.strips_version, again.strips_version
    found = Comparison(job, revision, old, new)
    after = _by_page(results(revision, connection=connection))
    templates = templates_of(record)
    for row in results(job, connection=connection):
        again_read = after.get((row.source, row.page))
        if again_read is not None:
            found.pages += 1
            _compare(found, row, again_read, _document(row, templates))
    _keep(connection, record.form_hash, found)
    return found


def _by_page(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    """The row of each page, without its cells, which take most of the memory."""
    return {
        (row.source, row.page): replace(
            row, fields=tuple(replace(each, cells=(), strings=()) for each in row.fields)
        )
        for row in rows
    }


def _compare(found: Comparison, before: Row, after: Row, document: Document) -> None:
    """Count one page, field by field."""
    now = {each.name: each for each in after.fields}
    changed, accepted = found.documents.get(document, (0, 0))
    for old in before.fields:
        new = now.get(old.name)
        taken = new is not None and new.status is Status.OK
        if old.status is not Status.OK:
            found.gained += taken
        elif old.source == READ:
            accepted += 1
            found.accepted += 1
            found.doubted += not taken
            if taken and new is not None and new.value != old.value:
                changed += 1
                found.changed.append((after, replace(old, cells=(), strings=()), new))
    found.documents[document] = changed, accepted


def _keep(connection: Connection, form_hash: str, found: Comparison) -> None:
    if not (found.old and found.new):
        return  # a job that follows the latest model has no version of its own
    record = ComparisonRecord(
        job=found.job,
        revision=found.revision,
        pages=found.pages,
        accepted=found.accepted,
        changed=len(found.changed),
        doubted=found.doubted,
        gained=found.gained,
        when=time.time(),
    )
    key = names.comparison(form_hash, found.old, found.new)
    connection.store.put(key, codec.encode(record, "the comparison", indent=1))


def write_changed(connection: Connection, found: Comparison, path: Path, cut: Cutter) -> int:
    """Write the accepted values that changed as a review list; the old value is the proposal."""
    record = load_job(connection.store, found.revision)
    shown = [
        (row, replace(new, proposed=old.value, message=f"{old.value!r} by the old model"))
        for row, old, new in found.changed
    ]
    lines = (
        replace(line, reason=result.message)
        for line, (_, result) in zip(
            review.with_pictures(connection, record, shown, cut), shown, strict=True
        )
    )
    return lists.write(path, About.of(record, lists.REVIEW), lines)


def require(connection: Connection, form: Form, old: str, new: str) -> ComparisonRecord:
    """The comparison of two versions on pages of a form. Raises UsageError if there is none."""
    key = names.comparison(form.hash, old, new)
    try:
        data = connection.store.get(key).data
    except NotFound:
        raise UsageError(
            f"form {form.name} was not yet read by both {old[:12]} and {new[:12]}: compare them "
            f"with `inkmill compare JOB --model {new[:12]}` first"
        ) from None
    return codec.decode(ComparisonRecord, data, key, schema=_SCHEMA)
