"""The rows behind a task: its fields in the template, its documents, what is left to answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inkmill import names
from inkmill.desk.review.judging import Problem, problems, still_in_review
from inkmill.desk.review.known import Known
from inkmill.desk.review.rounds import document_rows
from inkmill.desk.review.tasks import DECIDE, GROUP, KEY, Asked, Task, TaskRef
from inkmill.errors import NotFound, UsageError
from inkmill.people import typed
from inkmill.people.lists import TypedValue
from inkmill.producer.connection import Connection
from inkmill.producer.tables.settlement import settlement, templates_of
from inkmill.records import rows
from inkmill.records.events import DECIDED, UNREADABLE, Place, Verdict
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.rules.accept import Acceptance
from inkmill.rules.settle import Settlement
from inkmill.rules.settled_fields import SettledFields
from inkmill.template.form import Form, FormField

#: Pieces of rows that are held in memory for a job.
_PIECES = 64


@dataclass(frozen=True, slots=True)
class Document:
    """The pages of one document that a task asks about."""

    form: Form
    pages: Sequence[Row]

    @property
    def items(self) -> frozenset[int]:
        """The numbers of its pages."""
        return frozenset(row.item for row in self.pages)


class Behind:
    """The rows behind the tasks of one job, read as they are needed."""

    def __init__(self, connection: Connection, record: Job, known: Known) -> None:
        self._connection = connection
        self._record = record
        self._known = known
        self.templates = templates_of(record)
        self._fields = {
            form.hash: {each.name: each for each in form.all_fields} for form in self.templates
        }
        self._acceptance = _acceptance_of(connection, record)
        self._pieces: OrderedDict[tuple[str, int], Mapping[int, Row]] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, ref: TaskRef) -> Mapping[int, Row]:
        """The rows stored for a task, by item. Raises NotFound if the job was deleted."""
        with self._lock:
            found = self._pieces.get(ref.piece)
            if found is not None:
                self._pieces.move_to_end(ref.piece)
        if found is None:
            key = names.review_rows(self._record.job, *ref.piece)
            stored = rows.decode(self._connection.store.get(key).data)
            found = {row.item: row for row in stored}
            with self._lock:
                self._pieces[ref.piece] = found
                while len(self._pieces) > _PIECES:
                    self._pieces.popitem(last=False)
        return found

    def documents(self, ref: TaskRef) -> list[Document]:
        """The documents that a task asks about, with all their pages."""
        found = []
        for pages in document_rows(ref.task, list(self.rows(ref).values()), self.templates):
            form = self.templates.of_hash(pages[0].form_hash)
            if form is not None:
                found.append(Document(form, pages))
        return found

    def field(self, ref: TaskRef, asked: Asked) -> FormField:
        """The template's field that is asked about. Raises NotFound."""
        row = self.rows(ref).get(asked.item)
        form = self.templates.of_hash(row.form_hash) if row is not None else None
        if form is None or asked.field not in self._fields[form.hash]:
            raise NotFound(f"item {asked.item} has no field {asked.field}: ask for the next task")
        return self._fields[form.hash][asked.field]

    def value_of(self, ref: TaskRef, asked: Asked, text: str) -> str:
        """The value that a person means. Raises UsageError with the reason and the remedy."""
        entry = TypedValue(asked.item, asked.field, asked.shown, text.strip(), 0)
        try:
            return typed.value(self.field(ref, asked), entry, ref.task.blind)
        except ValueError as error:
            raise UsageError(f"{text.strip()!r} {error}") from None

    def left(self, ref: TaskRef) -> tuple[Asked, ...]:
        """The fields of a task that still need an answer.

        Somebody may have entered a field since, here or by a list; and a field of a document whose
        sum came out right by what was typed needs none.
        """
        task = ref.task
        verdicts = self._known.verdicts_at(each.place for each in task.asked)
        waiting = [each for each in task.asked if _is_open(verdicts.get(each.place), task)]
        pages = self._known.flags().pages
        waiting = [each for each in waiting if each.item not in pages]
        if task.kind != KEY or not waiting or not verdicts:
            return tuple(waiting)
        in_review = set[Place]()
        for document in self.documents(ref):
            in_review |= self._in_review(document)
        return tuple(each for each in waiting if each.place in in_review)

    def entries(self, asked: Asked) -> list[tuple[str, list[str]]]:
        """What people entered in a field, the most frequent first: each value, and who."""
        verdict = self._known.verdicts_at([asked.place]).get(asked.place)
        found = dict[str, list[str]]()
        for who, value in verdict.entries.items() if verdict is not None else ():
            found.setdefault(value, []).append(who)
        return sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))

    def _in_review(self, document: Document) -> set[Place]:
        places = [(row.item, each.name) for row in document.pages for each in row.fields]
        verdicts = self._known.verdicts_at(places)
        settled = SettledFields(document.form, verdicts, self._acceptance(document.form))
        return still_in_review(settled, document.pages)

    def problems(self, ref: TaskRef, values: Mapping[Place, str]) -> list[Problem]:
        """What rules and checks say of values while they are typed; nothing of what is none yet."""
        found, task = list[Problem](), ref.task
        if task.kind == GROUP:
            return found
        for document in self.documents(ref):
            asked = [each for each in task.asked if each.item in document.items]
            meant = self._meant(ref, asked, values)
            places = [(row.item, each.name) for row in document.pages for each in row.fields]
            verdicts = {} if task.blind else self._known.verdicts_at(places)
            held = {
                place[1]: verdict.value
                for place, verdict in verdicts.items()
                if verdict.value is not None
            }
            found += problems(document.form, document.pages, meant, held)
        return found

    def _meant(
        self, ref: TaskRef, asked: Sequence[Asked], values: Mapping[Place, str]
    ) -> dict[str, str]:
        meant = dict[str, str]()
        for each in asked:
            if (text := values.get(each.place)) is not None:
                try:
                    meant[each.field] = self.value_of(ref, each, text)
                except UsageError:
                    continue
        return meant


def _is_open(verdict: Verdict | None, task: Task) -> bool:
    """Whether nobody has entered a field but those who had when its task was made; or, where it is
    to be decided, whether that is still so."""
    if task.kind == DECIDE and verdict is not None:
        return verdict.differs or (verdict.value == UNREADABLE and verdict.source != DECIDED)
    return verdict is None or set(verdict.entries) <= set(task.not_by)


def _acceptance_of(
    connection: Connection, record: Job
) -> Callable[[Form], Callable[[str, str], Acceptance]]:
    """What is proven for each form of the job, as `inkmill results` reads it."""
    found = settlement(connection.store, record, unseen=True)
    if isinstance(found, Settlement):
        only = found.acceptance
        return lambda _: only
    parts = found.parts
    return lambda form: parts[form.hash].acceptance
