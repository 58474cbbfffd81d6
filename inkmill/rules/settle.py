"""From rows as workers wrote them to rows as they hold: people's values, whole documents.

A worker sees one page. What needs more is done when rows are taken out, as a function of the
rows and of what is stored beside them and of nothing else: the same whatever the order, size or
number of chunks and engines (docs/decisions has why it is not written back).

- values that people entered, and the rules of those documents asked again with them;
- checks between fields of several pages; pages that are missing or there twice;
- lists of which each value may be had once in a job;
- thresholds that are proven for a target error, or the word UNPROVEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from inkmill.codes import Code, Status
from inkmill.records.events import UNREADABLE, Place, Verdict
from inkmill.records.rows import REVIEW, FieldResult, Row
from inkmill.rules import roster
from inkmill.rules.accept import Acceptance, Choice
from inkmill.rules.documents import Documents, Policy, flagged, page_of, take_stock
from inkmill.rules.judge import SURE, doubted, judge, rolled_up, unseen
from inkmill.rules.meaning import read_field
from inkmill.rules.ties import fields_of
from inkmill.template.form import Form

Rows = Callable[[], Iterable[Row]]
Settle = Callable[[Row], Row]

_DOUBLED = "a page of this document is there more than once"


@dataclass(frozen=True)
class Settlement:
    """What is known beside the rows that were read by one form.

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
        across = any(
            len({each.page for each in fields_of(self.form, check)}) > 1
            for check in self.form.checks
        )
        return across or bool(self._listed_once)

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
        return self.policy.keyed or self.form.document_key is not None

    @cached_property
    def _listed_once(self) -> tuple[str, ...]:
        return tuple(
            each.name for each in self.form.all_fields if any(rule.once for rule in each.rules)
        )

    def settle(self, rows: Rows, heads: Rows | None = None) -> Iterator[Row]:
        """The rows as they hold, in their order; see `prepared`."""
        yield from map(self.prepared(rows, heads), rows())

    def prepared(self, rows: Rows, heads: Rows | None = None) -> Settle:
        """What makes of each row the one that holds.

        ``rows`` gives all of them anew each time it is called, ``heads`` the same, perhaps
        without their fields: they are gone through here where pages may belong together, and the
        rows themselves if a rule concerns more than one page. Then the fields of documents with
        pages still to come are held in memory.
        """
        if not self.changes:
            return lambda row: row
        stock = Documents()
        if self.keeps_documents:
            stock = take_stock(map(self._keyed, (heads or rows)()), self.form, self.policy)
        together = self._together_all(lambda: map(self._keyed, rows()), stock) if self.spans else {}
        return lambda row: self._settled(self._keyed(row), stock, together)

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
        self, row: Row, stock: Documents, together: Mapping[int, list[FieldResult]]
    ) -> Row:
        if (counts := stock.dropped.get(row.item)) is not None:
            why = f"item {counts} is the same page, and counts (--doubles {self.policy.doubles})"
            return row.failed(Code.DUPLICATE, why)
        if row.fields:
            fields = together.get(row.item) or self._alone(row, stock)
            row = rolled_up(row, fields)
        if (lack := stock.missing.get(row.item)) is not None:
            row = flagged(row, lack)
        if self._has_keys and not row.document_key:
            row = flagged(row, "no key was found for it, so it is a document by itself")
        return row

    def _alone(self, row: Row, stock: Documents) -> list[FieldResult]:
        """The fields of a page by itself; if it is held, nobody knows whether they count."""
        results = self._fields([row])
        if row.item not in stock.held:
            return results
        return [
            result if _is_typed(result) else _failed(result, _DOUBLED, "pages", Code.DUPLICATE)
            for result in results
        ]

    # --- one page or document ------------------------------------------------------------------

    def _fields(self, pages: Sequence[Row]) -> list[FieldResult]:
        """The fields of one page, or of all pages of a document, judged again where needed."""
        results = [result for row in pages for result in row.fields]
        place_of = {result.name: row.item for row in pages for result in row.fields}
        said = {
            name: verdict
            for name, item in place_of.items()
            if (verdict := self.verdicts.get((item, name))) is not None
        }
        known = self.acceptance(pages[0].model, pages[0].precision)
        if said or len(pages) > 1 or self._needs_margins(results, known):
            covered = {each.name for each in results if each.code is Code.UNREGISTERED}
            results = [
                unseen(result) if result.name in covered - said.keys() else result
                for result in self._judged(results, said, known)
            ]
        return [self._accepted(result, known) for result in results]

    def _judged(
        self,
        results: Sequence[FieldResult],
        said: Mapping[str, Verdict],
        known: Acceptance,
    ) -> list[FieldResult]:
        fields = {each.name: each for each in self.form.all_fields}
        anew = [
            replace(read_field(fields[result.name], result.cells), box=result.box)
            if result.cells
            else result
            for result in results
        ]
        typed = {
            name: verdict.value
            for name, verdict in said.items()
            if verdict.value is not None and verdict.value != UNREADABLE
        }
        sure = max([SURE, *(choice.least for choice in known.choices.values() if choice.proven)])
        return [
            _said(result, said[result.name]) if result.name in said else result
            for result in judge(self.form, anew, typed, sure)
        ]

    def _needs_margins(self, results: Sequence[FieldResult], known: Acceptance) -> bool:
        """Whether a threshold is stricter than what workers asked of a reading by itself."""
        return any(
            SURE <= result.confidence < choice.least
            for result in results
            if (choice := known.choices.get(result.name)) is not None and choice.proven
        )

    def _accepted(self, result: FieldResult, known: Acceptance) -> FieldResult:
        """A field with a target error: by its proven threshold, or UNPROVEN."""
        choice = known.choices.get(result.name)
        if choice is None or result.source.startswith(REVIEW):
            return result
        if result.code is Code.REPAIRED and not known.accept_unproven:
            # Labels are of what was read: how often a repair is right, they do not say.
            message = f"{result.message}; no labels prove repairs"
            return replace(result, status=Status.REVIEW, code=Code.UNPROVEN, message=message)
        if result.code not in (None, Code.LOW_CONFIDENCE):
            return result
        if choice.proven:
            return doubted(_by(choice, result), choice.least)
        if known.accept_unproven or result.status is not Status.OK:
            return result
        message = choice.words()
        return replace(result, status=Status.REVIEW, code=Code.UNPROVEN, message=message)

    # --- documents of several pages --------------------------------------------------------------

    def _together_all(self, rows: Rows, stock: Documents) -> dict[int, list[FieldResult]]:
        """The fields of those items that come out otherwise because of other pages."""
        waiting: dict[tuple[str, int, int], dict[int, Row]] = {}
        found: dict[int, list[FieldResult]] = {}
        claims = roster.Claims(self.form, self._listed_once)
        for row in rows():
            if not row.fields or row.item in stock.dropped:
                continue
            if row.item in stock.held:
                # By itself: with which of the others it belongs together is not known.
                if stock.held[row.item] == row.item:
                    claims.add(row.item, self._fields([row]))
                continue
            document = stock.of(row, self.form)
            pages = waiting.setdefault(document, {})
            pages[page_of(row, self.form)] = row
            if len(pages) == self.form.page_count:
                found.update(self._together(list(waiting.pop(document).values()), claims))
        for pages in waiting.values():
            found.update(self._together(list(pages.values()), claims))
        self._flag_claimed(rows, claims, stock, found)
        return found

    def _together(self, pages: list[Row], claims: roster.Claims) -> dict[int, list[FieldResult]]:
        pages.sort(key=lambda row: page_of(row, self.form))
        results = {result.name: result for result in self._fields(pages)}
        if len(pages) < self.form.page_count:
            for name in self._unchecked(set(results)):
                if _is_typed(results[name]):
                    continue
                message = "a page of this document is missing, so a check cannot be made"
                results[name] = _failed(results[name], message, "pages")
        for row in pages:
            claims.add(row.item, [results[each.name] for each in row.fields])
        changed = {row.item: [results[each.name] for each in row.fields] for row in pages}
        return {
            row.item: changed[row.item] for row in pages if list(row.fields) != changed[row.item]
        }

    def _unchecked(self, there: set[str]) -> set[str]:
        """Fields of checks of which some are on a page that did not come."""
        names = [{each.name for each in fields_of(self.form, check)} for check in self.form.checks]
        return {name for group in names if group - there for name in group & there}

    def _flag_claimed(
        self,
        rows: Rows,
        claims: roster.Claims,
        stock: Documents,
        found: dict[int, list[FieldResult]],
    ) -> None:
        """Values of a list that several documents claim."""
        disputes = claims.disputes()
        if not disputes:
            return
        for row in rows():
            if row.item not in disputes:
                continue
            results = found.get(row.item) or self._alone(row, stock)
            found[row.item] = [
                _claimed(result, disputes[row.item][result.name])
                if result.name in disputes[row.item] and not _is_typed(result)
                else result
                for result in results
            ]


@dataclass(frozen=True)
class Settlements:
    """What is known beside the rows of a job of several forms: by each form's hash."""

    parts: Mapping[str, Settlement]

    @property
    def changes(self) -> bool:
        """Whether any row may come out otherwise than the worker wrote it."""
        return any(part.changes for part in self.parts.values())

    def settle(self, rows: Rows, heads: Rows | None = None) -> Iterator[Row]:
        """The rows as they hold, in their order, each by its own form."""
        ways = {
            form_hash: part.prepared(_of_form(form_hash, rows), _of_form(form_hash, heads or rows))
            for form_hash, part in self.parts.items()
        }
        for row in rows():
            way = ways.get(row.form_hash)
            yield way(row) if way is not None else row


def _of_form(form_hash: str, rows: Rows) -> Rows:
    return lambda: (row for row in rows() if row.form_hash == form_hash)


def _said(result: FieldResult, verdict: Verdict) -> FieldResult:
    if verdict.value is None:
        told = ", ".join(f"{who} {value!r}" for who, value in verdict.entries.items())
        message = f"people differ: {told}"
        return replace(_failed(result, message, "double entry"), proposed="", margin=0.0)
    who = " and ".join(verdict.who)
    if verdict.value == UNREADABLE:
        message = f"{who} could not read it either"
        return replace(
            result, status=Status.REVIEW, code=Code.NOT_A_DIGIT, message=message, value=""
        )
    # A person's word ends the matter: of a checkbox, which nothing judges, as well.
    source = f"{REVIEW}:{'+'.join(verdict.who)}"
    settled = replace(result, status=Status.OK, code=None, message="")
    return replace(settled, value=verdict.value, source=source)


def _by(choice: Choice, result: FieldResult) -> FieldResult:
    """A model's own labels say nothing about rules: then only the reading counts."""
    return replace(result, proposed="", rule="") if choice.by == "model" else result


def _failed(
    result: FieldResult, message: str, rule: str, code: Code = Code.RULE_FAILED
) -> FieldResult:
    return replace(result, status=Status.REVIEW, code=code, message=message, rule=rule)


def _claimed(result: FieldResult, dispute: roster.Dispute) -> FieldResult:
    return replace(
        _failed(result, dispute.message, "once"),
        proposed=dispute.proposed,
        margin=dispute.margin,
    )


def _is_typed(result: FieldResult) -> bool:
    return result.source.startswith(REVIEW)
