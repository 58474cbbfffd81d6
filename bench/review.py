"""What review costs people: keystrokes and seconds per 1,000 fields of the final table.

    python -m bench.review --pages 150 --out docs/benchmarks/review

Three ways to the same table, on the same pages, read by the shipped model: keying all fields from
the image; the list of `inkmill review export`; the desk, with groups and keying from the image
(`inkmill.desk.review.work`, the code that serves the pages). A scripted keyer, who makes no error,
takes 0.3 s for a key, 1.2 s to look at a screen of a group and 2 s to look at a field. Pages are
those of `bench.filled`: MNIST's test digits, which the model has not seen.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fakeredis

from bench.filled import FORMS, ROOT, SEVERITIES, Recognizer, filled
from bench.frame import give
from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import MemoryStore
from inkmill.codes import Status
from inkmill.desk.review.screens import group_values
from inkmill.desk.review.tasks import GROUP, KEY
from inkmill.desk.review.work import Given, Holder, JobReview
from inkmill.errors import ItemError
from inkmill.lifecycle.identity import Name
from inkmill.producer import Connection, results
from inkmill.records import rows
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row
from inkmill.rules import bounds
from inkmill.settings import Settings
from inkmill.template.form import Form

#: Seconds for a key, for a look at a screen of a group, for a look at a field.
_KEY, _SCREEN, _FIELD = 0.3, 1.2, 2.0
#: Cells in a line of a group's screen, on a window of 1,200 pixels.
_COLUMNS = 12
_CHUNK = 8
_JOB = "bench-review"

Truth = Sequence[Mapping[str, str]]


@dataclass
class Cost:
    """Keystrokes, and looks at fields and at screens of groups."""

    keys: int = 0
    fields: int = 0
    screens: int = 0

    @property
    def seconds(self) -> float:
        return self.keys * _KEY + self.fields * _FIELD + self.screens * _SCREEN

    def type(self, value: str) -> None:
        """A field keyed from the image; an underscore says that nothing is written."""
        self.fields += 1
        self.keys += len(value or "_") + 1


def read_pages(
    recognizer: Recognizer, form: Form, severity: str, count: int
) -> tuple[list[Row], list[Mapping[str, str]]]:
    """Rows as a worker writes them, and what is written."""
    made, truth = list[Row](), list[Mapping[str, str]]()
    for page in filled(form, severity, count):
        try:
            cells = recognizer.cut(page.data, form)
        except ItemError:
            continue
        row = recognizer.row(len(made), cells, form, recognizer.predictor.predict(cells.crops))
        made.append(replace(row, form=form.name, form_hash=form.hash))
        truth.append(page.want)
    return made, truth


def job_of(form: Form, made: Sequence[Row]) -> Connection:
    """A finished job with these rows, in memory."""
    settings, store = Settings(), MemoryStore()
    queue = Queue(settings, fakeredis.FakeStrictRedis())
    parts = [made[first : first + _CHUNK] for first in range(0, len(made), _CHUNK)]
    for number, part in enumerate(parts):
        store.put(names.result(_JOB, number), rows.encode(part))
    record = Job(_JOB, 1.0, form=form.to_text(), form_name=form.name, form_hash=form.hash)
    store.put(names.job_record(_JOB), record.seal([len(part) for part in parts], "").encode())
    store.put(names.name_pointer(_JOB), Name(_JOB, {1: _JOB}).encode())
    return Connection(settings, store, queue)


def held(connection: Connection) -> Iterator[tuple[Row, FieldResult]]:
    """The fields of the job as they hold now, as far as the model reads them."""
    for row in results(_JOB, partial=True, connection=connection):
        for each in row.fields:
            if each.cells:
                yield row, each


def keying_all(connection: Connection, truth: Truth) -> Cost:
    """Every field is typed."""
    cost = Cost()
    for row, each in held(connection):
        cost.type(truth[row.item][each.name])
    return cost


def by_list(connection: Connection, truth: Truth) -> Cost:
    """Each doubtful field has a line: a point if the value shown is right, else its digits."""
    cost = Cost()
    for row, each in held(connection):
        if each.status is Status.REVIEW:
            right = truth[row.item][each.name]
            cost.type("." if right == each.value and right else right)
    return cost


def at_the_desk(connection: Connection, truth: Truth) -> Cost:
    """All tasks of the desk, one after another, until nothing is in review."""
    cost, review, holder = Cost(), JobReview(connection, _JOB), Holder("keyer", "tab")
    while (given := review.next(holder, (GROUP, KEY))) is not None:
        if given.ref.task.kind == GROUP:
            _verify(review, holder, given, truth, cost)
        else:
            _key(review, holder, given, truth, cost)
    return cost


def _verify(review: JobReview, holder: Holder, given: Given, truth: Truth, cost: Cost) -> None:
    cells, at = [], 0
    for index, asked in enumerate(given.left):
        right, digit = truth[asked.item][asked.field], ""
        if right != asked.shown:
            # One digit may be typed over; what differs otherwise is left to be keyed by itself.
            same = len(right) == len(asked.shown)
            wrong = [n for n in range(len(right)) if same and right[n] != asked.shown[n]]
            digit = right[wrong[0]] if len(wrong) == 1 else "skip"
            down, across = divmod(abs(index - at), _COLUMNS)
            cost.keys += down + min(across, _COLUMNS - across) + 1
            at = index + 1
        cells.append((asked.place, digit))
    cost.screens += 1
    cost.keys += 1
    review.confirm(given.ref, holder, group_values(review.behind, given.ref, cells))


def _key(review: JobReview, holder: Holder, given: Given, truth: Truth, cost: Cost) -> None:
    left = given.left
    while left:
        # As the page does: first what the rules propose to change, else the first of the document.
        asked = next((each for each in left if each.proposed != each.shown), left[0])
        right = truth[asked.item][asked.field]
        if right and right == asked.proposed:
            cost.fields += 1
            cost.keys += 1
        else:
            cost.type(right)
        left = review.answer(given.ref, holder, asked.place, right or "_").left


def measure(recognizer: Recognizer, form: Form, severity: str, count: int) -> dict[str, Any]:
    """The three ways on pages of one form, and the errors of the table that the desk leads to."""
    made, truth = read_pages(recognizer, form, severity, count)
    connection = job_of(form, made)
    fields = sum(1 for _ in held(connection))
    ways = {"keying all": keying_all(connection, truth), "list": by_list(connection, truth)}
    ways["desk"] = at_the_desk(connection, truth)
    by_page: dict[int, list[int]] = {}
    for row, each in held(connection):
        page = by_page.setdefault(row.item, [0, 0])
        page[0] += each.value != truth[row.item][each.name]
        page[1] += 1
    return {
        "form": form.name,
        "severity": severity,
        "pages": len(made),
        "fields": fields,
        "errors": bounds.clustered((wrong, of) for wrong, of in by_page.values()).per_thousand(),
        "ways": {
            name: {
                "keys": round(1000 * each.keys / fields, 1),
                "seconds": round(1000 * each.seconds / fields, 1),
                "fields": round(1000 * each.fields / fields, 1),
                "screens": round(1000 * each.screens / fields, 1),
            }
            for name, each in ways.items()
        },
    }


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """The figures as Markdown."""
    yield "| form | fields | way | keystrokes | seconds | fields looked at | screens | wrong |\n"
    yield "| --- " * 8 + "|\n"
    for form in found["forms"]:
        for name, each in form["ways"].items():
            wrong = form["errors"] if name != "keying all" else "the keyer's own errors"
            yield (
                f"| {form['form']}, {form['severity']} | {form['fields']:,} | {name} "
                f"| {each['keys']:,.0f} | {each['seconds']:,.0f} | {each['fields']:,.0f} "
                f"| {each['screens']:.1f} | {wrong} |\n"
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.review", description=__doc__)
    parser.add_argument("--pages", type=int, default=150, help="of each form")
    parser.add_argument("--severity", choices=SEVERITIES, default="moderate")
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained")
    parser.add_argument("--out", type=Path, help="writes OUT.json and OUT.md; else prints")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    recognizer = Recognizer.load(arguments.model)
    found = {
        "model": recognizer.predictor.version,
        "seconds": {"key": _KEY, "screen": _SCREEN, "field": _FIELD},
        "forms": [
            measure(recognizer, Form.load(path), arguments.severity, arguments.pages)
            for path in FORMS
        ],
    }
    give(found, "".join(tables(found)), arguments.out)


if __name__ == "__main__":
    main()
