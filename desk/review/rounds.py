"""Rounds: what is doubtful in a job's rows becomes tasks, stored with the rows behind them.

A round goes once through all rows as they hold now. What an open task asks already is left out, so
a round can be made at any time, by any server; the store takes one of a number.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from inkmill import names
from inkmill.backends.store import Store
from inkmill.desk.review.choosing import Choice, Chosen
from inkmill.desk.review.tasks import (
    AUDIT,
    DECIDE,
    GROUP,
    KEY,
    MOST_FIELDS,
    PIECE,
    SECOND,
    Asked,
    Options,
    Round,
    Task,
)
from inkmill.errors import PreconditionFailed
from inkmill.people.audit import SampledField
from inkmill.producer.connection import Connection
from inkmill.producer.tables.export import results
from inkmill.producer.tables.settlement import templates_of
from inkmill.records import rows
from inkmill.records.events import Place
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.rules.documents import document_label
from inkmill.template.form import Form
from inkmill.template.templates import Templates

#: Fields of an audit that one person keys in one go.
_AUDITED_TOGETHER = 10


@dataclass
class _Found:
    """What a look through all rows finds: fields by kind, and the rows behind them."""

    groups: dict[str, list[Chosen]] = field(default_factory=lambda: defaultdict(list))
    documents: dict[tuple[str, str, tuple[str, ...]], list[Chosen]] = field(
        default_factory=lambda: defaultdict(list)
    )
    label_of: dict[int, str] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    count: int = 0


def make_round(
    connection: Connection, record: Job, choice: Choice, number: int, taken: frozenset[Place]
) -> Round | None:
    """Make and store round ``number`` of the fields that need somebody; None if none does.

    ``taken`` are fields that an open task asks already. Raises PreconditionFailed where another
    server stored a round of this number meanwhile.
    """
    found = _look(connection, record, choice, taken)
    tasks = [*_group_tasks(found, choice.options), *_document_tasks(found, choice.options)]
    if not tasks:
        return None
    _add_other_pages(connection, record, found)
    return _store(connection.store, record, number, tasks, found)


def make_audit(
    connection: Connection, record: Job, number: int, sample: str, fields: Sequence[SampledField]
) -> Round:
    """Make and store a round that keys a blind sample (`inkmill.people.audit.draw`)."""
    found = _Found()
    wanted = defaultdict[int, dict[str, SampledField]](dict)
    for each in fields:
        wanted[each.item][each.field] = each
    for row in results(record.job, partial=True, connection=connection):
        if row.item in wanted:
            kept = [each for each in row.fields if each.name in wanted[row.item]]
            found.rows[row.item] = replace(row, fields=tuple(kept))
    asked = iter([Asked(each.item, each.field, each.value) for each in fields])
    tasks = list[Task]()
    while group := tuple(islice(asked, _AUDITED_TOGETHER)):
        tasks.append(Task(AUDIT, group))
    return _store(connection.store, record, number, tasks, found, sample)


def _look(connection: Connection, record: Job, choice: Choice, taken: frozenset[Place]) -> _Found:
    found, templates = _Found(), templates_of(record)
    fields = {form.hash: {each.name: each for each in form.all_fields} for form in templates}
    for row in results(record.job, partial=True, connection=connection):
        form = templates.of_hash(row.form_hash)
        if form is None or not row.fields or not row.transform:
            continue
        chosen = [
            made
            for result in row.fields
            if (row.item, result.name) not in taken
            and (made := choice.of(row, fields[form.hash][result.name], result)) is not None
        ]
        if chosen:
            _add(found, row, form, chosen)
        if found.count >= MOST_FIELDS:
            break
    return found


def _add(found: _Found, row: Row, form: Form, chosen: Sequence[Chosen]) -> None:
    label = document_label(row, form)
    found.rows[row.item] = row
    found.label_of[row.item] = label
    found.count += len(chosen)
    for each in chosen:
        if each.kind == GROUP:
            found.groups[each.digit].append(each)
        else:
            found.documents[label, each.kind, each.not_by].append(each)


def _group_tasks(found: _Found, options: Options) -> Iterator[Task]:
    """Screens of cells that were read as the same digit, the least sure first."""
    for digit, chosen in sorted(found.groups.items()):
        waiting = iter(sorted(chosen, key=lambda each: (-each.doubt, each.asked.place)))
        while screen := list(islice(waiting, options.screen)):
            yield Task(GROUP, tuple(each.asked for each in screen), digit)


def _document_tasks(found: _Found, options: Options) -> Iterator[Task]:
    """The fields of each document, in the order of pages and template."""
    for kind in (KEY, SECOND, DECIDE):
        for (_, of_kind, not_by), chosen in found.documents.items():
            if of_kind == kind:
                asked = tuple(each.asked for each in chosen)
                hidden = options.hidden and kind != DECIDE
                yield Task(kind, asked, not_by=not_by, hidden=hidden)


def _add_other_pages(connection: Connection, record: Job, found: _Found) -> None:
    """The other pages of documents that are asked about: their checks need them."""
    templates = templates_of(record)
    if all(form.page_count == 1 for form in templates):
        return
    labels = set(found.label_of.values())
    for row in results(record.job, partial=True, connection=connection):
        form = templates.of_hash(row.form_hash)
        if form is not None and row.fields and (label := document_label(row, form)) in labels:
            found.rows.setdefault(row.item, row)
            found.label_of.setdefault(row.item, label)


def _store(
    store: Store, record: Job, number: int, tasks: Sequence[Task], found: _Found, sample: str = ""
) -> Round:
    made = Round(number, time.time(), secrets.token_hex(8), tuple(tasks), sample)
    pages = defaultdict[str, list[int]](list)
    for item, label in sorted(found.label_of.items()):
        pages[label].append(item)
    written = list[str]()
    for first in range(0, len(tasks), PIECE):
        key = names.review_rows(record.job, made.build, first // PIECE)
        written.append(key)
        kept = _rows_of(tasks[first : first + PIECE], found, pages)
        store.put(key, rows.encode(kept))
    try:
        # The round comes last: whoever finds it finds its rows.
        store.put(names.review_round(record.job, number), made.encode(), if_none_match=True)
    except PreconditionFailed:
        with suppress(Exception):
            store.delete(written)
        raise
    return made


def _rows_of(tasks: Sequence[Task], found: _Found, pages: Mapping[str, Sequence[int]]) -> list[Row]:
    """The rows behind some tasks; of those that only a group asks about, no other field."""
    whole, parts = set[int](), defaultdict[int, set[str]](set)
    for task in tasks:
        for asked in task.asked:
            if task.kind == GROUP:
                parts[asked.item].add(asked.field)
            else:
                whole.update(pages.get(found.label_of.get(asked.item, ""), [asked.item]))
    kept = [found.rows[item] for item in sorted(whole)]
    for item, wanted in sorted(parts.items()):
        if item not in whole:
            row = found.rows[item]
            fields = tuple(each for each in row.fields if each.name in wanted)
            kept.append(replace(row, fields=fields))
    return kept


def document_rows(task: Task, stored: Sequence[Row], templates: Templates) -> list[list[Row]]:
    """The rows behind a task, document by document."""
    items = {asked.item for asked in task.asked}
    by_label = defaultdict[str, list[Row]](list)
    for row in stored:
        form = templates.of_hash(row.form_hash)
        label = document_label(row, form) if form is not None else str(row.item)
        by_label[label].append(row)
    return [pages for pages in by_label.values() if items & {row.item for row in pages}]
