"""How certain a value is, and which status that gives its field and its row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from inkmill.codes import Code, Status, worst
from inkmill.records.rows import FieldResult, Row

#: A field is accepted when its value is right with this probability, unless its target error
#: says otherwise (docs/explanation/recognition-accuracy.md has what that amounts to).
LEAST_CERTAINTY = 0.99


def certainty(result: FieldResult) -> float:
    """The probability that a value is right, given its reading and the rules that it keeps."""
    if result.proposed != result.value or not result.rule:
        return result.confidence
    return max(result.confidence, 1 / (1 + math.exp(-result.margin)))


def unseen(result: FieldResult) -> FieldResult:
    """The field in review because its own printed lines were not found.

    Its cells may show something else, whatever rules, thresholds or other fields make of the value.
    """
    message = "its printed lines were not found: something may cover them"
    return replace(result, status=Status.REVIEW, code=Code.UNREGISTERED, message=message)


def rolled_up(row: Row, fields: Sequence[FieldResult]) -> Row:
    """The row with these fields; the first of the worst of them gives its status and code."""
    status = worst([each.status for each in fields])
    told = next((each for each in fields if each.status is status and each.code), None)
    return replace(
        row,
        fields=tuple(fields),
        status=status,
        code=told.code if told else None,
        message=f"{told.name}: {told.message}" if told else "",
        confidence=min((each.confidence for each in fields), default=None),
    )


def doubted(result: FieldResult, least: float) -> FieldResult:
    """The field in review if its value is right with less than ``least``, else ok."""
    sure = certainty(result)
    if sure >= least:
        return replace(result, status=Status.OK, code=None, message="")
    message = f"right with probability {sure:.3f}, below {least:.3f}"
    return replace(result, status=Status.REVIEW, code=Code.LOW_CONFIDENCE, message=message)
