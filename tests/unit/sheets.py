"""Filled pages for tests of forms: digits drawn by OpenCV's pen font, so no data set is needed."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from inkmill.forms.geometry import Matrix, apply, corners, inverse
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import Located
from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import FilledPage, fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.printing import page_size
from inkmill.template.form import Form

FORMS = Path(__file__).parents[2] / "examples" / "forms"
#: A form of numbers without cells.
BILL = FORMS.parent / "bills" / "bill.yaml"


def load(name: str) -> Form:
    return Form.load(FORMS / f"{name}.yaml")


def pdf(count: int, size: tuple[float, float] = (595, 842)) -> bytes:
    """A PDF of so many empty pages, of a size in points."""
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    for _ in range(count):
        document.new_page(*size)
    sink = io.BytesIO()
    document.save(sink)
    return sink.getvalue()


def pen_digits(each: int = 12) -> HandwrittenDigits:
    """A dozen of each digit, white on black, slanted and sized a little differently."""
    rng = np.random.default_rng(11)
    images, labels = [], []
    for digit in range(10):
        for _ in range(each):
            image = np.zeros((28, 28), np.uint8)
            cv2.putText(
                image, str(digit), (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA
            )
            turn = cv2.getRotationMatrix2D(
                (14, 14), float(rng.uniform(-14, 14)), float(rng.uniform(0.8, 1.15))
            )
            turn[:, 2] += rng.uniform(-3, 3, 2)
            images.append(cv2.warpAffine(image, turn, (28, 28)))
            labels.append(digit)
    return HandwrittenDigits(np.stack(images), np.array(labels))


def sheet(form: Form, seed: int = 1, dpi: float = 150, page_number: int = 1) -> FilledPage:
    return fill_page(form, pen_digits(), np.random.default_rng(seed), page_number, dpi)


def scanned(
    form: Form,
    faults: tuple[str, ...] = (),
    severity: str = "light",
    seed: int = 1,
    dpi: float = 150,
) -> tuple[Scan, FilledPage]:
    """A filled page after the named faults."""
    filled = sheet(form, seed, dpi)
    scan = Scan(filled.grey, filled.transform, dpi)
    degrade(scan, form, faults, severity, np.random.default_rng(seed))
    return scan, filled


def on_a_table(scan: Scan, part: float = 0.33, turn: float = 9.0) -> Scan:
    """A photo in which the sheet, turned and oblique on a dark table, covers ``part``."""
    rows, columns = scan.grey.shape
    height, width = 1600, 1200
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64)
    angle, size = np.deg2rad(turn), np.sqrt(part * width * height / (rows * columns))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    oblique = np.array([[1.05, 1.0], [0.96, 1.03], [1.0, 0.95], [0.98, 1.02]])
    there = size * ((flat - [columns / 2, rows / 2]) * oblique) @ rotation.T + [
        width / 2,
        height / 2,
    ]
    change = cv2.getPerspectiveTransform(flat.astype(np.float32), there.astype(np.float32))
    soft = cv2.GaussianBlur(scan.grey, (0, 0), max(0.1, 0.4 / size))
    grain = np.random.default_rng(3).integers(40, 150, (height // 8, width // 8)).astype(np.uint8)
    photo = cv2.GaussianBlur(cv2.resize(grain, (width, height)), (0, 0), 3)
    cv2.warpPerspective(soft, change, (width, height), photo, borderMode=cv2.BORDER_TRANSPARENT)
    lit = photo * np.linspace(0.75, 1.0, width)[None]
    return Scan(lit.astype(np.uint8), np.asarray(change @ scan.transform, np.float64), scan.dpi)


def page_of(scan: Scan) -> Page:
    return Page(scan.grey)


def off_mm(form: Form, located: Located, true: Matrix, page_number: int = 1) -> float:
    """How far the worst corner of a cell is from its place on the paper, in mm."""
    unit = np.ones(2)
    if form.page.unit == "frame":
        width = page_size(form)[0] - 24
        unit = np.array([width, width * (form.page.aspect or 1)])
    worst = 0.0
    for number, field in enumerate(form.page_fields(page_number)):
        boxes = field.cells.rectangles() if field.type != "image" else ()
        for box, moved in zip(boxes, located.moved(number, boxes), strict=True):
            points = corners(box)
            there = apply(located.transform, corners(moved))
            back = (apply(inverse(true), there) - points) * unit
            worst = max(worst, float(np.linalg.norm(back, axis=1).max()))
    return worst
