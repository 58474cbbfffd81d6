"""Reading fields: errors among the accepted and the work left for people, with and without rules.

    python -m bench.fields --pages 200 --out docs/benchmarks/fields

Pages are made by `inkmill.forms.synth.filling` from MNIST's test digits, which the shipped
model has not seen; photos of real forms are read if the data folder has them. Writes tables as
Markdown and figures as JSON. Every figure goes through the workers' own path: cut_page, Predictor,
Reader.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.filled import FORMS, ROOT, SEVERITIES, Recognizer, filled, with_repair, without_rules
from bench.frame import give
from bench.material import data_folder
from bench.rejection import measure_rejection
from inkmill.codes import Status
from inkmill.errors import ItemError
from inkmill.records.rows import Row
from inkmill.rules import bounds
from inkmill.rules.meaning import meaning
from inkmill.rules.statuses import certainty
from inkmill.template.form import Form

_BINS = 15
#: The severity that the aims are about gets more pages.
_MORE = {"moderate": 3}


@dataclass
class Figures:
    """What came of the fields of many pages, one way of judging them.

    ``documents`` wrong and accepted by page; ``scores`` certainty and whether right.
    """

    fields: int = 0
    accepted: int = 0
    documents: list[tuple[int, int]] = field(default_factory=list)
    scores: list[tuple[float, bool]] = field(default_factory=list)

    def take(self, row: Row, want: dict[str, str]) -> None:
        wrong = accepted = 0
        for result in row.fields:
            if not result.cells:
                continue
            right = result.value == want[result.name]
            self.fields += 1
            held = result.status is Status.OK
            accepted += held
            wrong += held and not right
            self.scores.append((certainty(result), right))
        self.accepted += accepted
        self.documents.append((wrong, accepted))

    def as_record(self) -> dict[str, Any]:
        rate = bounds.clustered(self.documents)
        return {
            "fields": self.fields,
            "accepted": self.accepted,
            "in_review_percent": round(100 * (1 - self.accepted / max(1, self.fields)), 2),
            "wrong": rate.errors,
            "wrong_per_1000": round(1000 * rate.rate, 3),
            "bounds_95": [round(1000 * rate.low, 3), round(1000 * rate.high, 3)],
        }


@dataclass
class Cells:
    """Readings of cells that hold a digit: confidence and whether right."""

    confidence: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def take(self, row: Row, raw: dict[str, str]) -> None:
        for result in row.fields:
            for cell, written in zip(result.cells, raw[result.name], strict=False):
                if written.isdigit():
                    self.confidence.append(cell.confidence if cell.symbol.isdigit() else 0.0)
                    self.right.append(cell.symbol == written)

    def as_record(self) -> dict[str, Any]:
        read = np.array(self.confidence) > 0
        confidence, right = np.array(self.confidence)[read], np.array(self.right)[read]
        bins = reliability(confidence, right)
        error = sum(n * abs(mean - share) for n, mean, share in bins) / max(1, len(confidence))
        return {
            "digits": len(self.right),
            "digits_right_percent": round(100 * float(np.mean(self.right)), 3),
            "not_read_as_digit": int((~read).sum()),
            "calibration_error_percent": round(100 * error, 3),
            "reliability": [[n, round(mean, 5), round(share, 5)] for n, mean, share in bins],
        }


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> list[tuple[int, float, float]]:
    """Bins of equal width: how many readings, their mean confidence, the share that is right."""
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        (int(mine.sum()), float(confidence[mine].mean()), float(right[mine].mean()))
        for number in range(_BINS)
        if (mine := places == number).any()
    ]


def measure_form(recognizer: Recognizer, form: Form, severity: str, pages: int) -> dict[str, Any]:
    """All figures of one form at one severity."""
    bare, mending = without_rules(form), with_repair(form)
    ruled, unruled, mended, cells_read = Figures(), Figures(), Figures(), Cells()
    located = lost = 0
    began, judging = time.perf_counter(), 0.0
    for number, sample in enumerate(filled(form, severity, pages)):
        try:
            cells = recognizer.cut(sample.data, form)
        except ItemError:
            lost += 1
            continue
        located += 1
        odds = recognizer.predictor.predict(cells.crops)
        start = time.perf_counter()
        row = recognizer.row(number, cells, form, odds)
        judging += time.perf_counter() - start
        ruled.take(row, sample.want)
        unruled.take(recognizer.row(number, cells, bare, odds), sample.want)
        mended.take(recognizer.row(number, cells, mending, odds), sample.want)
        cells_read.take(row, sample.raw)
    return {
        "form": form.name,
        "severity": severity,
        "pages": located,
        "pages_in_error": lost,
        "with_rules": ruled.as_record(),
        "without_rules": unruled.as_record(),
        "with_repair": mended.as_record(),
        "cells": cells_read.as_record(),
        "judging_ms_a_page": round(1000 * judging / max(1, located), 2),
        "seconds": round(time.perf_counter() - began, 1),
        "curve": {
            "with_rules": rejection_curve(ruled.scores),
            "without_rules": rejection_curve(unruled.scores),
        },
    }


def rejection_curve(scores: Sequence[tuple[float, bool]]) -> list[list[float]]:
    """Share rejected (per cent) and wrong in 1,000 of the rest, at some thresholds."""
    found = []
    for least in (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999):
        kept = [right for certain, right in scores if certain >= least]
        if kept:
            share = 100 * (1 - len(kept) / len(scores))
            found.append([least, round(share, 2), round(1000 * kept.count(False) / len(kept), 3)])
    return found


# --- the same values however the work is cut up ------------------------------------------------


def measure_order(recognizer: Recognizer, pages: int) -> dict[str, int]:
    """Accepted values that differ when pages come in another order and in other batches."""
    form = Form.load(FORMS[0])
    cut = []
    for sample in filled(form, "moderate", pages):
        try:
            cut.append(recognizer.cut(sample.data, form))
        except ItemError:
            continue

    def accepted(order: Sequence[int], together: int) -> dict[tuple[int, str], str]:
        found = {}
        for start in range(0, len(order), together):
            part = order[start : start + together]
            odds = recognizer.predictor.predict(np.concatenate([cut[n].crops for n in part]))
            first = 0
            for number in part:
                last = first + len(cut[number].crops)
                row = recognizer.row(number, cut[number], form, odds[first:last])
                first = last
                found.update(
                    {
                        (number, each.name): each.value
                        for each in row.fields
                        if each.status is Status.OK
                    }
                )
        return found

    order = list(range(len(cut)))
    one, other = accepted(order, 1), accepted(order[::-1], 32)
    return {"accepted": len(one), "differing": len(set(one.items()) ^ set(other.items()))}


# --- photos ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Photos:
    """Photos of one form in the data folder: where they, their blank and their values are."""

    template: str
    folder: str
    blank: str
    sources: tuple[str, ...]


_PHOTOS = (
    Photos(
        "pwp.yaml",
        "forms/cdigital_photos/images",
        "templates/cdigital_apache2/c.hasil_pwp_3.png",
        ("pwp_sample_01.jpg", "pwp_sample_02.jpg"),
    ),
    Photos(
        "plano_presidential.yaml",
        "forms/plano_photos",
        "forms/plano_photos/presidential_blank.png",
        ("presidential_3.jpg", "presidential_4.jpg"),
    ),
    Photos(
        "plano_governor.yaml",
        "forms/plano_photos",
        "forms/plano_photos/governor_blank.jpg",
        ("governor_1.jpg", "governor_2.jpg", "governor_3.jpg"),
    ),
)


def measure_photos(recognizer: Recognizer) -> list[dict[str, str]]:
    """The photos of real forms in the data folder, field by field."""
    written = _written_on_photos()
    found = []
    for photos in _PHOTOS:
        folder = data_folder() / photos.folder
        if not folder.exists():
            continue
        form = form_of(photos)
        for source in photos.sources:
            found += _photo(recognizer, form, source, (folder / source).read_bytes(), written)
    return found


def form_of(photos: Photos) -> Form:
    """The template, with its blank as the PNG that templates ask for."""
    text = (ROOT / "bench/templates" / photos.template).read_text(encoding="utf-8")
    blank = data_folder() / photos.blank
    with tempfile.TemporaryDirectory() as folder:
        picture = cv2.imread(str(blank), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(Path(folder) / blank.with_suffix(".png").name), picture)
        return Form.parse(text, photos.template, Path(folder))


def _written_on_photos() -> dict[tuple[str, str], str]:
    """What is written, cell by cell, by photo and field."""
    forms = data_folder() / "forms"
    written: dict[tuple[str, str], str] = {}
    labels, truth = forms / "cdigital_photos/labels.json", forms / "plano_photos/truth.csv"
    if labels.exists():
        for source, values in json.loads(labels.read_text()).items():
            written |= {(source, name): raw for name, raw in values.items()}
    if truth.exists():
        with truth.open(newline="") as file:
            written |= {(row["image"], row["field"]): row["raw"] for row in csv.DictReader(file)}
    return written


def _photo(
    recognizer: Recognizer,
    form: Form,
    source: str,
    data: bytes,
    written: dict[tuple[str, str], str],
) -> list[dict[str, str]]:
    """One photo's fields whose values are known; one entry with the code if it is not located."""
    try:
        cells = recognizer.cut(data, form)
    except ItemError as error:
        return [{"photo": source, "field": "", "status": "error", "code": str(error.code)}]
    row = recognizer.row(0, cells, form, recognizer.predictor.predict(cells.crops))
    fields = {each.name: each for each in form.all_fields}
    found = []
    for each in row.fields:
        raw = written.get((source, each.name), written.get((source, each.name.replace("_", ""))))
        if raw is None:
            continue
        found.append(
            {
                "photo": source,
                "field": each.name,
                "written": raw,
                "raw": each.raw,
                "value": each.value,
                "proposed": each.proposed,
                "status": str(each.status),
                "code": str(each.code or ""),
                "right": str(each.value == meaning(fields[each.name], raw)),
            }
        )
    return found


# --- the page ----------------------------------------------------------------------------------


def tables(found: dict[str, Any]) -> Iterator[str]:
    """The figures as Markdown."""
    yield (
        "| form | severity | pages | digits right | calibration error "
        "| wrong in 1,000 accepted (95 %): no rules | rules | repair "
        "| in review: no rules | rules | repair |\n"
    )
    yield "| --- " * 11 + "|\n"
    for each in found["forms"]:
        ways = [each[way] for way in ("without_rules", "with_rules", "with_repair")]
        cells = each["cells"]
        yield (
            f"| {each['form']} | {each['severity']} | {each['pages']} "
            f"| {cells['digits_right_percent']:.2f} % "
            f"| {cells['calibration_error_percent']:.2f} % "
        )
        yield "".join(f"| {_rate(way)} " for way in ways)
        yield "".join(f"| {way['in_review_percent']:.1f} % " for way in ways) + "|\n"
    yield "\n| no digit | area under the curve |\n| --- | --- |\n"
    for name, value in found["rejection"].items():
        yield f"| {name} | {value:.4f} |\n"
    yield "\n| photo | located | fields | accepted | of them wrong | in review, read right |\n"
    yield "| --- " * 6 + "|\n"
    for source in dict.fromkeys(each["photo"] for each in found["photos"]):
        yield _photo_line(source, [each for each in found["photos"] if each["photo"] == source])


def _photo_line(source: str, fields: Sequence[dict[str, str]]) -> str:
    if fields[0]["status"] == "error":
        return f"| {source} | no: {fields[0]['code']} | | | | |\n"
    accepted = [each for each in fields if each["status"] == "ok"]
    wrong = sum(each["right"] != "True" for each in accepted)
    review = [each for each in fields if each["status"] != "ok"]
    right = sum(each["right"] == "True" for each in review)
    return (
        f"| {source} | yes | {len(fields)} | {len(accepted)} | {wrong} "
        f"| {right} of {len(review)} |\n"
    )


def _rate(record: dict[str, Any]) -> str:
    low, high = record["bounds_95"]
    return f"{record['wrong_per_1000']:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fields", description=__doc__)
    parser.add_argument(
        "--pages", type=int, default=200, help="of each form; three times as many moderate ones"
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained")
    parser.add_argument("--out", type=Path, help="writes OUT.json and OUT.md; else prints")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    recognizer = Recognizer.load(arguments.model)
    forms = [Form.load(path) for path in FORMS]
    found = {
        "model": recognizer.predictor.version,
        "forms": [
            measure_form(recognizer, form, severity, arguments.pages * _MORE.get(severity, 1))
            for form in forms
            for severity in SEVERITIES
        ],
        "rejection": {
            name: each["area"] for name, each in measure_rejection(recognizer.predictor).items()
        },
        "order": measure_order(recognizer, min(arguments.pages, 60)),
        "photos": measure_photos(recognizer),
    }
    give(found, "".join(tables(found)), arguments.out)


if __name__ == "__main__":
    main()
