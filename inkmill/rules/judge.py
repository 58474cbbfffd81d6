"""From fields as read to fields as judged: rules asked, proposals made, statuses given.

A field that breaks a rule goes to review, and so do all fields of a check that does not hold,
since it is not known which of them is wrong, even where another check would say. The values that
the rules make most probable are proposed. A field that was not read surely may still be sure
because of a rule that it keeps: a sum that comes out right is strong evidence. A check that cannot
be made, because one of its fields is not read, is no evidence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from inkmill.codes import Code, Status
from inkmill.records.rows import REPAIR, FieldResult
from inkmill.rules import kept, meaning
from inkmill.rules.decode import DecodedValue, Option, TooOpen, Variable, decode
from inkmill.rules.statuses import LEAST_CERTAINTY, doubted
from inkmill.rules.ties import Tied, tie_of
from inkmill.template.form import Form, FormField

#: Fields read as surely as this need no help of the rules, as long as all of them hold.
SURE = 0.995
#: A repair is made when the proposal is right with this probability: that is, where the reading
#: wavered between the two, and not where the paper may well be wrong.
_REPAIR_CERTAINTY = 0.99
#: Seconds that asking a field's rules about its probable values may take.
_MOST_SECONDS = 0.5
#: How improbable an assignment may be, as a logarithm: tried in turn, until what is not looked
#: at can weigh only so much of the best.
_BUDGETS, _LEFT_OUT = (10.0, 15.0), 1e-4


def judge(
    form: Form,
    results: Sequence[FieldResult],
    typed: Mapping[str, str] | None = None,
    sure: float = SURE,
) -> list[FieldResult]:
    """The fields with their statuses, in the same order.

    ``results`` are those of a page, or of a whole document; checks that need other fields are
    left out. ``typed`` are people's values: they are certain, and break no rule, since a person
    has looked. ``sure`` is the confidence above which a field needs no margin.
    """
    return _Judgement(form, results, typed or {}, sure).results()


class _Judgement:
    """The fields of one page or document, and what is made of them step by step."""

    def __init__(
        self, form: Form, results: Sequence[FieldResult], typed: Mapping[str, str], sure: float
    ) -> None:
        self._sure = sure
        self._order = [result.name for result in results]
        self._fields = {
            field.name: field for field in form.all_fields if field.name in set(self._order)
        }
        self._typed = typed
        self._results = {result.name: self._as_typed(result) for result in results}
        self._ties = [
            tie for check in form.checks if (tie := tie_of(form, check, self._results)) is not None
        ]

    def results(self) -> list[FieldResult]:
        for group, ties in self._groups():
            broken = self._broken(group, ties)
            if broken or self._doubtful(group, ties):
                answers = self._decode(group, ties)
                self._record(ties, answers)
                if broken and self._repair(group, ties, answers):
                    broken = {}
                elif broken and not answers:
                    self._without(group, ties, broken)
            for name in group:
                self._results[name] = self._status(name, broken.get(name))
        return [self._results[name] for name in self._order]

    def _as_typed(self, result: FieldResult) -> FieldResult:
        value = self._typed.get(result.name)
        return result if value is None else replace(result, value=value, confidence=1.0)

    def _groups(self) -> list[tuple[list[str], list[Tied]]]:
        """Fields that checks tie together, with those checks; fields of digits only."""
        group_of = {name: [name] for name in self._order if self._fields[name].read}
        for tie in self._ties:
            merged = list(dict.fromkeys(each for name in tie.names for each in group_of[name]))
            group_of.update(dict.fromkeys(merged, merged))
        groups = {id(group): group for group in group_of.values()}
        return [
            (group, [tie for tie in self._ties if tie.names[0] in group])
            for group in groups.values()
        ]

    # --- rules kept and broken -----------------------------------------------------------------

    def _broken(self, group: Sequence[str], ties: Sequence[Tied]) -> dict[str, tuple[str, str]]:
        """Fields that break a rule or stand in a check that fails: which, and in what words."""
        found: dict[str, tuple[str, str]] = {}
        for tie in ties:
            problem = self._problem(tie)
            if problem is not None:
                found.update(dict.fromkeys(tie.names, (tie.word, problem)))
        for name in group:
            result = self._results[name]
            rule = kept.broken(self._fields[name], result.value)
            if rule is not None:
                wanted = f"{rule.word}: {kept.wanted(rule)}, but this is {result.value}"
                found[name] = (rule.word, wanted)
        return found

    def _problem(self, tie: Tied) -> str | None:
        """What is wrong with a check; None when it holds or a value for it is missing."""
        if any(self._unread(name) for name in tie.names):
            # The unread field is in review already; the others may be right.
            return None
        if self._right(tie):
            return None
        numbers = {name: _number(self._results[name].value) for name in tie.names}
        if tie.check.equals is not None:
            parts = [numbers[name] for name in tie.names[:-1]]
            total = tie.names[-1]
            return f"{' + '.join(map(str, parts))} is {sum(parts)}, and {total} is {numbers[total]}"
        told = ", ".join(f"{name} {self._results[name].value or 'empty'}" for name in tie.names)
        return f"these should be the same: {told}"

    def _right(self, tie: Tied) -> bool:
        """Whether a sum comes out right; whether all values are the same, place for place."""
        if tie.check.equals is None:
            return len({self._results[name].value for name in tie.names}) == 1
        return all(self._balanced(equation) for equation in tie.equations)

    def _unread(self, name: str) -> bool:
        result = self._results[name]
        return result.code in (Code.NOT_A_DIGIT, Code.BLANK) and name not in self._typed

    def _balanced(self, equation: Mapping[str, int]) -> bool:
        return not sum(
            factor * _number(self._results[name].value) for name, factor in equation.items()
        )

    def _doubtful(self, group: Sequence[str], ties: Sequence[Tied]) -> bool:
        """Whether rules can say something about a field of the group that the reading can not."""
        return any(
            name not in self._typed
            and (self._results[name].confidence < self._sure or self._unread(name))
            and (bool(ties) or bool(self._fields[name].rules))
            for name in group
        )

    # --- what the rules make most probable -------------------------------------------------------

    def _decode(self, group: Sequence[str], ties: Sequence[Tied]) -> Mapping[str, DecodedValue]:
        """What the rules make most probable; nothing where they can not all be kept."""
        equations = [equation for tie in ties for equation in tie.equations]
        answers: Mapping[str, DecodedValue] = {}
        deadline = time.monotonic() + _MOST_SECONDS
        for budget in _BUDGETS:
            variables = [self._variable(name, math.exp(-budget), deadline) for name in group]
            if time.monotonic() > deadline:
                break  # a pattern that takes too long: in review, without a proposal
            if not all(each.options for each in variables):
                continue
            try:
                found = decode(variables, equations, budget)
            except TooOpen:
                break
            if found is not None:
                answers = found.answers
                if found.left_out < _LEFT_OUT:
                    break
        return answers

    def _without(
        self, group: Sequence[str], ties: Sequence[Tied], broken: Mapping[str, object]
    ) -> None:
        """No values keep all rules: what the checks that hold say of the fields only in them."""
        held = [tie for tie in ties if self._problem(tie) is None]
        found = self._decode(group, held)
        self._record(held, {name: each for name, each in found.items() if name not in broken})

    def _variable(self, name: str, floor: float, deadline: float) -> Variable:
        if name in self._typed or not self._results[name].cells:
            value = self._results[name].value
            return Variable(name, (Option(value, _number(value), 1.0),), 1.0)
        field = self._fields[name]
        weights: dict[str | None, float] = {}
        for meant, probability in meaning.values(field, self._results[name].cells, floor):
            weights[meant] = weights.get(meant, 0.0) + probability
        meaningless = weights.pop(None, 0.0)
        values = [(value, weight) for value, weight in weights.items() if value is not None]
        ordered = sorted(values, key=lambda each: (-each[1], each[0]))
        best, mass = (ordered[0][1] if ordered else 1.0), sum(weights.values())
        options = _kept(field, ordered, best, deadline)
        return Variable(name, options, mass / best, meaningless / best)

    def _record(self, ties: Sequence[Tied], answers: Mapping[str, DecodedValue]) -> None:
        held = {name for tie in ties if self._held(tie) for name in tie.names}
        tied = {name for tie in ties for name in tie.names}
        for name, answer in answers.items():
            words = [tie.word for tie in ties if name in tie.names]
            words += [rule.word for rule in self._fields[name].rules]
            result = self._results[name]
            margin = answer.margin
            if not (name in tied or name in self._typed or self._has_check_digit(name)):
                # A list or range that forbids the other digits does not make a scribble one.
                readable = meaning.readable(self._fields[name], result.cells)
                margin = min(margin, _log_odds(readable))
            if answer.value == result.value and name in tied - held:
                # With a field unread, a sum comes out right by what that field might have been.
                margin = min(margin, _log_odds(result.confidence))
            self._results[name] = replace(
                result, proposed=answer.value, rule=words[0] if words else "", margin=margin
            )

    def _has_check_digit(self, name: str) -> bool:
        """Whether a check digit speaks for the field's value, as a sum would."""
        return any(rule.check_digit is not None for rule in self._fields[name].rules)

    def _held(self, tie: Tied) -> bool:
        """Whether a check was made, and held."""
        return self._problem(tie) is None and not any(self._unread(name) for name in tie.names)

    def _repair(
        self, group: Sequence[str], ties: Sequence[Tied], answers: Mapping[str, DecodedValue]
    ) -> bool:
        """Put in what the rules propose, if every field that changes asks for it and is sure."""
        changed = [name for name in answers if self._results[name].value != answers[name].value]
        least = math.log(_REPAIR_CERTAINTY / (1 - _REPAIR_CERTAINTY))
        if not changed or any(
            not self._fields[name].repair or name in self._typed or answers[name].margin < least
            for name in changed
        ):
            return False
        before = dict(self._results)
        for name in changed:
            result = self._results[name]
            self._results[name] = replace(
                result, value=answers[name].value, source=REPAIR, code=None, message=result.value
            )
        if self._broken(group, ties):
            # Equal as numbers, and not place for place: then nothing is repaired.
            self._results = before
            return False
        return True

    # --- statuses --------------------------------------------------------------------------------

    def _status(self, name: str, broken: tuple[str, str] | None) -> FieldResult:
        result = self._results[name]
        if name in self._typed:
            return replace(result, status=Status.OK, code=None, message="")
        if result.source == REPAIR:
            read = result.message or result.raw
            message = f"{result.rule} requires {result.value}, but {read} was read"
            return replace(result, status=Status.OK, code=Code.REPAIRED, message=message)
        if result.code in (Code.NOT_A_DIGIT, Code.BLANK):
            return result
        if broken is not None:
            word, message = broken
            return replace(
                result, status=Status.REVIEW, code=Code.RULE_FAILED, message=message, rule=word
            )
        return doubted(result, LEAST_CERTAINTY)


def _kept(
    field: FormField, ordered: Sequence[tuple[str, float]], best: float, deadline: float
) -> tuple[Option, ...]:
    """The values that keep the field's rules, as long as there is time to find out."""
    found = list[Option]()
    for value, weight in ordered:
        if kept.broken(field, value) is None:
            found.append(Option(value, _number(value), weight / best))
        elif time.monotonic() > deadline:
            break
    return tuple(found)


def _log_odds(probability: float) -> float:
    probability = max(probability, 1e-12)
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def _number(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() else 0
