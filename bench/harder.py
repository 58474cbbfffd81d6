"""Harder pages for the benchmark of locating: bent paper, thin marks, a sheet on a table.

Part of `python -m bench.forms`. The pages are drawn by this project's own code, like all others of
that benchmark; every one of them is readable.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from bench.material import read_cells
from inkmill.errors import ItemError
from inkmill.forms.geometry import Points, apply, corners
from inkmill.forms.locate.registration import Located
from inkmill.forms.synth.bending import bent_page
from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form

KINDS = (
    "bent",
    "thin marks",
    "bent, thin marks",
    "photo of a sheet on a table",
    "grid without marks, photo",
    "boxes alone, photo",
)
#: A grid of nine by nine, which looks the same when it is turned.
GRID = """
inkmill_form: 1
name: grid
page: {width: 210, height: 297}
registration: {upright: true}
tables:
  - rows: {count: 9, pitch: [0, 18]}
    columns:
      - name: row
        type: digits
        cells: {origin: [24, 60], size: [18, 18], pitch: [18, 0], count: 9}
"""
OUTCOMES = ("right", "in part", "refused", "wrong")
#: A page is right when every corner of every cell is within this of its place.
WITHIN_MM = 0.5

_DPI = 200.0
#: Least and largest displacement of bent paper in mm, and width of thin arms, in parts of a mark.
_BENT, _ARM = (1.0, 3.0), (0.06, 0.12)
#: Width and height of a photo in pixels, how far the sheet is turned in degrees, and how oblique it
#: lies, in parts of its size. The sheet covers a third of the photo.
_PHOTO, _TURNED, _OBLIQUE = (3000, 4000), 15.0, 0.06


@dataclass(frozen=True)
class HarderPage:
    """A file's bytes, and ``places``, which maps template units to its pixels, (n, 2) each."""

    kind: str
    form: Form
    data: bytes
    places: Callable[[Points], Points]


@dataclass
class Harder:
    """What came of the pages, by kind; ``fields`` counts those in review on located pages."""

    pages: Counter[tuple[str, str]] = field(default_factory=Counter)
    fields: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def judge_harder(
    form: Form, digits: HandwrittenDigits, rng: np.random.Generator, count: int, tally: Harder
) -> None:
    """Draw and read ``count`` pages of a form, of all kinds in turn, and count what comes of it.

    "In part" are pages some of whose fields go to review, since their lines were not found; the
    others are within their places.
    """
    for page in harder_pages(form, digits, rng, count):
        try:
            located = read_cells(page.data, page.form).registration
        except ItemError as error:
            tally.pages[page.kind, "refused"] += 1
            tally.reasons[f"{page.kind}: {error.message}"] += 1
            continue
        off = _off_mm(page, located)
        tally.fields[page.kind][0] += sum(each is None for each in off)
        tally.fields[page.kind][1] += len(off)
        worst = max((each for each in off if each is not None), default=0.0)
        outcome = "right" if None not in off else "in part"
        if worst > WITHIN_MM:
            outcome = "wrong"
            tally.wrong.append(f"{form.name}, {page.kind}: {worst:.2f} mm")
        tally.pages[page.kind, outcome] += 1


def _off_mm(page: HarderPage, located: Located) -> list[float | None]:
    """For each field the largest distance of a corner from its place, None if it is in review."""
    unit = _mm_per_unit(page.form)
    found: list[float | None] = []
    for number, each in enumerate(page.form.page_fields(1)):
        if each.type == "image":
            continue
        if not located.sees(number):
            found.append(None)
            continue
        boxes, worst = each.cells.rectangles(), 0.0
        for box, moved in zip(boxes, located.moved(number, boxes), strict=True):
            true = page.places(corners(box))
            seen = apply(located.transform, corners(moved))
            area = cv2.contourArea(true.astype(np.float32))
            pixels = np.sqrt(area / (box[2] * box[3] * unit[0] * unit[1]))
            worst = max(worst, float(np.linalg.norm(seen - true, axis=1).max() / pixels))
        found.append(worst)
    return found


def _mm_per_unit(form: Form) -> NDArray[np.float64]:
    return np.diag(template_to_pixels(form, 25.4))[:2]


# --- drawing -----------------------------------------------------------------------------------


def harder_pages(
    form: Form, digits: HandwrittenDigits, rng: np.random.Generator, count: int
) -> Iterator[HarderPage]:
    """``count`` pages of a form, of all kinds in turn."""
    blanks = {name: _with_thin_marks(form, name) for name in ("L", "cross")}
    grid = Form.parse(GRID)
    bare = _without_marks(form) or grid
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        shown, blank = form, draw_page(form, 1, _DPI)
        if "thin" in kind:
            shown = blanks["L" if number % 2 else "cross"]
            blank = draw_page(shown, 1, _DPI)
            _draw_thin(blank, shown, float(rng.uniform(*_ARM)))
        if "photo" in kind and not kind.startswith("photo"):
            shown = grid if kind.startswith("grid") else bare
            blank = draw_page(shown, 1, _DPI)
        sheet = fill_page(shown, digits, rng, 1, _DPI, blank, 0.05)
        scan = Scan(sheet.grey, sheet.transform, _DPI)
        if "photo" in kind:
            _on_a_table(scan, rng)
        places = _through(scan)
        if "bent" in kind:
            bent = bent_page(scan, float(rng.uniform(*_BENT)), rng)
            scan.grey, places = bent.grey, bent.places
        degrade(scan, shown, (), "light", rng)
        data = cv2.imencode(".jpg", scan.grey, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        yield HarderPage(kind, shown, data, places)


def _through(scan: Scan) -> Callable[[Points], Points]:
    transform = scan.transform
    return lambda points: apply(transform, points)


def _without_marks(form: Form) -> Form | None:
    """The form with nothing but its boxes; None if its positions are fractions between marks."""
    if form.page.unit == "frame":
        return None
    content = yaml.safe_load(form.to_text())
    content["registration"] = {"upright": True}
    content.pop("document_key", None)
    return Form.parse(yaml.safe_dump(content))


def _with_thin_marks(form: Form, shape: str) -> Form:
    content = yaml.safe_load(form.to_text())
    content["registration"]["marks"]["shape"] = shape
    return Form.parse(yaml.safe_dump(content))


def _draw_thin(blank: NDArray[np.uint8], form: Form, arm: float) -> None:
    """The corner marks drawn again, with thin arms."""
    marks = form.registration.marks
    assert marks is not None
    place = template_to_pixels(form, _DPI)
    side = round((marks.size or 5.0) * place[0, 0])
    thick = max(1, round(arm * side))
    for number, (x, y) in enumerate(apply(place, np.array(marks.at[:4], np.float64))):
        left, top = round(x - (side - 1) / 2), round(y - (side - 1) / 2)
        blank[top - 2 : top + side + 2, left - 2 : left + side + 2] = 255
        mark = np.full((side, side), 255, np.uint8)
        start = (side - thick) // 2 if marks.shape == "cross" else 0
        mark[start : start + thick] = mark[:, start : start + thick] = 0
        if marks.shape == "L":
            # The elbow points to the page's corner.
            mark = np.rot90(mark, -number)
        blank[top : top + side, left : left + side] = mark


def _on_a_table(scan: Scan, rng: np.random.Generator) -> None:
    """A photo of the page, lying turned and oblique on a darker table."""
    width, height = _PHOTO
    rows, columns = scan.grey.shape
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64)
    size = np.sqrt(width * height / 3 / (rows * columns))
    angle = np.deg2rad(rng.uniform(-_TURNED, _TURNED))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lying = (flat - [columns / 2, rows / 2]) * (1 + rng.uniform(-_OBLIQUE, _OBLIQUE, (4, 2)))
    shift = rng.uniform(-0.05, 0.05, 2) * [width, height]
    there = size * lying @ turn.T + [width / 2, height / 2] + shift
    change = cv2.getPerspectiveTransform(flat.astype(np.float32), there.astype(np.float32))
    grain = rng.integers(60, 190, (height // 8, width // 8)).astype(np.uint8)
    table = cv2.GaussianBlur(cv2.resize(grain, (width, height)), (0, 0), 3)
    photo = cv2.warpPerspective(scan.grey, change, (width, height), flags=cv2.INTER_AREA)
    paper = cv2.warpPerspective(np.full_like(scan.grey, 255), change, (width, height))
    photo = np.where(paper > 127, photo, table)
    light = np.linspace(rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), width)
    scan.grey = np.asarray(photo * light[None], np.uint8)
    scan.transform = np.asarray(change @ scan.transform, np.float64)


# --- the page --------------------------------------------------------------------------------


def report_harder(tally: Harder) -> list[str]:
    """The section of the page about these pages."""
    lines = [
        "## Harder pages",
        "",
        f"Paper bent in long waves by {_BENT[0]:g} to {_BENT[1]:g} mm; marks (L and cross) with "
        "arms of",
        f"{100 * _ARM[0]:g} to {100 * _ARM[1]:g} % of their size; photos in which the sheet covers "
        "a third of the picture,",
        "also of a grid of nine by nine cells and of the forms without marks, code and blank. All "
        "are",
        "readable. *In part*: the lines of some fields were not found, and these fields go to",
        f"review; all others are within {WITHIN_MM} mm.",
        "",
        "| kind | pages | right | in part | refused | wrong | fields in review |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        counts = [tally.pages[kind, outcome] for outcome in OUTCOMES]
        unseen, fields = tally.fields[kind]
        share = f"{100 * unseen / max(fields, 1):.2f} %"
        lines.append(f"| {kind} | {sum(counts)} | {' | '.join(map(str, counts))} | {share} |")
    if tally.reasons:
        listed = "; ".join(f"{reason} ({n})" for reason, n in tally.reasons.most_common())
        lines += ["", f"Refused: {listed}."]
    if tally.wrong:
        lines += ["", "Located wrongly: " + "; ".join(tally.wrong) + "."]
    return [*lines, ""]
