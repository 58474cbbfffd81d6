"""Numbers without cells, from page to value: amounts, row sums, synthetic bills, and what is none.

``python -m bench.amounts [--model FOLDER] [--pages 40] [--amounts 282]`` prints, for each kind, how
many numbers were accepted and right, accepted and wrong, and sent to review; and of how many the
most probable value was right. The cheque amounts are only tried here, never trained on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.fields import Photos, form_of
from bench.filled import ROOT, SEVERITIES, filled, without_rules
from bench.material import data_folder, digits
from inkmill.cli.model_argument import read_folder
from inkmill.codes import Status
from inkmill.forms.field_results import build_fields, strip_readings
from inkmill.forms.intake import decode_page
from inkmill.forms.reader import cut_page
from inkmill.forms.synth.numbers import write_number
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.models.strips import StripReader
from inkmill.records.rows import FieldResult
from inkmill.template.form import Form
from inkmill.worker.engine.strip_readers import read_together

Grey = NDArray[np.uint8]
_WORDS = ("keine", "siehe", "Fr.", "nil", "Betrag", "none", "void", "Anna")
_SCRIPT = cv2.FONT_HERSHEY_SCRIPT_SIMPLEX
#: Photos of a tally sheet whose row sums are written into table cells, and what is in them, by eye.
_SHEETS = ("presidential_3.jpg", "presidential_4.jpg")
_ROW_SUMS = {
    "candidate_1_row_1": "11",
    "candidate_2_row_1": "75",
    "candidate_2_row_2": "17",
    "invalid_row_1": "8",
}
SHIPPED = ROOT / "models/pretrained/strips"
BILL = ROOT / "examples/bills/bill.yaml"
_SEED, _DPI = 11, 200.0
#: A page around one amount, whose box is as wide as the amount's picture.
_CHEQUE = """
inkmill_form: 1
name: cheque
page: {{width: 148, height: 105}}
registration:
  marks: {{size: 5, at: [[8, 8], [140, 8], [140, 97], [8, 97]], odd: {{at: [74, 8]}}}}
fields:
  - {{name: amount, type: number, box: [30, 40, {width}, 9], digits: [1, 8], lined: false}}
"""


@dataclass
class Tally:
    """Counts of one kind of numbers."""

    right: int = 0
    wrong: int = 0
    review: int = 0
    best: int = 0

    def add(self, result: FieldResult, value: str) -> None:
        accepted = result.status is Status.OK
        good = result.value == value
        self.right += accepted and good
        self.wrong += accepted and not good
        self.review += not accepted
        self.best += (bool(value) or accepted) and (result.proposed or result.value) == value

    def words(self) -> str:
        whole = max(1, self.right + self.wrong + self.review)
        return (
            f"{whole:5d} numbers: accepted right {100 * self.right / whole:5.1f} %, wrong "
            f"{self.wrong:3d} ({1000 * self.wrong / whole:.1f} in 1,000), review "
            f"{100 * self.review / whole:5.1f} %; best value right {100 * self.best / whole:5.1f} %"
        )


def read(reader: StripReader, data: bytes, form: Form) -> list[FieldResult]:
    """A page's fields, as a worker reads them; the form has no cells."""
    cells = cut_page(decode_page(data), form)
    (strings,) = read_together([(reader, cells.strip_pictures)])
    return build_fields(form, 1, [], cells, strip_readings(form, 1, cells, strings))


def cheques(count: int) -> Iterator[tuple[bytes, Form, dict[str, str]]]:
    """Pages with one amount over printed ground, at most ``count`` of them."""
    folder = data_folder() / "forms/amount_strips"
    with (folder / "labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))[:count]
    for line in lines:
        picture = cv2.imread(str(folder / "images" / line["image"]), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        height, width = picture.shape
        form = Form.parse(_CHEQUE.format(width=round(9 * width / height, 2)))
        page = draw_page(form, 1, _DPI, labels=False)
        place = template_to_pixels(form, _DPI)
        ((left, top), (right, bottom)) = np.rint(
            np.array([[30, 40], [30 + 9 * width / height, 49]]) @ place[:2, :2] + place[:2, 2]
        ).astype(int)
        # The ground goes on around the box, as on a cheque; strokes at the edge do not.
        edge = round(0.4 * (bottom - top))
        drawn = cv2.resize(picture, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
        ground = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((edge, edge), np.uint8))
        around = cv2.copyMakeBorder(ground, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        page[top - edge : bottom + edge, left - edge : right + edge] = around
        page[top:bottom, left:right] = drawn
        yield _png(page), form, {"amount": line["value"]}


def row_sums() -> Iterator[tuple[bytes, Form, dict[str, str]]]:
    """Photos of a tally sheet with three blocks of five rows, most of them empty."""
    folder = "forms/plano_photos"
    blank = f"{folder}/presidential_blank.png"
    form = form_of(Photos("plano_row_sums.yaml", folder, blank, _SHEETS))
    values = {each.name: _ROW_SUMS.get(each.name, "") for each in form.all_fields}
    for sheet in _SHEETS:
        yield (data_folder() / folder / sheet).read_bytes(), form, values


def bills(form: Form, pages: int) -> Iterator[tuple[bytes, Form, dict[str, str]]]:
    """Bills filled with MNIST's test digits and scanned as the faults of synth have it."""
    for severity in SEVERITIES:
        for each in filled(Form.load(BILL), severity, pages):
            yield each.data, form, each.want


def no_numbers(pages: int) -> Iterator[tuple[bytes, Form, dict[str, str]]]:
    """Bills whose boxes hold no number: dots, words, numbers struck out with a new one above."""
    form = without_rules(Form.load(BILL))
    form = Form.parse(form.to_text().replace("empty: zero", "empty: missing"))
    rng = np.random.default_rng(_SEED)
    place, blank = template_to_pixels(form, _DPI), draw_page(form, 1, _DPI)
    for number in range(pages):
        page = blank.copy()
        for each in form.strips(1):
            assert each.box is not None
            x, y, w, h = each.box
            corners = np.array([[x, y], [x + w, y + h]]) @ place[:2, :2] + place[:2, 2]
            (left, top), (right, bottom) = corners.tolist()
            if number % 3 == 0:
                at = (round(left + (right - left) * rng.uniform(0.2, 0.8)), round(bottom - 20))
                cv2.circle(page, at, 3, 40, -1, cv2.LINE_AA)
            elif number % 3 == 1:
                word = str(rng.choice(_WORDS))
                at = (round(left + 12), round(bottom - 18))
                cv2.putText(page, word, at, _SCRIPT, (bottom - top) / 45, 40, 2, cv2.LINE_AA)
            else:
                for part in (0.5, 0.0):  # the old number below, the new one above
                    half = each.model_copy(update={"box": (x, y + part * h, w, h / 2)})
                    text = str(rng.integers(10, 9999))
                    write_number(page, place, half, text, digits("mnist-test"), 40, rng)
                level = round(top + 0.75 * (bottom - top))
                ends = (round(left + 5), level), (round(right - 5), level)
                cv2.line(page, ends[0], ends[1], 40, 2, cv2.LINE_AA)
        yield _png(page), form, dict.fromkeys((each.name for each in form.strips(1)), "")


def _png(page: Grey) -> bytes:
    return bytes(cv2.imencode(".png", page)[1])


def measure(reader: StripReader, pages: Iterable[tuple[bytes, Form, dict[str, str]]]) -> Tally:
    tally = Tally()
    for data, form, values in pages:
        for result in read(reader, data, form):
            tally.add(result, values[result.name])
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.amounts", description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of a model of strips")
    parser.add_argument("--pages", type=int, default=40, help="bills of each severity")
    parser.add_argument("--amounts", type=int, default=282, help="of the cheque amounts")
    arguments = parser.parse_args()
    files = read_folder(arguments.model)
    reader = StripReader(files.manifest, files.weights)
    bill = Form.load(BILL)
    kinds = {
        "cheque amounts over printed ground": cheques(arguments.amounts),
        "row sums on photos of a tally sheet": row_sums(),
        "bills, by the reader alone": bills(without_rules(bill), arguments.pages),
        "bills, with their sums": bills(bill, arguments.pages),
        "no numbers (none may be accepted)": no_numbers(arguments.pages),
    }
    for kind, pages in kinds.items():
        print(f"{kind:36s} {measure(reader, pages).words()}", flush=True)


if __name__ == "__main__":
    main()
