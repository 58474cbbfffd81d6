"""What a browser gets of a task, and what it sends back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkmill.desk.review.behind import Behind
from inkmill.desk.review.choosing import with_digit
from inkmill.desk.review.cutting.pictures import CELL, FIELD, Wanted
from inkmill.desk.review.tasks import DECIDE, GROUP, Asked, TaskRef
from inkmill.desk.review.work import Given
from inkmill.errors import NotFound, UsageError
from inkmill.records.events import UNREADABLE, Place
from inkmill.records.rows import Row

#: Sent for a cell of a group that is left to be keyed by itself.
SKIP = "skip"


def screen(behind: Behind, given: Given, address: str, around: bool) -> dict[str, Any]:
    """A task as JSON. ``address`` is where its job's pages are; ``around``: whether the person may
    see whole pages."""
    ref, task = given.ref, given.ref.task
    rows = behind.rows(ref)
    left = {each.place for each in given.left}
    fields = [
        _field(behind, ref, rows[each.item], each, f"{address}/picture/{ref.name}/{index}")
        for index, each in enumerate(task.asked)
        if each.place in left
    ]
    for each in fields:
        each["around"] = f"{each['picture']}/around" if around else ""
    return {
        "task": ref.name,
        "kind": task.kind,
        "digit": task.digit,
        "blind": task.blind,
        "fields": fields,
    }


def _field(behind: Behind, ref: TaskRef, row: Row, asked: Asked, picture: str) -> dict[str, Any]:
    field = behind.field(ref, asked)
    blind = ref.task.blind
    result = next((each for each in row.fields if each.name == asked.field), None)
    return {
        "item": asked.item,
        "field": asked.field,
        "source": row.source,
        "page": row.page,
        "key": row.document_key,
        "cells": len(field.cells.rectangles()),
        "labels": list(field.labels),
        "type": field.type,
        "none": list(field.none_marks),
        "shown": "" if blind else asked.shown,
        "read": result.raw if result is not None and not blind else "",
        "proposed": "" if blind else asked.proposed,
        "reason": "" if blind else asked.reason,
        "picture": picture,
        "entries": behind.entries(asked) if ref.task.kind == DECIDE else [],
    }


def picture_of(behind: Behind, ref: TaskRef, index: int, kind: str = "") -> Wanted:
    """The picture of a task's field, or of the ``kind`` that is asked for. Raises NotFound."""
    if not 0 <= index < len(ref.task.asked):
        raise NotFound(f"task {ref.name} has no picture {index}")
    asked, rows = ref.task.asked[index], behind.rows(ref)
    if asked.item not in rows:
        raise NotFound(f"task {ref.name} has no row of item {asked.item}")
    usual = CELL if ref.task.kind == GROUP else FIELD
    return Wanted(rows[asked.item], kind or usual, asked.field, asked.cell)


def pictures_of(behind: Behind, ref: TaskRef) -> list[Wanted]:
    """What a task shows, in its order."""
    return [picture_of(behind, ref, index) for index in range(len(ref.task.asked))]


def group_values(
    behind: Behind, ref: TaskRef, cells: Sequence[tuple[Place, str]]
) -> Mapping[Place, str]:
    """What a screen's cells come to, as text for each field that they settle.

    Of each cell the digit, "" for the digit that was read, ``?`` for one that nobody can read, or
    `SKIP`. Raises UsageError for anything else.
    """
    values = dict[Place, str]()
    rows = behind.rows(ref)
    for place, said in cells:
        asked = ref.asked(place)
        if asked is None:
            raise NotFound(f"task {ref.name} has no field {place[1]} of item {place[0]}")
        if said == UNREADABLE:
            values[place] = UNREADABLE
        elif said == "" or said == ref.task.digit:
            values[place] = asked.shown
        elif said.isascii() and said.isdigit() and len(said) == 1:
            result = next(each for each in rows[place[0]].fields if each.name == place[1])
            field = behind.field(ref, asked)
            value = with_digit(field, result.raw, asked.cell, said)
            if value is not None:  # else the digit makes no value of the field: key it by itself
                values[place] = value
        elif said != SKIP:
            raise UsageError(f"{said!r} is not a digit: type one, ? or leave the cell for later")
    return values
