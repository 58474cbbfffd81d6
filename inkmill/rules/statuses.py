"""How certain a value is, and which status that gives its field and its row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from inkmill.codes import LEAST_CERTAINTY, Code, Status, worst
from inkmill.records.rows import FieldResult, Row

__all__ = ["LEAST_CERTAINTY", "certainty", "doubted", "rolled_up", "unseen"]


def log_odds(probability: float) -> float:
    """The natural logarithm of a probability's odds."""
    probability = max(probability, 1e-12)
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def certainty(result: FieldResult) -> float:
    """The probability that a value is right, given its reading and the rules.

    The margin says it where rules were asked. A value that is not the one proposed is no surer
    than the proposal leaves it.
    """
    asked = bool(result.rule) and bool(result.proposed or result.margin)
    if not asked:
        return result.confidence
    if result.proposed == result.value:
        return 1 / (1 + math.exp(-result.margin))
    return min(result.confidence, 1 / (1 + math.exp(result.margin)))


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
