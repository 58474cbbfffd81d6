"""The figures of a job's report, gathered from its rows in one pass."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from inkmill import names
from inkmill.codes import Status
from inkmill.errors import NotFound
from inkmill.people import review
from inkmill.people.calibrate import Truth, keyed_for
from inkmill.people.lists import Line
from inkmill.people.report.charts import EDGES
from inkmill.producer.connection import Connection
from inkmill.producer.tables import output_file
from inkmill.producer.tables.export import results
from inkmill.producer.tables.originals import Cutter
from inkmill.producer.tables.settlement import templates_of
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row
from inkmill.rules import bounds
from inkmill.rules.statuses import certainty
from inkmill.template.form import Form

Kept = TypeVar("Kept")

#: Numbers of pictures for each code, and of doubtful fields.
_EXAMPLES, _DOUBTFUL = 6, 60


@dataclass
class FieldFigures:
    """The results of one field of the form over all pages."""

    read: int = 0
    review: int = 0
    people: int = 0
    repaired: int = 0
    confidence: float = 0.0
    compared: int = 0
    wrong: int = 0
    compared_accepted: int = 0
    wrong_accepted: int = 0


@dataclass
class Report:
    """The figures and pictures of a job; ``curve`` has (share in review, share of wrong)."""

    record: Job
    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    field_codes: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldFigures] = field(default_factory=dict)
    histogram: list[int] = field(default_factory=lambda: [0] * (len(EDGES) - 1))
    models: Counter[str] = field(default_factory=Counter)
    messages: dict[str, str] = field(default_factory=dict)
    pages: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    examples: dict[str, list[Line]] = field(default_factory=dict)
    doubtful: list[Line] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)
    compared: int = 0

    @property
    def fields_read(self) -> int:
        return sum(each.read for each in self.fields.values())

    @property
    def fields_in_review(self) -> int:
        return sum(each.review for each in self.fields.values())

    @property
    def wrong(self) -> int:
        return sum(each.wrong for each in self.fields.values())

    @property
    def error_rate(self) -> bounds.Rate:
        """Wrong among the accepted fields that were compared, each counted as independent."""
        accepted = sum(each.compared_accepted for each in self.fields.values())
        wrong = sum(each.wrong_accepted for each in self.fields.values())
        return bounds.clustered([(1, 1)] * wrong + [(0, 1)] * (accepted - wrong))


class _Gathering:
    """One pass over the rows; only the curve needs memory that grows with their number."""

    def __init__(self, record: Job, forms: Iterable[Form], truth: Truth) -> None:
        self.report = Report(record)
        self.report.fields = {
            each.name: FieldFigures() for form in forms for each in form.all_fields if each.read
        }
        self._truth = truth
        self._chance = random.Random(record.job)  # noqa: S311 - the same page each time
        self._seen: Counter[str] = Counter()
        self.bad_pages: dict[str, list[Row]] = {}
        self.examples: dict[str, list[tuple[Row, FieldResult]]] = {}
        self.doubtful: list[tuple[float, Row, FieldResult]] = []
        self._scores: list[tuple[float, bool]] = []

    def take(self, row: Row) -> None:
        report = self.report
        report.rows += 1
        report.statuses[str(row.status)] += 1
        report.models[f"{row.model[:12]} {row.precision}".strip()] += bool(row.model)
        if row.code is not None:
            report.codes[str(row.code)] += 1
            report.messages.setdefault(str(row.code), row.message)
        if row.status is Status.ERROR and row.code is not None:
            self._keep(self.bad_pages.setdefault(str(row.code), []), row, f"page {row.code}")
        keyed = keyed_for(row, self._truth)
        for result in row.fields:
            self._take_field(row, result, keyed)

    def _take_field(self, row: Row, result: FieldResult, keyed: Mapping[str, str]) -> None:
        figures = self.report.fields.get(result.name)
        if result.code is not None:
            code = str(result.code)
            self.report.field_codes[code] += 1
            self.report.messages.setdefault(code, result.message)
            self._keep(self.examples.setdefault(code, []), (row, result), f"field {code}")
        if figures is None:
            return
        figures.read += 1
        figures.review += result.status is Status.REVIEW
        figures.people += result.source.startswith("review")
        figures.repaired += result.source == "repair"
        figures.confidence += result.confidence
        step = sum(100 * result.confidence >= each for each in EDGES[1:-1])
        self.report.histogram[step] += 1
        if result.status is Status.REVIEW:
            self.doubtful.append((certainty(result), row, result))
            if len(self.doubtful) > 4 * _DOUBTFUL:
                self.doubtful = self.least_sure()
        if result.name in keyed:
            self._compare(figures, result, keyed[result.name])

    def _compare(self, figures: FieldFigures, result: FieldResult, keyed: str) -> None:
        right, accepted = result.value == keyed, result.status is Status.OK
        figures.compared += 1
        figures.wrong += not right
        figures.compared_accepted += accepted
        figures.wrong_accepted += accepted and not right
        open_ = accepted or result.code == "LOW_CONFIDENCE"
        self._scores.append((certainty(result) if open_ else 0.0, right))

    def _keep(self, kept: list[Kept], each: Kept, kind: str) -> None:
        """Keep a few of many, each with the same probability."""
        self._seen[kind] += 1
        if len(kept) < _EXAMPLES:
            kept.append(each)
        elif (place := self._chance.randrange(self._seen[kind])) < _EXAMPLES:
            kept[place] = each

    def least_sure(self) -> list[tuple[float, Row, FieldResult]]:
        order = sorted(self.doubtful, key=lambda each: (each[0], each[1].item, each[2].name))
        return order[:_DOUBTFUL]

    def curve(self) -> list[tuple[float, float]]:
        """(Share of fields in review, share of wrong among the accepted) for each threshold."""
        ordered = sorted(self._scores, key=lambda each: -each[0])
        points, wrong = list[tuple[float, float]](), 0
        for count, (score, right) in enumerate(ordered, 1):
            wrong += not right
            last = count == len(ordered) or ordered[count][0] != score
            if last and (count % max(1, len(ordered) // 200) == 0 or count == len(ordered)):
                points.append((1 - count / len(ordered), wrong / count))
        return points


def gather(connection: Connection, job: str, cut: Cutter, truth: Truth | None = None) -> Report:
    """Collect the figures of a job of forms.

    With ``truth`` (`inkmill.people.calibrate.read_truth`), errors are counted too. Raises NotFound,
    UsageError.
    """
    record = review.form_job(connection, job)
    gathering = _Gathering(record, templates_of(record), truth or {})
    for row in results(job, partial=True, connection=connection):
        gathering.take(row)
    report = gathering.report
    report.pages = {
        code: [(each.source, _picture(connection, record.job, each.item)) for each in rows]
        for code, rows in gathering.bad_pages.items()
    }
    wanted = [pair for pairs in gathering.examples.values() for pair in pairs]
    doubtful = [(row, result) for _, row, result in gathering.least_sure()]
    made = {
        (line.item, line.field): line
        for line in review.with_pictures(connection, record, [*wanted, *doubtful], cut)
    }
    report.examples = {
        code: [made[row.item, result.name] for row, result in pairs]
        for code, pairs in gathering.examples.items()
    }
    report.doubtful = [made[row.item, result.name] for row, result in doubtful]
    report.curve = gathering.curve()
    report.compared = sum(each.compared for each in report.fields.values())
    return report


def _picture(connection: Connection, job: str, item: int) -> bytes:
    try:
        return connection.store.get(names.picture(job, item)).data
    except NotFound:
        return b""


def write(report: Report, path: Path) -> None:
    """Write the report as one HTML file that needs no network. Raises UsageError."""
    from inkmill.people.report.page import render

    with output_file.opened(path) as file:
        file.writelines(piece.encode() for piece in render(report))
