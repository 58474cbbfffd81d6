"""Form pages for tests of rules and review: readings made up, rows without pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inkmill.codes import EMPTY_CELL, UNREAD_CELL
from inkmill.records.rows import SYMBOLS, CellReading, FieldResult, Row
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_field
from inkmill.rules.statuses import rolled_up
from inkmill.template.form import Form

HEAD = """
inkmill_form: 1
name: tally
page: {width: 210, height: 297}
registration: {marks: {at: [[10, 10], [200, 10], [200, 287], [10, 287]], odd: {at: [105, 10]}}}
"""


def form(fields: Mapping[str, str], checks: str = "", more: str = "") -> Form:
    """A form whose fields stand below each other; ``fields`` gives the rest of each as YAML."""
    lines = [
        f"  - {{name: {name}, cells: {{origin: [20, {30 + 4 * (n % 60)}], size: [3, 3], "
        f"pitch: [3.5, 0], count: {_count(rest)}}}, {_without_count(rest)}}}"
        for n, (name, rest) in enumerate(fields.items())
    ]
    text = HEAD + more + "fields:\n" + "\n".join(lines) + (f"\nchecks:\n{checks}" if checks else "")
    return Form.parse(text)


def _count(rest: str) -> str:
    return rest.split("|", 1)[0]


def _without_count(rest: str) -> str:
    return rest.split("|", 1)[1]


def cell(symbol: str, confidence: float = 0.999, **others: float) -> CellReading:
    """A reading: ``others`` are further symbols with their probabilities (d7 is the digit 7)."""
    named = {name.lstrip("d"): value for name, value in others.items()}
    spread = (1 - confidence - sum(named.values())) / (len(SYMBOLS) - 1 - len(named))
    known = symbol if symbol in SYMBOLS else UNREAD_CELL
    odds = [confidence if s == known else named.get(s, max(spread, 0.0)) for s in SYMBOLS]
    second = max(named.items(), key=lambda each: each[1], default=("", 0.0))
    return CellReading(symbol, confidence, tuple(odds), *second)


def empty() -> CellReading:
    return CellReading(EMPTY_CELL, 1.0)


def fields_of(
    form: Form,
    raw: Mapping[str, str],
    doubts: Mapping[tuple[str, int], CellReading] | None = None,
    page: int = 1,
) -> list[FieldResult]:
    """The fields as read, each cell surely unless ``doubts`` gives its reading."""
    doubts = doubts or {}
    return [
        read_field(
            field,
            [
                doubts.get((field.name, place), empty() if symbol == EMPTY_CELL else cell(symbol))
                for place, symbol in enumerate(raw[field.name])
            ],
        )
        for field in form.page_fields(page)
        if field.read
    ]


def judged(
    form: Form,
    raw: Mapping[str, str],
    doubts: Mapping[tuple[str, int], CellReading] | None = None,
    typed: Mapping[str, str] | None = None,
) -> dict[str, FieldResult]:
    return {each.name: each for each in judge(form, fields_of(form, raw, doubts), typed)}


def row(
    form: Form,
    item: int,
    raw: Mapping[str, str],
    doubts: Mapping[tuple[str, int], CellReading] | None = None,
    page: int = 1,
    key: str = "",
    model: str = "ab" * 32,
) -> Row:
    """A row as a worker writes it."""
    results = judge(form, fields_of(form, raw, doubts, page))
    made = Row(item, f"scan_{item:04d}.png", 1, document_key=key, form=form.name, model=model)
    made = rolled_up(made, results)
    return Row(**{**{name: getattr(made, name) for name in made.__slots__}, "precision": "float32"})


def values(results: Iterable[FieldResult]) -> dict[str, str]:
    return {each.name: each.value for each in results}
