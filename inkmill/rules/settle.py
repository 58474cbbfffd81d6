"""Settle rows: apply people's values and checks over whole documents to workers' rows.

A worker sees one page. Whatever needs more is done when rows are taken out, as a function of the
rows and of what is stored beside them and of nothing else: the same whatever the order, size or
number of chunks and engines (docs/decisions has why it is not written back).

- values that people entered, with the rules of those documents asked again
  (`inkmill.rules.settled_fields`);
- thresholds that are proven for a target error, or the code UNPROVEN (there as well);
- pages that are missing or duplicated (`inkmill.rules.documents`), and those whose page code was
  not read (`inkmill.rules.strays`);
- checks between fields of several pages, and lists whose values may occur once in a job
  (`inkmill.rules.across_pages`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from inkmill.codes import Code, Status
from inkmill.records.events import UNREADABLE, Place, Verdict
from inkmill.records.rows import FieldResult, Row
from inkmill.rules.accept import Acceptance
from inkmill.rules.across_pages import DUPLICATED, AcrossPages, Rows, spans_pages
from inkmill.rules.documents import Documents, Policy, flagged, take_stock
from inkmill.rules.settled_fields import SettledFields
from inkmill.rules.statuses import rolled_up
from inkmill.rules.strays import Strays, adoption, find_strays
from inkmill.template.form import Form

Settle = Callable[[Row], Row]


@dataclass(frozen=True)
class Settlement:
    """Everything needed to settle the rows that were read by one form.

    ``verdicts`` are people's, by item and field; ``acceptance`` gives what is proven for a
    model version and precision; ``policy`` is what the job wants of its documents.
    """

    form: Form
    verdicts: Mapping[Place, Verdict] = field(default_factory=dict)
    acceptance: Callable[[str, str], Acceptance] = lambda _model, _precision: Acceptance()
    policy: Policy = field(default_factory=Policy)

    @cached_property
    def spans(self) -> bool:
        """Whether a rule of the form concerns more than one page."""
        return spans_pages(self.form)

    @cached_property
    def keeps_documents(self) -> bool:
        """Whether pages may belong together: by a key, or as pages of the form."""
        return self.form.page_count > 1 or self._has_keys

    @cached_property
    def changes(self) -> bool:
        """Whether any row may come out otherwise than the worker wrote it."""
        targets = any(each.target_error is not None for each in self.form.all_fields)
        return self.spans or self.keeps_documents or targets or bool(self.verdicts)

    @property
    def _has_keys(self) -> bool:
        return self.policy.keyed or self.form.has_keys

    def settle(self, rows: Rows, heads: Rows | None = None) -> Iterator[Row]:
        """The rows as they hold, in their order; see `prepared`."""
        yield from map(self.prepared(rows, heads), rows())

    def prepared(self, rows: Rows, heads: Rows | None = None) -> Settle:
        """A function that makes of each row the one that holds.

        ``rows`` gives all of them each time it is called, ``heads`` the same, perhaps without
        their fields. The heads are gone through here where pages may belong together, and the rows
        themselves if a rule concerns more than one page. Then the fields of documents with pages
        still to come are held in memory.
        """
        if not self.changes:
            return lambda row: row
        strays = self._strays(heads or rows)

        def keyed(row: Row) -> Row:
            return strays.keyed(self._keyed(row))

        stock = Documents()
        if self.keeps_documents:
            stock = take_stock(map(keyed, (heads or rows)()), self.form, self.policy, strays.named)
            stock = replace(stock, refused={**stock.refused, **strays.refused})
        fields = SettledFields(self.form, self.verdicts, self.acceptance)
        across = AcrossPages(self.form, fields, stock)
        together = across.of(lambda: map(keyed, rows())) if self.spans else {}

        def settled(row: Row) -> Row:
            made = self._settled(keyed(row), across, together)
            return flagged(made, adoption(made)) if row.item in strays.adopted else made

        return settled

    def _strays(self, rows: Rows) -> Strays:
        """Pages that have no key, since their code was not read."""
        if not self.form.keys_from_code:
            return Strays()
        return find_strays(lambda: map(self._keyed, rows()), self.form.page_count)

    def _keyed(self, row: Row) -> Row:
        """The row under the key that a person typed, where the key is one of its fields."""
        key = self.form.document_key
        if key is None or key.field is None or self.policy.keyed:
            return row
        verdict = self.verdicts.get((row.item, key.field))
        if verdict is None or verdict.value in (None, UNREADABLE):
            return row
        return replace(row, document_key=verdict.value)

    def _settled(
        self, row: Row, across: AcrossPages, together: Mapping[int, list[FieldResult]]
    ) -> Row:
        stock = across.stock
        if (counts := stock.dropped.get(row.item)) is not None:
            why = f"duplicate of item {counts}, which counts (--doubles {self.policy.doubles})"
            return row.failed(Code.DUPLICATE, why)
        if (why := stock.refused.get(row.item, "")) and row.status is not Status.ERROR:
            return row.failed(Code.UNREGISTERED, why)
        if row.fields:
            row = rolled_up(row, together.get(row.item) or across.alone(row))
        elif row.item in stock.held and row.status is not Status.ERROR:
            row = replace(row, status=Status.REVIEW, code=Code.DUPLICATE, message=DUPLICATED)
        if (lack := stock.missing.get(row.item)) is not None:
            row = flagged(row, lack)
        if self._has_keys and not row.document_key:
            row = flagged(row, "no key was found, so the page is a document of its own")
        return row


@dataclass(frozen=True)
class Settlements:
    """Everything needed to settle the rows of a job of several forms, by each form's hash."""

    parts: Mapping[str, Settlement]

    @property
    def changes(self) -> bool:
        """Whether any row may come out otherwise than the worker wrote it."""
        return any(part.changes for part in self.parts.values())

    def settle(self, rows: Rows, heads: Rows | None = None) -> Iterator[Row]:
        """The rows as they hold, in their order, each by its own form."""
        by_form = {
            form_hash: part.prepared(_of_form(form_hash, rows), _of_form(form_hash, heads or rows))
            for form_hash, part in self.parts.items()
        }
        for row in rows():
            settle = by_form.get(row.form_hash)
            yield settle(row) if settle is not None else row


def _of_form(form_hash: str, rows: Rows) -> Rows:
    return lambda: (row for row in rows() if row.form_hash == form_hash)
