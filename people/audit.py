"""Estimate how many accepted values are wrong, from a blind sample that people key.

Fields are drawn at random from those the machine accepted, each with the same probability. The
list shows pictures only; the accepted values stay in the store until the list comes back.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from inkmill import names
from inkmill.backends import event_log
from inkmill.codes import Status
from inkmill.errors import NotFound, UsageError
from inkmill.people import lists, review
from inkmill.people.lists import About, FilledList
from inkmill.producer.connection import Connection
from inkmill.producer.tables.export import results
from inkmill.producer.tables.originals import Cutter
from inkmill.producer.tables.settlement import templates_of
from inkmill.records import codec, events
from inkmill.records.codec import ItemCount, Length, Name, Text, Timestamp, Within
from inkmill.records.jobs import Job
from inkmill.records.rows import REVIEW, FieldResult, Row
from inkmill.rules import bounds
from inkmill.rules.documents import document_label
from inkmill.template.templates import Templates

_SCHEMA = 1
#: Most fields of a sample: people key some hundreds.
_MOST_FIELDS = 1_000_000


@dataclass(frozen=True, slots=True)
class SampledField:
    """A field of the sample, with its accepted value and the label of its document."""

    item: ItemCount
    field: Name
    value: Text
    document: Text


@dataclass(frozen=True, slots=True)
class AuditSample:
    """The sample of an audit, as stored until its list comes back. Named by its SHA-256."""

    job: Name
    seed: int
    when: Timestamp
    fields: Annotated[tuple[SampledField, ...], Length(1, _MOST_FIELDS)]
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result of an audit: error rates of accepted values with 95 % bounds, by document.

    ``fields`` are by name; ``wrong`` are item, field, accepted value and typed value;
    ``unreadable`` were sampled but could not be keyed, ``missing`` were left empty.
    """

    job: str
    whole: bounds.Rate
    fields: Mapping[str, bounds.Rate] = field(default_factory=dict)
    wrong: Sequence[tuple[int, str, str, str]] = ()
    unreadable: int = 0
    missing: int = 0


def sample(
    connection: Connection, job: str, count: int, path: Path, cut: Cutter, seed: int | None = None
) -> int:
    """Draw ``count`` accepted fields and write them as a blind list; returns how many it has."""
    _check_count(count)
    lists.check(path)
    record = review.form_job(connection, job)
    digest, _, drawn = draw(connection, record, count, seed)
    lines = review.with_pictures(connection, record, drawn, cut)
    return lists.write(path, About.of(record, lists.AUDIT, digest), lines)


def _check_count(count: int) -> None:
    if count < 1:
        raise UsageError(f"--sample {count}: draw at least one field")


def draw(
    connection: Connection, record: Job, count: int, seed: int | None = None
) -> tuple[str, AuditSample, list[tuple[Row, FieldResult]]]:
    """Draw ``count`` accepted fields and store them as a sample: its digest, it, and its rows.

    Raises UsageError if the job has no accepted field.
    """
    _check_count(count)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    drawn = _drawn(_accepted(connection, record), count, random.Random(seed))  # noqa: S311
    if not drawn:
        raise UsageError(f"job {record.label} has no accepted field that could be audited")
    templates = templates_of(record)
    fields = tuple(
        SampledField(row.item, each.name, each.value, _document(row, templates))
        for row, each in drawn
    )
    made = AuditSample(record.job, seed, time.time(), fields)
    data = codec.encode(made, "the audit's sample")
    digest = hashlib.sha256(data).hexdigest()
    connection.store.put(names.audit_sample(record.job, digest), data)
    return digest, made, drawn


def load_sample(connection: Connection, record: Job, digest: str) -> AuditSample:
    """A sample that was drawn earlier. Raises NotFound if it is gone."""
    try:
        stored = connection.store.get(names.audit_sample(record.job, digest)).data
    except NotFound:
        raise NotFound(
            f"job {record.label} has no audit for this list: draw a new sample"
        ) from None
    return codec.decode(
        AuditSample, stored, f"the audit's sample of job {record.label}", schema=_SCHEMA
    )


def _document(row: Row, templates: Templates) -> str:
    form = templates.of_hash(row.form_hash)
    return document_label(row, form) if form is not None else ""


def _accepted(connection: Connection, record: Job) -> Iterator[tuple[Row, FieldResult]]:
    for row in results(record.job, connection=connection):
        for result in row.fields:
            by_machine = not result.source.startswith(REVIEW)
            if result.status is Status.OK and by_machine and result.by_model:
                yield row, result


def _drawn(
    population: Iterator[tuple[Row, FieldResult]], count: int, chance: random.Random
) -> list[tuple[Row, FieldResult]]:
    """A random sample of a stream, in its order (Vitter's algorithm R)."""
    chosen: dict[int, tuple[int, tuple[Row, FieldResult]]] = {}
    for number, each in enumerate(population):
        place = number if number < count else chance.randrange(number + 1)
        if place < count:
            chosen[place] = (number, each)
    return [each for _, each in sorted(chosen.values(), key=lambda pair: pair[0])]


def import_list(connection: Connection, filled: FilledList, who: str) -> AuditResult:
    """Compare a blind list with the accepted values, and store the typed values as events.

    Raises UsageError for lines that are not values, and NotFound if the sample is gone.
    """
    job = filled.about.job
    record = review.job_of(connection, filled.about)
    sampled = load_sample(connection, record, filled.about.sample)
    kept = {(each.item, each.field): each for each in sampled.fields}
    asked = [
        replace(each, shown=kept[each.item, each.field].value)
        for each in filled.entries
        if (each.item, each.field) in kept
    ]
    blind = replace(filled, entries=asked)
    fields = review.fields_at(connection, record)
    entered = review.entered_events(fields, blind, review.check_name(who), events.AUDIT)
    event_log.add(connection.store, record.job, entered)
    return finding(job, entered, sampled.fields)


def finding(
    job: str, entered: Sequence[events.Event], sampled: Sequence[SampledField]
) -> AuditResult:
    """What the values that were keyed so far say of a sample; ``entered`` are of its fields."""
    kept = {(each.item, each.field): each for each in sampled}
    counts: dict[str, dict[str, list[int]]] = {"": {}}
    wrong, unreadable = list[tuple[int, str, str, str]](), 0
    for each in entered:
        if each.value == events.UNREADABLE:
            unreadable += 1
            continue
        accepted = kept[each.place].value
        if each.value != accepted:
            wrong.append((each.item, each.field, accepted, each.value))
        for name in ("", each.field):
            of_document = counts.setdefault(name, {}).setdefault(kept[each.place].document, [0, 0])
            of_document[0] += each.value != accepted
            of_document[1] += 1
    rates = {
        name: bounds.clustered((errors, trials) for errors, trials in groups.values())
        for name, groups in counts.items()
    }
    whole = rates.pop("")
    return AuditResult(job, whole, rates, wrong, unreadable, len(kept) - len(entered))
