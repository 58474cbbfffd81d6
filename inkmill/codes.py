"""Statuses, codes and exit codes: each defined here and nowhere else."""

from __future__ import annotations

from enum import IntEnum, StrEnum

#: The working point of single images and fields alike: a value is accepted if it is right with
#: this probability, unless a field's target error says otherwise. What that amounts to is in
#: docs/explanation/recognition-accuracy.md.
LEAST_CERTAINTY = 0.99


class Status(StrEnum):
    """How an item, or one of its fields, ended. The worst field status is the item's."""

    OK = "ok"
    REVIEW = "review"
    ERROR = "error"


class Code(StrEnum):
    """Why a row or a field is not simply ok."""

    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    EMPTY_FILE = "EMPTY_FILE"
    TRUNCATED = "TRUNCATED"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED = "UNSUPPORTED"
    MISSING = "MISSING"
    TIMEOUT = "TIMEOUT"
    CRASHED = "CRASHED"
    QUARANTINED = "QUARANTINED"
    CANCELLED = "CANCELLED"
    UNREGISTERED = "UNREGISTERED"
    WRONG_FORM = "WRONG_FORM"
    WRONG_SIZE = "WRONG_SIZE"
    FAINT = "FAINT"
    BLANK_PAGE = "BLANK_PAGE"
    CUT_OFF = "CUT_OFF"
    DUPLICATE = "DUPLICATE"
    BLANK = "BLANK"
    NOT_A_DIGIT = "NOT_A_DIGIT"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    RULE_FAILED = "RULE_FAILED"
    #: The field's target error is not proven yet: see `inkmill calibrate`.
    UNPROVEN = "UNPROVEN"
    #: A rule changed the value, as the template lets it; the status may still be ok.
    REPAIRED = "REPAIRED"


class PageBy(StrEnum):
    """How it was determined which page of the form an item is."""

    UNKNOWN = ""
    #: Its page code says so.
    CODE = "code"
    #: No other page of the form looks like it.
    LOOK = "look"
    #: Several pages look like it, and it is the one whose turn it was in its file.
    ORDER = "order"


class Exit(IntEnum):
    """Exit codes of the command line; scripts depend on them."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    ROWS_IN_ERROR = 3
    NOT_FINISHED = 4
    UNREACHABLE = 5


#: What ``raw`` holds where a cell has no digit.
EMPTY_CELL = "_"
UNREAD_CELL = "?"

_SEVERITY = {Status.OK: 0, Status.REVIEW: 1, Status.ERROR: 2}


def worst(statuses: list[Status]) -> Status:
    """The worst of several statuses; ok for none."""
    return max(statuses, key=_SEVERITY.__getitem__, default=Status.OK)
