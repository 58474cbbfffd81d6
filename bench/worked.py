"""A worked example: 500 scans from the template to the final table, with a person in between.

    python -m bench.worked --scans 500 --out docs/benchmarks/worked

The person is played by the truth that comes with synthetic scans: of a failed check they type
only the numbers that were misread, of other doubtful fields what is written. Counts what is
typed and how long each step takes; the commands are those of docs/how-to/review-and-audit.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.material import digits
from inkmill.backends.store import S3Store
from inkmill.codes import Status
from inkmill.forms.cut.recut import cut_again
from inkmill.forms.synth.sampling import SyntheticScan, synthesize, write_samples
from inkmill.local.servers import Stack
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.people import audit, lists, review
from inkmill.people.calibrate import Truth, keyed_for, read_truth
from inkmill.people.lists import FilledList, TypedValue
from inkmill.producer import Connection, connect, results, submit, wait
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.template.form import Form

FORM = Path(__file__).resolve().parents[1] / "examples/forms/tally.yaml"
#: Seconds that a person takes for a line that is looked at, and for each key.
_LOOK, _KEY = 2.0, 0.3


class Person:
    """Types by the truth, and counts."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.lines = self.keys = 0

    def fill(self, lines: list[lists.Line], last: bool) -> list[TypedValue]:
        """What they type in a list; in the ``last`` round every line that is left."""
        entries = []
        for number, line in enumerate(lines, 2):
            self.lines += 1
            self.keys += 1  # Enter, or a key to go on
            truth = keyed_for(
                Row(line.item, line.source, line.page, document_key=line.key), self._truth
            )
            written = truth.get(line.field, "") or "_"
            shown_right = line.value == truth.get(line.field, "")
            if shown_right and line.reason.startswith("RULE_FAILED") and not last:
                continue  # with the misread one put right, the others follow
            typed = "." if shown_right and line.value else written
            self.keys += len(typed)
            entries.append(TypedValue(line.item, line.field, line.value, typed, number))
        return entries

    @property
    def minutes(self) -> float:
        return (self.lines * _LOOK + self.keys * _KEY) / 60


@contextmanager
def pipeline(folder: Path) -> Iterator[tuple[Connection, Settings]]:
    """Servers, the shipped model and a worker on this machine."""
    from inkmill.local.workers import LocalWorkers

    with Stack(folder / "stack") as stack:
        settings = stack.settings.model_copy(update={"cache_dir": folder / "cache"})
        connection = connect(settings)
        assert isinstance(connection.store, S3Store)
        connection.store.create_bucket()
        Registry(connection.store, settings.model).publish(load())
        with LocalWorkers(settings, 1, folder / "worker.log") as workers:
            workers.wait_ready()
            yield connection, settings


def run(count: int, folder: Path) -> dict[str, Any]:
    """The whole example; returns its figures."""
    form, scans = Form.load(FORM), folder / "scans"
    rng = np.random.default_rng(5)
    faults = ("skew", "faint", "specks", "jpeg")
    filled = synthesize(form, digits("mnist-test"), rng, 2 * count, "moderate", faults)
    write_samples(form, islice(_each_station_once(filled), count), scans)
    truth = read_truth(scans / "truth.csv", form)
    with pipeline(folder) as (connection, settings):
        began = time.perf_counter()
        job = submit(scans, form=FORM, settings=settings)
        wait(job, settings=settings)
        found = {"scans": count, "reading_seconds": time.perf_counter() - began}
        found |= _state(connection, job, truth, "first")
        person = Person(truth)
        rounds = 0
        while rounds < 3 and _round(connection, job, person, last=rounds > 0):
            rounds += 1
        found |= {"rounds": rounds, "lines": person.lines, "keys": person.keys}
        found["person_minutes"] = person.minutes
        found |= _state(connection, job, truth, "final")
        found |= _audit(connection, job, truth, folder)
    return found


def _each_station_once(filled: Iterable[SyntheticScan]) -> Iterator[SyntheticScan]:
    """The scans without those of a station that there is already: no office files one twice."""
    stations = set[str]()
    for sample in filled:
        station = sample.sheet.values["station"]
        if station not in stations:
            yield sample
        stations |= {station} - {""}


def _round(connection: Connection, job: str, person: Person, last: bool) -> int:
    wanted = review.Wanted(status=str(Status.REVIEW))
    lines = list(review.cut_out(connection, job, wanted, cut_again))
    entries = person.fill(lines, last)
    if entries:
        about = lists.About.of(review.form_job(connection, job), lists.REVIEW)
        review.import_list(connection, FilledList(about, entries), "anna")
    return len(entries)


def _state(connection: Connection, job: str, truth: Truth, when: str) -> dict[str, int]:
    counts = dict.fromkeys(("fields", "in_review", "wrong_accepted", "pages_in_error"), 0)
    for row in results(job, connection=connection):
        counts["pages_in_error"] += row.status is Status.ERROR
        keyed = keyed_for(row, truth)
        for each in row.fields:
            if not each.cells:
                continue
            held = each.status is Status.OK
            counts["fields"] += 1
            counts["in_review"] += not held
            counts["wrong_accepted"] += held and each.value != keyed[each.name]
    return {f"{name}_{when}": number for name, number in counts.items()}


def _audit(connection: Connection, job: str, truth: Truth, folder: Path) -> dict[str, Any]:
    path = folder / "audit.xlsx"
    drawn = audit.sample(connection, job, 300, path, cut_again, seed=1)
    from openpyxl import load_workbook

    book = load_workbook(path)
    for line in book.worksheets[0].iter_rows(min_row=2):
        row = Row(0, str(line[1].value), int(line[2].value), document_key=str(line[3].value or ""))
        line[-1].value = keyed_for(row, truth)[str(line[4].value)] or "_"
    book.save(path)
    found = audit.import_list(connection, lists.read(path), "ben")
    return {"audited": drawn, "audit": found.whole.per_thousand()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.worked", description=__doc__)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--out", type=Path, help="writes OUT.json; else prints")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.scans, Path(folder))
    text = json.dumps(found, indent=1)
    if arguments.out is None:
        print(text)
    else:
        arguments.out.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
