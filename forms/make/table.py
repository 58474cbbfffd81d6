"""The table of a draft, which people fill in, and the template that `form build` makes of both.

A line stands for one numbered row of boxes, for several (3 to 10), or for single boxes of a row (4
box 1 to 8). Errors name the table's line and column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from inkmill.errors import FormError
from inkmill.forms.make.places import SEVERAL, Place, places
from inkmill.forms.make.rule_text import parse_rules
from inkmill.saved_tables import table_rows
from inkmill.suggestions import did_you_mean
from inkmill.template.fields import FormField
from inkmill.template.form import Form
from inkmill.template.text import Misplaced, what

COLUMNS = (
    *("number", "page", "name", "type", "cells", "digits", "decimals", "group"),
    *("unused", "none", "empty", "optional", "rules", "choose", "labels", "sum_of"),
)
_SKIP = "skip"
TYPES = (*get_args(FormField.model_fields["type"].annotation), _SKIP)
_YES, _NO = ("yes", "y", "true", "x", "1"), ("no", "n", "false", "0", "")
#: Columns whose text is the template's, word for word.
_PLAIN = ("unused", "empty", "choose")
_COUNTER = re.compile(r"#+")
#: Where in the table an error of a template's word is written.
_COLUMN_OF = {"box": "digits", "sum": "sum_of", "equals": "sum_of"}


@dataclass
class _Line:
    """A line of the table: its number in the file, and its cells by column."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass
class _Build:
    """What was made so far; ``lines`` are those of the fields, in their order."""

    source: str
    fields: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    check_lines: list[_Line] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def wrong(self, line: _Line | int, column: str, message: str) -> FormError:
        number = line if isinstance(line, int) else line.number
        return FormError(f"{self.source}, line {number}, {column}: {message}")


def table(form: Form) -> str:
    """The CSV to fill in: a line for each field of a draft."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for number, each in enumerate(form.fields, 1):
        cells = len(each.cells.rectangles())
        given = {"page": each.page, "name": each.name, "type": each.type, "cells": cells}
        writer.writerow({"number": number, **given})
    return sink.getvalue()


def build(form: Form, filled: str, source: str) -> Form:
    """The template from a draft and its filled-in table, which errors call ``source``.

    Boxes whose lines are missing or have the type ``skip`` are left out. Raises FormError with the
    table's line and column.
    """
    build = _Build(source)
    by_number = dict(enumerate(form.fields, 1))
    taken: dict[int, list[tuple[Place, int]]] = {}
    for line in _lines(filled, build):
        for place in _places(line, by_number, build):
            others = taken.setdefault(place.row, [])
            for other, there in others:
                if place.meets(other):
                    raise build.wrong(line, "number", f"{place} is in line {there} as well")
            others.append((place, line.number))
            _add(place.of(by_number), line, build)
    if not build.fields:
        raise FormError(f"{source}: every line is left out: give at least one box a type")
    content = form.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    content |= {"inkmill_form": 1, "fields": build.fields, "checks": build.checks}
    try:
        return Form.model_validate(content)
    except ValidationError as error:
        raise _explained(error, build) from error


def _lines(filled: str, build: _Build) -> Iterator[_Line]:
    """The table's lines that have something in them. Raises FormError for its first line."""
    try:
        rows = list(table_rows(filled.removeprefix("\ufeff")))
    except ValueError as error:
        raise FormError(f"{build.source}, {error}") from None
    head = [name.strip().lower() for name in (rows or [[]])[0]]
    if "number" not in head:
        raise build.wrong(1, "number", "the first line must name the columns; this one is missing")
    for name in filter(None, head):
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS) or f": use {', '.join(COLUMNS)}"
            raise build.wrong(1, name, f"no such column{hint}")
    for number, row in enumerate(rows[1:], 2):
        cells = {name: cell.strip() for name, cell in zip(head, row, strict=False)}
        if any(cells.values()):
            yield _Line(number, cells)


def _places(line: _Line, rows: Mapping[int, FormField], build: _Build) -> list[Place]:
    try:
        found = places(line["number"], rows)
    except ValueError as error:
        raise build.wrong(line, "number", str(error)) from None
    several = len(found) > 1 and line["name"] and not line["group"]
    if several and not _COUNTER.search(line["name"]):
        raise build.wrong(
            line,
            "name",
            f"{len(found)} fields need different names: write # for the number, as in "
            f"{line['name']}_##",
        )
    return found


# --- a field -------------------------------------------------------------------------------------


def _add(drawn: FormField, line: _Line, build: _Build) -> None:
    """Make a field of a numbered row of boxes, or add the boxes to the group's field."""
    kind = line["type"].lower() or drawn.type
    if kind not in TYPES:
        hint = did_you_mean(kind, TYPES) or f": use one of {', '.join(TYPES)}"
        raise build.wrong(line, "type", f"{line['type']!r} is not a type{hint}")
    if kind == _SKIP:
        return
    boxes = [list(box) for box in drawn.cells.rectangles()]
    made = drawn.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    made |= {"type": kind, **_words(line, build)}
    group = line["group"]
    if line["digits"] and kind in ("number", "code"):
        if group or len(boxes) != 1:
            raise build.wrong(
                line,
                "digits",
                "only for a number that is written into one box: if each box of a row has its own, "
                f"give the line to boxes, as {line['number']} box 1 to {max(2, len(boxes))}",
            )
        del made["cells"]
        made |= {"box": boxes[0], "digits": _digits(line, build)}
        if line["decimals"]:
            made["decimals"] = line["decimals"]
    if group and group in build.groups:
        _join(made, boxes, build.fields[build.groups[group]], line, build)
        return
    made["name"] = _name(line, group or drawn.name, build)
    if group:
        build.groups[group] = len(build.fields)
        made["cells"] = {"boxes": boxes}
    build.fields.append(made)
    build.lines.append(line)
    if line["sum_of"]:
        parts = [part for part in re.split(r"[\s+,;]+", line["sum_of"]) if part]
        build.checks.append({"sum": parts, "equals": made["name"]})
        build.check_lines.append(line)


def _join(
    made: dict[str, Any], boxes: list[list[float]], to: dict[str, Any], line: _Line, build: _Build
) -> None:
    """Add the boxes of a line to the field of its group."""
    if made["type"] != to["type"]:
        raise build.wrong(
            line, "type", f"the other boxes of group {line['group']} have type {to['type']}"
        )
    if made.get("page", 1) != to.get("page", 1):
        raise build.wrong(line, "group", f"group {line['group']} has boxes on two pages")
    to["cells"]["boxes"] += boxes
    if made.get("labels"):
        to["labels"] = [*to.get("labels", ()), *made["labels"]]
    if made.get("lined") is False:
        to["lined"] = False


def _name(line: _Line, otherwise: str, build: _Build) -> str:
    """The field's name; # stands for its number among those of the same pattern."""
    name = line["name"] or otherwise
    counter = _COUNTER.search(name)
    if counter is None:
        return name
    count = build.counters[name] = build.counters.get(name, 0) + 1
    return f"{name[: counter.start()]}{count:0{len(counter[0])}d}{name[counter.end() :]}"


def _words(line: _Line, build: _Build) -> dict[str, Any]:
    """The words of a field that a line gives."""
    words: dict[str, Any] = {each: line[each].lower() for each in _PLAIN if line[each]}
    if line["none"]:
        marks = [mark for mark in re.split(r"[\s,;]+", line["none"].upper()) if mark]
        words["none"] = marks if len(marks) > 1 else marks[0]
    if line["page"]:
        if not line["page"].isdecimal():
            raise build.wrong(line, "page", f"{line['page']!r} is not a page: count from 1")
        words["page"] = int(line["page"])
    optional = line["optional"].lower()
    if optional not in (*_YES, *_NO):
        raise build.wrong(line, "optional", f"{line['optional']!r}: give yes or no")
    if optional in _YES:
        words["optional"] = True
    if line["rules"]:
        try:
            words["rules"] = parse_rules(line["rules"])
        except ValueError as error:
            raise build.wrong(line, "rules", str(error)) from None
    if line["labels"]:
        between = next((each for each in "|;," if each in line["labels"]), "|")
        words["labels"] = [label.strip() for label in line["labels"].split(between)]
    return words


def _digits(line: _Line, build: _Build) -> list[int]:
    """The least and the most digits of a number that is written into one box."""
    several = SEVERAL.fullmatch(line["digits"])
    least, most = (several[1], several[2]) if several else (line["digits"], line["digits"])
    if not (least.isdecimal() and most.isdecimal()):
        raise build.wrong(
            line, "digits", f"{line['digits']!r}: give how many digits it has, as 4 or 1 to 8"
        )
    return [int(least), int(most)]


# --- errors --------------------------------------------------------------------------------------


def _explained(error: ValidationError, build: _Build) -> FormError:
    """The template's errors at the table's lines and columns, one per line."""
    messages = []
    for each in error.errors(include_url=False)[:20]:
        path = tuple(each["loc"])
        line, column = _place(each, path, build)
        message = what(each, path, Form)
        messages.append(f"{build.source}, line {line}, {column}: {message}")
    return FormError("\n".join(dict.fromkeys(messages)))


def _place(each: Any, path: tuple[str | int, ...], build: _Build) -> tuple[int, str]:
    cause = each.get("ctx", {}).get("error")
    if isinstance(cause, Misplaced):
        return _place_of_word(cause.word, build)
    if len(path) > 1 and path[0] in ("fields", "checks") and isinstance(path[1], int):
        lines = build.lines if path[0] == "fields" else build.check_lines
        line = lines[path[1]]
        word = str(path[2]) if len(path) > 2 else _column_in(str(each["msg"]), line)
        return line.number, _COLUMN_OF.get(word, word)
    return 1, "the whole table"


def _place_of_word(word: str, build: _Build) -> tuple[int, str]:
    """Where a wrong name is written: where it is given twice, else where it is used."""
    given = [
        line.number
        for made, line in zip(build.fields, build.lines, strict=True)
        if made["name"] == word
    ]
    if len(given) > 1:
        return given[-1], "name"
    for line in build.check_lines:
        if word in re.split(r"[\s+,;]+", line["sum_of"]):
            return line.number, "sum_of"
    return (given[0], "name") if given else (1, "the whole table")


def _column_in(message: str, line: _Line) -> str:
    """The column that a message about a whole field is about: one it names and the line fills."""
    named = [column for column in COLUMNS if column in message and line[column]]
    return named[0] if named else "type"
