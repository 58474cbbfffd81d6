"""The settled fields of a page or document: people's values, and proven thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from inkmill.codes import Code, Status
from inkmill.records.events import UNREADABLE, Place, Verdict
from inkmill.records.rows import REVIEW, FieldResult, Row
from inkmill.rules.accept import Acceptance, Threshold
from inkmill.rules.judge import SURE, judge
from inkmill.rules.meaning import read_again
from inkmill.rules.statuses import doubted
from inkmill.template.form import Form


@dataclass(frozen=True, slots=True)
class SettledFields:
    """Settles fields by what is known of a form: see `inkmill.rules.settle.Settlement`."""

    form: Form
    verdicts: Mapping[Place, Verdict]
    acceptance: Callable[[str, str], Acceptance]

    def of(self, pages: Sequence[Row]) -> list[FieldResult]:
        """The fields of one page, or of all pages of a document, judged again where needed."""
        results = [result for row in pages for result in row.fields]
        place_of = {result.name: row.item for row in pages for result in row.fields}
        said = {
            name: verdict
            for name, item in place_of.items()
            if (verdict := self.verdicts.get((item, name))) is not None
        }
        known = self.acceptance(pages[0].model, pages[0].precision)
        if said or len(pages) > 1 or _needs_margins(results, known):
            results = self._judged(results, said, known)
        return [_accepted(result, known) for result in results]

    def _judged(
        self,
        results: Sequence[FieldResult],
        said: Mapping[str, Verdict],
        known: Acceptance,
    ) -> list[FieldResult]:
        fields = {each.name: each for each in self.form.all_fields}
        as_read = [read_again(fields[result.name], result) for result in results]
        typed = {
            name: verdict.value
            for name, verdict in said.items()
            if verdict.value is not None and verdict.value != UNREADABLE
        }
        covered = {each.name for each in results if each.code is Code.UNREGISTERED} - said.keys()
        sure = max([SURE, *(choice.least for choice in known.choices.values() if choice.proven)])
        return [
            _said(result, said[result.name]) if result.name in said else result
            for result in judge(self.form, as_read, typed, sure, covered)
        ]


def _needs_margins(results: Sequence[FieldResult], known: Acceptance) -> bool:
    """Whether a threshold is stricter than what workers asked of a reading by itself."""
    return any(
        SURE <= result.confidence < choice.least
        for result in results
        if (choice := known.choices.get(result.name)) is not None and choice.proven
    )


def _accepted(result: FieldResult, known: Acceptance) -> FieldResult:
    """A field with a target error: by its proven threshold, or UNPROVEN."""
    choice = known.choices.get(result.name)
    if choice is None or is_typed(result):
        return result
    if result.code is Code.REPAIRED and not known.accept_unproven:
        # Labels are of what was read: they do not say how often a repair is right.
        message = f"{result.message}; repairs are not proven by labels"
        return replace(result, status=Status.REVIEW, code=Code.UNPROVEN, message=message)
    if result.code not in (None, Code.LOW_CONFIDENCE):
        return result
    if choice.proven:
        return doubted(_by(choice, result), choice.least)
    if known.accept_unproven or result.status is not Status.OK:
        return result
    message = choice.words()
    return replace(result, status=Status.REVIEW, code=Code.UNPROVEN, message=message)


def _by(choice: Threshold, result: FieldResult) -> FieldResult:
    """A model's own labels say nothing about rules: then only the reading counts."""
    return replace(result, proposed="", rule="") if choice.by == "model" else result


def _said(result: FieldResult, verdict: Verdict) -> FieldResult:
    if verdict.value is None:
        told = ", ".join(f"{who} {value!r}" for who, value in verdict.entries.items())
        message = f"people disagree: {told}"
        return replace(failed(result, message, "double entry"), proposed="", margin=0.0)
    who = " and ".join(verdict.who)
    if verdict.value == UNREADABLE:
        message = f"{who} could not read it either"
        return replace(
            result, status=Status.REVIEW, code=Code.NOT_A_DIGIT, message=message, value=""
        )
    # A person's entry is final, also for a checkbox, which nothing judges.
    source = f"{REVIEW}:{'+'.join(verdict.who)}"
    accepted = replace(result, status=Status.OK, code=None, message="")
    return replace(accepted, value=verdict.value, source=source)


def failed(
    result: FieldResult, message: str, rule: str, code: Code = Code.RULE_FAILED
) -> FieldResult:
    """The field in review, for a rule that it breaks."""
    return replace(result, status=Status.REVIEW, code=code, message=message, rule=rule)


def is_typed(result: FieldResult) -> bool:
    """Whether a person entered the value."""
    return result.source.startswith(REVIEW)
