"""Rules that need other pages: checks between pages of a document, lists of a whole job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from inkmill.codes import Code
from inkmill.records.rows import FieldResult, Row
from inkmill.rules import roster
from inkmill.rules.documents import Documents, page_of
from inkmill.rules.settled_fields import SettledFields, failed, is_typed
from inkmill.template.fields import Check
from inkmill.template.form import Form, FormField

Rows = Callable[[], Iterable[Row]]

DUPLICATED = "this document has duplicate pages"


def listed_once(form: Form) -> tuple[str, ...]:
    """Fields of which each value may occur once in a job."""
    return tuple(each.name for each in form.all_fields if any(rule.once for rule in each.rules))


def spans_pages(form: Form) -> bool:
    """Whether a rule of the form concerns more than one page."""
    checked = ({each.page for each in fields_of(form, check)} for check in form.checks)
    return any(len(pages) > 1 for pages in checked) or bool(listed_once(form))


def fields_of(form: Form, check: Check) -> tuple[FormField, ...]:
    """The fields that a check is about."""
    words = (*(check.sum or check.equal or ()), *filter(None, [check.equals]))
    names = {name for word in words for name in form.names_in(word)}
    return tuple(field for field in form.all_fields if field.name in names)


@dataclass(frozen=True, slots=True)
class AcrossPages:
    """Goes through all rows of a form and says which items change because of others."""

    form: Form
    fields: SettledFields
    stock: Documents

    def of(self, rows: Rows) -> dict[int, list[FieldResult]]:
        """The fields of those items, by number. ``rows`` gives all rows each time it is called.

        The fields of documents with pages still to come are held in memory.
        """
        waiting: dict[tuple[str, int, int], dict[int, Row]] = {}
        found: dict[int, list[FieldResult]] = {}
        claims = roster.Claims(self.form, listed_once(self.form))
        for row in rows():
            if not row.fields or row.item in self.stock.dropped or row.item in self.stock.refused:
                continue
            if row.item in self.stock.held:
                # By itself: with which of the others it belongs together is not known.
                if self.stock.held[row.item] == row.item:
                    claims.add(row.item, self.fields.of([row]))
                continue
            document = self.stock.of(row, self.form)
            pages = waiting.setdefault(document, {})
            pages[page_of(row, self.form)] = row
            if len(pages) == self.form.page_count:
                found.update(self._together(list(waiting.pop(document).values()), claims))
        for pages in waiting.values():
            found.update(self._together(list(pages.values()), claims))
        self._flag_claimed(rows, claims, found)
        return found

    def alone(self, row: Row) -> list[FieldResult]:
        """The fields of a page by itself; those of a duplicate page are in review."""
        results = self.fields.of([row])
        if row.item not in self.stock.held:
            return results
        return [
            result if is_typed(result) else failed(result, DUPLICATED, "pages", Code.DUPLICATE)
            for result in results
        ]

    def _together(self, pages: list[Row], claims: roster.Claims) -> dict[int, list[FieldResult]]:
        pages.sort(key=lambda row: page_of(row, self.form))
        results = {result.name: result for result in self.fields.of(pages)}
        if len(pages) < self.form.page_count:
            for name in self._unchecked(set(results)):
                if is_typed(results[name]):
                    continue
                message = "a page of this document is missing, so a check cannot be evaluated"
                results[name] = failed(results[name], message, "pages")
        for row in pages:
            claims.add(row.item, [results[each.name] for each in row.fields])
        changed = {row.item: [results[each.name] for each in row.fields] for row in pages}
        return {
            row.item: changed[row.item] for row in pages if list(row.fields) != changed[row.item]
        }

    def _unchecked(self, there: set[str]) -> set[str]:
        """Fields of checks that also need a page that did not come."""
        names = [{each.name for each in fields_of(self.form, check)} for check in self.form.checks]
        return {name for group in names if group - there for name in group & there}

    def _flag_claimed(
        self, rows: Rows, claims: roster.Claims, found: dict[int, list[FieldResult]]
    ) -> None:
        """Values of a list that several documents claim."""
        disputes = claims.disputes()
        if not disputes:
            return
        for row in rows():
            if row.item not in disputes:
                continue
            results = found.get(row.item) or self.alone(row)
            found[row.item] = [
                _claimed(result, disputes[row.item][result.name])
                if result.name in disputes[row.item] and not is_typed(result)
                else result
                for result in results
            ]


def _claimed(result: FieldResult, dispute: roster.Dispute) -> FieldResult:
    return replace(
        failed(result, dispute.message, "once"),
        proposed=dispute.proposed,
        margin=dispute.margin,
    )
