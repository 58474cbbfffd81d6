"""How many of the accepted values are wrong: enough pages to tell, and a picture of each wrong one.

    python -m bench.acceptance --accepted 8100 --out docs/benchmarks/acceptance

Pages are filled with MNIST's test digits, whose writers are none of its training set's, and
scanned with none to three faults each. Page N of a form is the same page in every run, whatever
came before it: a run goes on where the last one ended (what was found of each page is added to
OUT.jsonl, as long as model and code are the same), and can be made longer. ``--digits tune``
takes the half of the digits that thresholds may be chosen on, ``proof`` the other one, which
nothing was chosen on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.filled import (
    FORMS,
    ROOT,
    SEVERITIES,
    Filled,
    Recognizer,
    fill_and_scan,
    with_repair,
)
from bench.material import digits
from inkmill.codes import Status
from inkmill.errors import ItemError
from inkmill.forms.intake import decode_page
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.printing import draw_page
from inkmill.models.runtimes import PRECISIONS
from inkmill.records.rows import FieldResult, Row
from inkmill.rules import bounds
from inkmill.rules.statuses import certainty
from inkmill.template.form import Form

_DPI = 200.0
#: Digits of one hand lie together in MNIST's files: the halves take turns by so many.
_BLOCK = 500
_HALVES = {"tune": (0,), "proof": (1,), "both": (0, 1)}
_AIM, _REVIEW = 0.37, 10.0
_EDGE = 12


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field that was accepted though it is wrong."""

    field: str
    written: str
    value: str
    raw: str
    confidence: float
    certainty: float
    rule: str
    cells: list[list[Any]]
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one page; ``code`` says why it could not be read at all."""

    form: str
    page: int
    fields: int = 0
    accepted: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    code: str = ""


@dataclass(frozen=True)
class Test:
    """One kind of page: a form at a severity, filled with some digits."""

    form: Form
    severity: str
    half: str
    seed: int

    def page(self, number: int) -> Filled | None:
        """Page ``number``, the same in every run; None where its faults make it unreadable."""
        rng = np.random.default_rng(
            [self.seed, SEVERITIES.index(self.severity), len(self.form.name), number]
        )
        return fill_and_scan(self.form, self.severity, half_of(self.half), rng, self._blank)

    @cached_property
    def _blank(self) -> NDArray[np.uint8]:
        return draw_page(self.form, 1, _DPI)


@cache
def half_of(half: str) -> HandwrittenDigits:
    """MNIST's test digits, or the half of them that is asked for."""
    source = digits("mnist-test")
    mine = np.isin(np.arange(len(source.labels)) // _BLOCK % 2, _HALVES[half])
    return HandwrittenDigits(source.images[mine], source.labels[mine])


def outcome(
    recognizer: Recognizer, test: Test, number: int, pictures: Path | None
) -> Outcome | None:
    """Fill, scan, read and judge one page; pictures of what is accepted and wrong."""
    sample = test.page(number)
    if sample is None:
        return None
    try:
        cells = recognizer.cut(sample.data, test.form)
    except ItemError as error:
        return Outcome(test.form.name, number, code=str(error.code))
    row = recognizer.row(number, cells, test.form, recognizer.predictor.predict(cells.crops))
    read = [each for each in row.fields if each.cells]
    accepted = [each for each in read if each.status is Status.OK]
    wrong = [each for each in accepted if each.value != sample.want[each.name]]
    codes: dict[str, int] = {}
    for each in read:
        if each.status is not Status.OK:
            codes[str(each.code)] = codes.get(str(each.code), 0) + 1
    if pictures is not None and wrong:
        _save(pictures, test, sample, row, wrong)
    told = [_told(each, sample) for each in wrong]
    return Outcome(test.form.name, number, len(read), len(accepted), codes, told)


def _told(result: FieldResult, sample: Filled) -> Wrong:
    cells = [
        [
            each.symbol,
            round(each.confidence, 5),
            each.runner_up,
            round(each.runner_up_confidence, 5),
        ]
        for each in result.cells
    ]
    return Wrong(
        result.name,
        sample.raw[result.name],
        result.value,
        result.raw,
        round(result.confidence, 5),
        round(certainty(result), 5),
        result.rule,
        cells,
        list(sample.faults),
    )


def _save(folder: Path, test: Test, sample: Filled, row: Row, wrong: Sequence[FieldResult]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    grey = decode_page(sample.data).grey
    for each in wrong:
        if each.box is None:
            continue
        left, top, right, bottom = each.box
        part = grey[max(0, top - _EDGE) : bottom + _EDGE, max(0, left - _EDGE) : right + _EDGE]
        name = f"{test.form.name}-{row.item:05d}-{each.name}-{each.value}.png"
        cv2.imwrite(str(folder / name), cv2.resize(part, None, fx=3, fy=3))


# --- many pages ----------------------------------------------------------------------------------


class Record:
    """What was found so far, as lines of a file: a run that was stopped goes on behind them."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path, self._about = path, about
        self.found: dict[tuple[str, int], Outcome | None] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if not lines or json.loads(lines[0]) != about:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(about) + "\n", encoding="utf-8")
            return
        for line in lines[1:]:
            data = json.loads(line)
            wrong = [Wrong(**each) for each in data["outcome"].pop("wrong", [])]
            kept = Outcome(**data["outcome"], wrong=wrong) if data["outcome"] else None
            self.found[data["form"], data["page"]] = kept

    def add(self, form: str, page: int, found: Outcome | None) -> None:
        self.found[form, page] = found
        line = {"form": form, "page": page, "outcome": asdict(found) if found else {}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def code_digest() -> str:
    """SHA-256 of the code that draws, reads and judges pages: with other code, other figures."""
    files = [*ROOT.glob("forms/*.py"), *ROOT.glob("inkmill/rules/*.py"), *FORMS]
    files += [ROOT / "worker/engine/compose.py", ROOT / "bench/filled.py", Path(__file__)]
    hasher = hashlib.sha256()
    for path in sorted(files):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def run(
    recognizer: Recognizer,
    tests: Sequence[Test],
    record: Record,
    accepted: int,
    pictures: Path | None,
) -> Iterator[Outcome]:
    """Pages of all tests in turn until so many fields are accepted in all."""
    total = number = 0
    while total < accepted:
        for test in tests:
            place = (test.form.name, number)
            if place not in record.found:
                record.add(*place, outcome(recognizer, test, number, pictures))
            found = record.found[place]
            if found is not None:
                total += found.accepted
                yield found
        number += 1


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and the error rate of the accepted with its bounds, fields of a page together."""
    read = [each for each in found if not each.code]
    groups = [(len(each.wrong), each.accepted) for each in read]
    rate = bounds.clustered(groups)
    fields = sum(each.fields for each in read)
    codes: dict[str, int] = {}
    for each in read:
        for code, count in each.codes.items():
            codes[code] = codes.get(code, 0) + count
    worth = bounds.effective_trials(groups) if groups else 0.0
    errors = rate.errors * worth / max(1, rate.trials)
    return {
        "pages": len(read),
        "pages_in_error": len(found) - len(read),
        "fields": fields,
        "accepted": rate.trials,
        "in_review_percent": round(100 * (1 - rate.trials / max(1, fields)), 2),
        "review_codes": codes,
        "wrong": rate.errors,
        "wrong_per_1000": round(1000 * rate.rate, 3),
        "bounds_95": [round(1000 * rate.low, 3), round(1000 * rate.high, 3)],
        "at_most_95": round(1000 * bounds.upper(errors, worth), 3),
    }


def table(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The figures as Markdown."""
    yield "| form | pages | fields | in review | accepted | wrong "
    yield "| in 1,000 (95 %) | below (95 %) |\n"
    yield "| --- " * 8 + "|\n"
    for name, each in found.items():
        low, high = each["bounds_95"]
        yield (
            f"| {name} | {each['pages']} | {each['fields']:,} | {each['in_review_percent']:.1f} % "
            f"| {each['accepted']:,} | {each['wrong']} "
            f"| {each['wrong_per_1000']:.2f} ({low:.2f} to {high:.2f}) "
            f"| {each['at_most_95']:.2f} |\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.acceptance", description=__doc__)
    parser.add_argument("--accepted", type=int, default=8100, help="fields to be accepted in all")
    parser.add_argument("--severity", choices=SEVERITIES, default="moderate")
    parser.add_argument("--digits", choices=_HALVES, default="both")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--repair", action="store_true", help="with repair: true on each field")
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--out", type=Path, required=True, help="OUT.json, .md, .jsonl, OUT-wrong/")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    recognizer = Recognizer.load(arguments.model, arguments.precision)
    about = {
        "model": recognizer.predictor.version,
        "precision": arguments.precision,
        "code": code_digest(),
        "severity": arguments.severity,
        "digits": arguments.digits,
        "seed": arguments.seed,
        "repair": arguments.repair,
    }
    forms = [Form.load(path) for path in FORMS]
    tests = [
        Test(
            with_repair(form) if arguments.repair else form,
            *(arguments.severity, arguments.digits, arguments.seed),
        )
        for form in forms
    ]
    out: Path = arguments.out
    record = Record(out.with_suffix(".jsonl"), about)
    pictures = out.with_name(f"{out.name}-wrong")
    began, found = time.perf_counter(), list[Outcome]()
    for each in run(recognizer, tests, record, arguments.accepted, pictures):
        found.append(each)
        for wrong in each.wrong:
            print(f"accepted and wrong: {each.form} page {each.page}: {wrong}", flush=True)
    by_form = {
        test.form.name: figures([each for each in found if each.form == test.form.name])
        for test in tests
    }
    everything = {"both": figures(found), **by_form}
    whole = {**about, "seconds": round(time.perf_counter() - began, 1), "figures": everything}
    out.with_suffix(".json").write_text(json.dumps(whole, indent=1) + "\n")
    text = "".join(table(everything))
    out.with_suffix(".md").write_text(text)
    print(text)
    both = everything["both"]
    for aim, measured, most in (
        ("wrong in 1,000", both["wrong_per_1000"], _AIM),
        ("percent in review", both["in_review_percent"], _REVIEW),
    ):
        print(f"aim: at most {most} {aim}: {'kept' if measured <= most else 'missed'}")


if __name__ == "__main__":
    main()
