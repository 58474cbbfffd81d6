"""From fields as read to fields as judged: rules asked, proposals made, statuses given.

A field that breaks a rule goes to review, and so do the fields of a check that does not hold,
since it is not known which of them is wrong; but not one that another check, which holds, proves
all the same, nor one that is sure while a misreading elsewhere accounts for the failure. The values
that the rules make most probable are proposed. A field that was not read surely may still be sure
because of a rule that it keeps: a sum that comes out right is strong evidence. How much a check
says of which a field is only partly read, the decoder computes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from inkmill.codes import UNREAD_CELL, Code, Status
from inkmill.records.rows import REPAIR, CellReading, FieldResult
from inkmill.rules import kept
from inkmill.rules.evidence import Evidence, Tied, problem, tie_of, weigh
from inkmill.rules.joint.decode import SUREST
from inkmill.rules.statuses import LEAST_CERTAINTY, doubted, log_odds, unseen
from inkmill.template.form import Form

#: Fields read as surely as this need no help of the rules, as long as all of them hold.
SURE = 0.995
#: A repair is made when the proposal is right with this probability: that is, where the reading
#: wavered between the two, and not where the paper may well be wrong.
_REPAIR_CERTAINTY = 0.99

#: A misreading accounts for a failed check if the paper is wrong with at most this probability.
_MOST_BLAME = 0.2

#: What is wrong with a field: the rule's word, and the message.
_Fault = tuple[str, str]


def judge(
    form: Form,
    results: Sequence[FieldResult],
    typed: Mapping[str, str] | None = None,
    sure: float = SURE,
    covered: Collection[str] = (),
) -> list[FieldResult]:
    """The fields with their statuses, in the same order.

    ``results`` are those of a page, or of a whole document; checks that need other fields are
    left out. ``typed`` are people's values: they are certain, and break no rule, since a person
    has looked. ``sure`` is the confidence above which a field needs no margin. ``covered`` are
    fields whose printed lines were not found: what was read there goes to review, and is evidence
    for nothing.
    """
    typed = typed or {}
    hidden = {
        each.name: each for each in results if each.name in covered and each.name not in typed
    }
    shown = [_as_unread(each) if each.name in hidden else each for each in results]
    return [
        _unseen(hidden[each.name], each) if each.name in hidden else each
        for each in _Judgement(form, shown, typed, sure).results()
    ]


def _as_unread(result: FieldResult) -> FieldResult:
    """A field of which nothing is known but the number of its cells."""
    cells = tuple(CellReading(UNREAD_CELL, 1.0) for _ in result.cells)
    return replace(
        result,
        value="",
        cells=cells,
        strings=(),
        confidence=0.0,
        status=Status.REVIEW,
        code=Code.NOT_A_DIGIT,
    )


def _unseen(read: FieldResult, judged: FieldResult) -> FieldResult:
    """The field as it was read, in review, with what the rules say of it without that reading."""
    return unseen(replace(read, proposed=judged.proposed, rule=judged.rule, margin=judged.margin))


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
            broken: Mapping[str, _Fault] = self._broken(group, ties)
            if broken or self._doubtful(group, ties):
                broken = self._decoded(group, ties, broken)
            for name in group:
                self._results[name] = self._status(name, broken.get(name))
        return [self._results[name] for name in self._order]

    def _decoded(
        self, group: Sequence[str], ties: Sequence[Tied], broken: Mapping[str, _Fault]
    ) -> Mapping[str, _Fault]:
        """Proposals and margins of a group, and which of its fields are broken all the same."""
        fields = {name: self._fields[name] for name in group}
        evidence = weigh(fields, self._results, self._typed, ties)
        if evidence is None:
            return broken
        if broken and self._repair(group, ties, evidence):
            self._record(group, ties, evidence, fixed=group)
            return {}
        if broken:
            broken = self._broken(group, ties, evidence.decoded.wrong)
        proven = self._proven(broken, ties, evidence)
        broken = {name: fault for name, fault in broken.items() if name not in proven}
        self._record(group, ties, evidence, fixed=list(broken))
        return broken

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

    def _broken(
        self, group: Sequence[str], ties: Sequence[Tied], wrong: Sequence[float] = ()
    ) -> dict[str, _Fault]:
        """Fields that break a rule or stand in a check that fails: which, and in what words.

        ``wrong`` gives, by check, how probably it is the paper that is wrong.
        """
        found: dict[str, _Fault] = {}
        for place, tie in enumerate(ties):
            problem = self._problem(tie)
            if problem is not None:
                if wrong:
                    problem = f"{problem}; {_on_paper(wrong[place])}"
                found.update(dict.fromkeys(tie.names, (tie.word, problem)))
        for name in group:
            if (fault := self._own_fault(name)) is not None:
                found[name] = fault
        return found

    def _own_fault(self, name: str) -> _Fault | None:
        """The first of its own rules that a field breaks."""
        value = self._results[name].value
        rule = kept.broken(self._fields[name], value)
        if rule is None:
            return None
        return rule.word, f"{rule.word}: {kept.wanted(rule)}, but this is {value}"

    def _problem(self, tie: Tied) -> str | None:
        """What is wrong with a check; None when it holds or a value for it is missing."""
        if any(self._unread(name) for name in tie.names):
            # The unread field is in review already; the others may be right.
            return None
        decimals = self._fields[tie.names[-1]].decimals
        values = {name: self._results[name].value for name in tie.names}
        return problem(tie, values, decimals)

    def _unread(self, name: str) -> bool:
        result = self._results[name]
        return result.code in (Code.NOT_A_DIGIT, Code.BLANK) and name not in self._typed

    def _doubtful(self, group: Sequence[str], ties: Sequence[Tied]) -> bool:
        """Whether rules can say something about a field of the group that the reading can not."""
        return any(
            name not in self._typed
            and (self._results[name].confidence < self._sure or self._unread(name))
            and (bool(ties) or bool(self._fields[name].rules))
            for name in group
        )

    # --- what the rules make most probable -------------------------------------------------------

    def _proven(
        self, broken: Mapping[str, _Fault], ties: Sequence[Tied], evidence: Evidence
    ) -> set[str]:
        """Fields of failed checks that are right all the same.

        The odds are against all else, also that this field is what the other check fails by. A
        check that fails keeps fields in review, so that somebody sees it.
        """
        least = log_odds(LEAST_CERTAINTY)
        proven = {
            name
            for name in broken
            if name not in self._typed
            and self._own_fault(name) is None
            and self._accounted_for(name, ties, evidence)
            and evidence.whole
            and evidence.margin(name, self._results[name].value) >= least
        }
        failing = [set(tie.names) for tie in ties if self._problem(tie) is not None]
        return proven.difference(*(names for names in failing if names <= proven))

    def _accounted_for(self, name: str, ties: Sequence[Tied], evidence: Evidence) -> bool:
        """Whether a check that holds speaks for a field, or each that fails has its misreading.

        If instead the paper had to be blamed, the failure might be the only sign of an error that
        the network is sure of.
        """
        mine = [
            (tie, wrong)
            for tie, wrong in zip(ties, evidence.decoded.wrong, strict=True)
            if name in tie.names
        ]
        if any(self._held(tie) for tie, _ in mine):
            return True
        failing = [wrong for tie, wrong in mine if self._problem(tie) is not None]
        return bool(failing) and max(failing) <= _MOST_BLAME

    def _record(
        self, group: Sequence[str], ties: Sequence[Tied], evidence: Evidence, fixed: Sequence[str]
    ) -> None:
        """Proposals and margins; ``fixed`` are fields for which all rules are to be kept."""
        for name in group:
            likeliest = evidence.decoded.likeliest(name)
            value = evidence.decoded.kept.get(name, likeliest) if name in fixed else likeliest
            if value is None:
                continue
            result = self._results[name]
            checks = sorted(
                (tie for tie in ties if name in tie.names), key=lambda tie: not self._held(tie)
            )
            words = [tie.word for tie in checks] + [rule.word for rule in self._fields[name].rules]
            margin = self._margin(name, value, ties, evidence)
            if not fixed and value == result.value and self._supported(name, ties):
                # What is not looked at, and counted against it, makes it no less sure.
                margin = max(margin, min(log_odds(result.confidence), SUREST))
            self._results[name] = replace(
                result, proposed=value, rule=words[0] if words else "", margin=margin
            )

    def _supported(self, name: str, ties: Sequence[Tied]) -> bool:
        """Whether a field was read and its checks hold, and no other check of its group fails."""
        if self._unread(name) or any(self._problem(tie) is not None for tie in ties):
            return False
        return all(self._held(tie) for tie in ties if name in tie.names)

    def _margin(self, name: str, value: str, ties: Sequence[Tied], evidence: Evidence) -> float:
        """The log odds of a value; of one that no check speaks for, that it is legible as well.

        A list or a range that forbids the other digits does not make a scribble one, and a
        check that another field leaves open does not either.
        """
        mine = [tie for tie in ties if name in tie.names]
        open_ = value == self._results[name].value and not any(map(self._held, mine))
        spoken_for = name in self._typed or self._has_check_digit(name)
        return evidence.margin(name, value, legible=not spoken_for and (open_ or not mine))

    def _has_check_digit(self, name: str) -> bool:
        """Whether a check digit speaks for the field's value, as a sum would."""
        return any(rule.check_digit is not None for rule in self._fields[name].rules)

    def _held(self, tie: Tied) -> bool:
        """Whether a check was made, and held."""
        return self._problem(tie) is None and not any(self._unread(name) for name in tie.names)

    def _repair(self, group: Sequence[str], ties: Sequence[Tied], evidence: Evidence) -> bool:
        """Put in what the rules propose, if every field that changes asks for it and is sure."""
        wanted = evidence.decoded.kept
        changed = [name for name in wanted if self._results[name].value != wanted[name]]
        least = log_odds(_REPAIR_CERTAINTY)
        if not changed or any(
            not self._fields[name].repair
            or name in self._typed
            or self._margin(name, wanted[name], ties, evidence) < least
            for name in changed
        ):
            return False
        before = dict(self._results)
        for name in changed:
            result = self._results[name]
            self._results[name] = replace(
                result, value=wanted[name], source=REPAIR, code=None, message=result.value
            )
        if self._broken(group, ties):
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


def _on_paper(wrong: float) -> str:
    """How probably it is the paper that breaks a check, and not a misreading."""
    return f"the paper itself is wrong with probability {min(max(wrong, 0.01), 0.99):.2f}"
