"""Pages of forms, filled with test digits and scanned, and the shipped model that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from bench.material import digits
from inkmill.cli.model_argument import read_folder
from inkmill.forms.intake import decode_page
from inkmill.forms.reader import PageCells, cut_page
from inkmill.forms.synth.faults import FAULTS, REPLACING, Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.printing import draw_page
from inkmill.models.predictor import Predictor
from inkmill.records.rows import Row
from inkmill.template.form import Form
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.prepare import Prepared

ROOT = Path(__file__).resolve().parents[1]
FORMS = (ROOT / "examples/forms/tally.yaml", ROOT / "bench/templates/ledger.yaml")
SEVERITIES = ("light", "moderate", "heavy")
_SEED, _DPI = 11, 200.0


@dataclass(frozen=True)
class Recognizer:
    """The shipped model, as a worker has it."""

    predictor: Predictor
    reader: Reader

    @classmethod
    def load(cls, folder: Path, precision: str = "float32") -> Recognizer:
        files = read_folder(folder)
        predictor = Predictor(
            files.manifest, files.weights, precision=precision, threads=1, golden=files.golden
        )
        manifest = files.manifest
        return cls(predictor, Reader(manifest.classes, manifest.version, precision, 0.9))

    def cut(self, data: bytes, form: Form) -> PageCells:
        model = self.predictor.manifest
        return cut_page(decode_page(data), form, 1, model.input_size, model.filters)

    def row(self, number: int, cells: PageCells, form: Form, odds: NDArray[np.float32]) -> Row:
        prepared = Prepared(Row(number, f"{number:05d}"), cells.crops, cells)
        return self.reader.row(prepared, odds, form)


def without_rules(form: Form) -> Form:
    """The same form, demanding nothing of its values."""
    data = yaml.safe_load(form.to_text())
    data.pop("checks", None)
    for each in _fields(data):
        each.pop("rules", None)
    return Form.parse(yaml.safe_dump(data))


def with_repair(form: Form) -> Form:
    """The same form, which lets its rules correct what wavered."""
    data = yaml.safe_load(form.to_text())
    for each in _fields(data):
        each["repair"] = each.get("type", "digits") in ("digits", "number", "code")
    return Form.parse(yaml.safe_dump(data))


def _fields(data: dict[str, Any]) -> list[dict[str, Any]]:
    of_tables = [each for table in data.get("tables", []) for each in table["columns"]]
    return [*data.get("fields", []), *of_tables]


@dataclass(frozen=True)
class Filled:
    """A page as scanned, what is written in each cell, what it means, and what befell it."""

    data: bytes
    raw: dict[str, str]
    want: dict[str, str]
    faults: tuple[str, ...]


def filled(form: Form, severity: str, pages: int) -> Iterator[Filled]:
    """Readable pages with every field written, none to three faults each.

    Empty and crossed-out fields always go to review, and unreadable pages into error: they say
    nothing about the reading, and are measured elsewhere.
    """
    rng = np.random.default_rng([_SEED, SEVERITIES.index(severity), len(form.name)])
    blank, source = draw_page(form, 1, _DPI), digits("mnist-test")
    for _ in range(pages):
        sample = fill_and_scan(form, severity, source, rng, blank)
        if sample is not None:
            yield sample


def fill_and_scan(
    form: Form,
    severity: str,
    source: HandwrittenDigits,
    rng: np.random.Generator,
    blank: NDArray[np.uint8],
) -> Filled | None:
    """One page filled and scanned with none to three faults; None if they make it unreadable."""
    usual = [name for name in FAULTS if name not in (*REPLACING, "crossed")]
    sheet = fill_page(form, source, rng, 1, _DPI, blank, 0.0)
    scan = Scan(sheet.grey, sheet.transform, _DPI)
    faults = rng.choice(usual, int(rng.integers(0, 4)), replace=False).tolist()
    if not degrade(scan, form, faults, severity, rng):
        return None
    quality = [cv2.IMWRITE_JPEG_QUALITY, scan.quality or 85]
    data = cv2.imencode(".jpg", scan.grey, quality)[1].tobytes()
    return Filled(data, sheet.raw, sheet.values, tuple(scan.faults))
