"""Which task a doubtful field belongs to, and who may do it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from inkmill.codes import LEAST_CERTAINTY, Code, Status
from inkmill.desk.review.tasks import DECIDE, GROUP, KEY, SECOND, Asked, Flags, Options
from inkmill.records.events import AUDIT, DECIDED, UNREADABLE, Place, Verdict
from inkmill.records.rows import FieldResult, Row
from inkmill.rules.meaning import meaning
from inkmill.template.form import FormField

#: Where so many people differ, or cannot read a field, a supervisor decides.
MOST_PEOPLE, MOST_UNREADABLE = 3, 2


@dataclass(frozen=True, slots=True)
class Chosen:
    """A field and the kind of its task; ``digit`` and ``doubt`` (0 to 1) are a group's."""

    kind: str
    asked: Asked
    digit: str = ""
    doubt: float = 0.0
    not_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Chooses by what people did so far and by how the job is to be reviewed.

    ``double`` are fields of which the template wants two keyings.
    """

    verdicts: Mapping[Place, Verdict]
    flags: Flags
    options: Options

    def of(self, row: Row, field: FormField, result: FieldResult) -> Chosen | None:
        """What is asked about a field of a page; None where it needs nobody."""
        place = row.item, field.name
        verdict = self.verdicts.get(place)
        if field.type == "image" or row.item in self.flags.pages:
            return None
        if verdict is not None:
            return self._again(place, field, result, verdict)
        if result.status is not Status.REVIEW:
            return None
        reason = f"{result.code}: {result.message}" if result.code else ""
        asked = Asked(*place, result.value, _proposal(result), reason[:1000])
        cell = deciding_cell(field, result)
        if cell is None or place in self.flags.skipped or self.options.hidden:
            return Chosen(KEY, asked)
        read = result.cells[cell]
        return Chosen(GROUP, replace(asked, cell=cell), read.symbol, 1 - read.confidence)

    def _again(
        self, place: Place, field: FormField, result: FieldResult, verdict: Verdict
    ) -> Chosen | None:
        """A field that somebody entered: another looks where it is doubtful, or wanted twice."""
        people = tuple(verdict.entries)
        if verdict.source == DECIDED:
            return None
        asked = Asked(*place, result.value)
        if verdict.differs:
            if len(people) >= MOST_PEOPLE:
                return Chosen(DECIDE, asked)
            return Chosen(SECOND, asked, not_by=people)
        if verdict.value == UNREADABLE:
            if len(people) >= MOST_UNREADABLE:
                return Chosen(DECIDE, asked)
            return Chosen(KEY, asked, not_by=people)
        once = len(people) == 1 and verdict.source != AUDIT
        if once and (field.double_entry or self._drawn(place, field.name)):
            return Chosen(SECOND, asked, not_by=people)
        return None

    def _drawn(self, place: Place, name: str) -> bool:
        """Whether a second person keys this field: the same whenever and by whom it is asked."""
        if name in self.options.second_fields:
            return True
        digest = hashlib.sha256(f"second {place[0]} {place[1]}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.options.second_share


def _proposal(result: FieldResult) -> str:
    """What Enter takes: what the rules make most probable, else what was read."""
    return result.proposed or result.value


def deciding_cell(field: FormField, result: FieldResult) -> int | None:
    """The one cell that keeps a field in review; None where more than a look at it is needed.

    All other cells are read as surely as a field must be, no rule is broken, and no other value is
    proposed: whoever confirms the digit settles the field.
    """
    if (
        not field.read
        or result.code is not Code.LOW_CONFIDENCE
        or len(result.cells) != len(result.raw)
    ):
        return None
    if result.proposed not in ("", result.value) or not result.value:
        return None
    confidences = [each.confidence for each in result.cells]
    cell = min(range(len(confidences)), key=confidences.__getitem__)
    others = math.prod(confidences[:cell] + confidences[cell + 1 :])
    digit = result.cells[cell].symbol
    return cell if digit.isdigit() and others >= LEAST_CERTAINTY else None


def with_digit(field: FormField, raw: str, cell: int, digit: str) -> str | None:
    """The value of a field in which one cell holds another digit than was read; None for none."""
    return meaning(field, f"{raw[:cell]}{digit}{raw[cell + 1 :]}") or None
