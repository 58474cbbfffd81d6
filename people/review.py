"""Review: doubtful fields go out to people as lists, and their values come back in.

Typed values become events beside the job (`inkmill.records.events`): no row is rewritten, nothing
is read again, and `results` returns settled values. If two people enter the same fields, their
values are compared; where they differ, the field stays in review and is on the next list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inkmill.backends import event_log
from inkmill.codes import Status
from inkmill.errors import UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.people import lists, typed
from inkmill.people.lists import About, FilledList, Line
from inkmill.producer.connection import Connection
from inkmill.producer.tables.export import results, stored_rows
from inkmill.producer.tables.originals import Cutter, pictures
from inkmill.producer.tables.settlement import settlement, templates_of
from inkmill.records import events
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row
from inkmill.template.form import FormField

#: Number of lines whose pictures are in memory at a time.
_TOGETHER = 256
#: At most this many mistakes in a list are named.
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import.

    ``changed`` is the number of values that differ from those shown; ``again`` says whether the
    same values were imported before; ``left`` is the number of fields still in review, and
    ``differing`` of those where people differ.
    """

    job: str
    kind: str
    entered: int
    changed: int
    again: bool
    left: int
    differing: int


def form_job(connection: Connection, job: str) -> Job:
    """The record of a job of forms. Raises UsageError for a job of digit images."""
    record = load_job(connection.store, job)
    if not record.form:
        raise UsageError(f"job {job} has no form: only fields of forms can be reviewed")
    return record


# --- out ---------------------------------------------------------------------------------------


def export(
    connection: Connection,
    job: str,
    path: Path,
    cut: Cutter,
    *,
    second: bool = False,
    limit: int = 5000,
) -> int:
    """Write the fields in review as a list, at most ``limit``; returns how many.

    With ``second``, write those that one person has entered, as they were shown to that person, so
    that another can enter them without seeing the first's values (double entry).
    """
    _check_limit(limit)
    lists.check(path)
    record = form_job(connection, job)
    found = _entered_once(connection, record) if second else _in_review(connection, record)
    kind = lists.SECOND if second else lists.REVIEW
    lines = with_pictures(connection, record, islice(found, limit), cut)
    return lists.write(path, About.of(record, kind), lines)


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise UsageError(f"--limit {limit}: ask for at least one line")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which fields' pictures are wanted; an empty set or status stands for all."""

    fields: frozenset[str] = frozenset()
    items: frozenset[int] = frozenset()
    status: str = ""
    limit: int = 10_000

    def has(self, row: Row, result: FieldResult) -> bool:
        return (
            (not self.fields or result.name in self.fields)
            and (not self.items or row.item in self.items)
            and (not self.status or result.status == self.status)
        )


def cut_out(connection: Connection, job: str, wanted: Wanted, cut: Cutter) -> Iterator[Line]:
    """The wanted fields, each with its picture. Raises UsageError for unknown fields."""
    _check_limit(wanted.limit)
    record = form_job(connection, job)
    forms = templates_of(record)
    unknown = wanted.fields - {each.name for form in forms for each in form.all_fields}
    if unknown:
        raise UsageError(f"form {record.form_name} has no field {', '.join(sorted(unknown))}")
    found = (
        (row, result)
        for row in results(job, partial=True, connection=connection)
        for result in row.fields
        if wanted.has(row, result)
    )
    return with_pictures(connection, record, islice(found, wanted.limit), cut)


def _in_review(connection: Connection, record: Job) -> Iterator[tuple[Row, FieldResult]]:
    for row in results(record.job, partial=True, connection=connection):
        for result in row.fields:
            if result.status is Status.REVIEW:
                yield row, result


def _entered_once(connection: Connection, record: Job) -> Iterator[tuple[Row, FieldResult]]:
    verdicts = events.verdicts(event_log.load(connection.store, record.job))
    once = {place for place, verdict in verdicts.items() if len(verdict.entries) == 1}
    unseen = settlement(connection.store, record, unseen=True)
    standing = reconcile.standing(connection.store, record)
    numbers = sorted(standing.done)
    for row in unseen.settle(lambda: stored_rows(connection, record, numbers)):
        for result in row.fields:
            if (row.item, result.name) in once:
                yield row, result


def with_pictures(
    connection: Connection, record: Job, found: Iterable[tuple[Row, FieldResult]], cut: Cutter
) -> Iterator[Line]:
    """Lines for a list, each with the picture of its field."""
    templates = templates_of(record)
    waiting = iter(found)
    while group := list(islice(waiting, _TOGETHER)):
        wanted: dict[int, list[tuple[str, tuple[float, ...]]]] = {}
        forms = {row.item: form for row, _ in group if (form := templates.of_hash(row.form_hash))}
        for row, result in group:
            wanted.setdefault(row.item, []).append((result.name, row.transform))
        cut_out = {
            (item, name): picture
            for item, made in pictures(connection, record, forms, wanted, cut)
            for (name, _), picture in zip(wanted[item], made, strict=False)
        }
        for row, result in group:
            yield _line(row, result, cut_out.get((row.item, result.name), b""))


def _line(row: Row, result: FieldResult, picture: bytes) -> Line:
    proposed = result.proposed if result.proposed != result.value else ""
    reason = f"{result.code}: {result.message}" if result.code else ""
    return Line(
        row.item,
        row.source,
        row.page,
        row.document_key,
        result.name,
        result.raw,
        result.value,
        proposed,
        reason,
        picture,
    )


# --- in ----------------------------------------------------------------------------------------


def import_list(connection: Connection, filled: FilledList, who: str) -> ImportResult:
    """Import a filled-in list: all of it, or nothing if it has errors.

    Raises UsageError that names the lines whose values do not fit their fields.
    """
    record = job_of(connection, filled.about)
    entered = entered_events(fields_at(connection, record), filled, check_name(who), events.REVIEW)
    new = event_log.add(connection.store, record.job, entered)
    verdicts = events.verdicts(event_log.load(connection.store, record.job))
    return ImportResult(
        record.label,
        filled.about.kind,
        len(entered),
        sum(each.value != each.before for each in entered),
        not new,
        sum(1 for _ in _in_review(connection, record)),
        sum(verdict.differs for verdict in verdicts.values()),
    )


def job_of(connection: Connection, about: About) -> Job:
    """The record of a list's job. Raises UsageError if another job now has its name."""
    record = form_job(connection, about.job)
    if about.job_id != record.job:
        raise UsageError(
            f"this list belongs to the deleted job {about.job}: the job that now has the "
            "name has other pages; export a new list"
        )
    return record


FieldAt = Callable[[int, str], FormField | None]


def fields_at(connection: Connection, record: Job) -> FieldAt:
    """A function that returns the field of this name on an item's page, or None."""
    known = {
        form.hash: {each.name: each for each in form.all_fields} for form in templates_of(record)
    }
    if record.sealed and len(known) == 1:
        only = next(iter(known.values()))
        return lambda item, name: only.get(name) if item < record.items else None
    # Several forms may have fields of the same name: each page has its own.
    standing = reconcile.standing(connection.store, record)
    numbers = sorted(standing.done)
    heads = stored_rows(connection, record, numbers, heads=True)
    templates = templates_of(record)
    forms = {row.item: templates.of_hash(row.form_hash) for row in heads}

    def field_at(item: int, name: str) -> FormField | None:
        form = forms.get(item)
        return known[form.hash].get(name) if form is not None else None

    return field_at


def entered_events(
    field_at: FieldAt, filled: FilledList, who: str, source: str
) -> list[events.Event]:
    """The events of a list. Raises UsageError that names the wrong lines."""
    now, found, wrong = time.time(), list[events.Event](), list[str]()
    blind = source == events.AUDIT
    for entry in filled.entries:
        try:
            value = typed.value(field_at(entry.item, entry.field), entry, blind)
        except ValueError as error:
            wrong.append(f"line {entry.row}, {entry.field}: {entry.typed!r} {error}")
            continue
        found.append(events.Event(entry.item, entry.field, value, entry.shown, who, now, source))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UsageError(f"nothing was imported: {'; '.join(wrong[:_SHOWN])}{more}")
    if not found:
        raise UsageError("nothing has been typed in this list: fill in its last column")
    return found


def check_name(who: str) -> str:
    """A person's name as it appears in tables. Raises UsageError."""
    name = who.strip()
    if not name or len(name) > 60 or not name.isprintable() or set(name) & set("+:,\"'"):
        raise UsageError(f"--by {who!r}: give the name of the person who typed, in plain letters")
    return name


def verified(connection: Connection, job: str) -> Iterator[tuple[Row, FieldResult]]:
    """The fields that people entered and agree on, with their settled values: training data."""
    for row in results(job, partial=True, connection=connection):
        for result in row.fields:
            if result.source.startswith("review:") and result.status is Status.OK:
                yield row, result
