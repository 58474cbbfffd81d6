"""What scanners, phones and people do to a page: one function for each fault.

Each takes the scan, its form, a random generator and the level of severity, from 0 (light) to 3
(extreme), and draws its parameters from that level's range. `inkmill.forms.synth.faults` names
them and says which leave a page readable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.template.form import Form

Grey = NDArray[np.uint8]


@dataclass
class Scan:
    """A page that is being degraded.

    ``grey`` uint8 (height, width); ``transform`` 3x3 maps template units to its pixels; ``quality``
    is the JPEG quality it will be stored with, 0 for a lossless file.
    """

    grey: Grey
    transform: Matrix
    dpi: float
    quality: int = 0
    faults: list[str] = field(default_factory=list)


def between(rng: np.random.Generator, bounds: Sequence[tuple[float, float]], level: int) -> float:
    return float(rng.uniform(*bounds[level]))


# --- where the page lies --------------------------------------------------------------------


def _warp(scan: Scan, change: Matrix, size: tuple[int, int], ground: int = 255) -> None:
    scan.grey = np.asarray(
        cv2.warpPerspective(
            scan.grey, change, size, flags=cv2.INTER_LINEAR, borderValue=(ground,) * 3
        ),
        np.uint8,
    )
    scan.transform = change @ scan.transform


def _about_middle(scan: Scan, linear: Matrix) -> Matrix:
    height, width = scan.grey.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    change = np.eye(3)
    change[:2, :2] = linear
    change[:2, 2] = middle - linear @ middle
    return change


def skew(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    degrees = between(rng, ((0.2, 1.0), (1.0, 3.0), (3.0, 6.0), (6.0, 9.0)), level)
    angle = np.deg2rad(degrees) * rng.choice((-1, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Kept complete: the paper is larger than the skewed page, and the marks stay on it.
    height, width = scan.grey.shape
    _warp(scan, _about_middle(scan, turn * (1 - 0.012 * degrees)), (width, height))


def turn(quarters: int) -> Callable[[Scan, Form, np.random.Generator, int], None]:
    def turn(scan: Scan, _form: Form, _rng: np.random.Generator, _level: int) -> None:
        height, width = scan.grey.shape
        if quarters == 2:
            change = np.array([[-1.0, 0, width - 1], [0, -1, height - 1], [0, 0, 1]])
        else:
            change = np.array([[0.0, -1, height - 1], [1, 0, 0], [0, 0, 1]])
            if quarters == 3:
                change = np.array([[0.0, 1, 0], [-1, 0, width - 1], [0, 0, 1]])
        scan.grey = np.ascontiguousarray(np.rot90(scan.grey, -quarters))
        scan.transform = change @ scan.transform

    return turn


def scale(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    low, high = ((0.98, 1.02), (0.95, 1.03), (0.92, 1.05), (0.85, 1.05))[level]
    factor = rng.uniform(low, high)
    height, width = scan.grey.shape
    # Larger than the glass: the middle stays, and the marks are within margins of 5 %.
    _warp(scan, _about_middle(scan, np.eye(2) * factor), (width, height))


def letter(scan: Scan, _form: Form, _rng: np.random.Generator, _level: int) -> None:
    """A4 printed to fit Letter (279.4 mm high) and scanned as Letter."""
    height, width = scan.grey.shape
    size = (round(215.9 / 25.4 * scan.dpi), round(279.4 / 25.4 * scan.dpi))
    factor = min(size[0] / width, size[1] / height)
    change = np.array(
        [
            [factor, 0, (size[0] - width * factor) / 2],
            [0, factor, (size[1] - height * factor) / 2],
            [0, 0, 1],
        ]
    )
    _warp(scan, change, size)


def perspective(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """A photo by phone: corners pulled in, a table around the sheet."""
    pull = ((0.005, 0.015), (0.015, 0.04), (0.04, 0.07), (0.07, 0.10))[level]
    height, width = scan.grey.shape
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    moved = corners + inward * rng.uniform(0.2 * pull[0], pull[1], (4, 2)) * (width, height)
    change = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    _warp(scan, np.asarray(change, np.float64), (width, height), int(rng.integers(60, 140)))


# --- light and ink -------------------------------------------------------------------------------


def uneven_light(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    depth = between(rng, ((0.05, 0.15), (0.15, 0.35), (0.35, 0.55), (0.55, 0.7)), level)
    height, width = scan.grey.shape
    angle = rng.uniform(0, 2 * np.pi)
    down, across = np.mgrid[0:16, 0:16] / 15.0 - 0.5
    fall = (across * np.cos(angle) + down * np.sin(angle)) / np.sqrt(2) + 0.5
    shade = cv2.resize((1 - depth * fall).astype(np.float32), (width, height))
    scan.grey = np.asarray(scan.grey * shade, np.uint8)


def watermark(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """Large grey letters across the page, under print and ink."""
    grey = 255 - int(between(rng, ((25, 45), (45, 75), (75, 105), (105, 130)), level))
    height, width = scan.grey.shape
    under = np.full_like(scan.grey, 255)
    scale, thick = width / 420, max(2, width // 90)
    for row in range(3):
        at = (round(width * rng.uniform(0.02, 0.3)), round(height * (0.25 + 0.28 * row)))
        cv2.putText(under, "SAMPLE", at, cv2.FONT_HERSHEY_SIMPLEX, scale, grey, thick, cv2.LINE_AA)
    scan.grey = np.minimum(scan.grey, under)


def faint(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """Pale ink and print; at the last severity hardly darker than the paper's noise."""
    strength = between(rng, ((0.6, 0.8), (0.4, 0.6), (0.22, 0.4), (0.005, 0.015)), level)
    scan.grey = np.asarray(255 - (255 - scan.grey.astype(np.float32)) * strength, np.uint8)


def streaks(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """Dirt on the scanner's glass: dark lines down the whole page."""
    width = scan.grey.shape[1]
    for _ in range((1, 2, 3, 12)[level]):
        thick = max(1, round(rng.uniform(0.1, (0.2, 0.4, 0.8, 8.0)[level]) * scan.dpi / 25.4))
        left = int(rng.integers(0, width - thick))
        dark = int(rng.integers(40, 170))
        part = scan.grey[:, left : left + thick]
        part[:] = np.minimum(part, dark)


def specks(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    height, width = scan.grey.shape
    for _ in range((40, 150, 500, 1500)[level]):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        radius = max(1, round(rng.uniform(0.05, 0.2) * scan.dpi / 25.4))
        cv2.circle(scan.grey, (x, y), radius, int(rng.integers(0, 120)), -1)


def noise(scan: Scan, rng: np.random.Generator, sigma: float) -> None:
    """Noise of paper and sensor; one tile repeated, since a page has millions of pixels."""
    height, width = scan.grey.shape
    tile = rng.normal(0, sigma, (256, 256)).astype(np.float32)
    grain = np.tile(tile, (height // 256 + 1, width // 256 + 1))[:height, :width]
    scan.grey = np.clip(scan.grey + grain, 0, 255).astype(np.uint8)


# --- the file ------------------------------------------------------------------------------------


def jpeg(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    scan.quality = int(between(rng, ((70, 90), (40, 70), (20, 40), (2, 5)), level))


def _resolution(scan: Scan, dpi: float) -> None:
    factor = dpi / scan.dpi
    height, width = scan.grey.shape
    size = (round(width * factor), round(height * factor))
    x, y = size[0] / width, size[1] / height
    scan.grey = np.asarray(cv2.resize(scan.grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    shrink = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    scan.transform, scan.dpi = shrink @ scan.transform, dpi


def low_resolution(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    _resolution(scan, between(rng, ((150, 180), (110, 150), (90, 110), (18, 26)), level))


def bilevel(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """Black and white, like a fax, with a threshold off the middle between ink and paper.

    At the last severity it is so far off that hardly anything is left.
    """
    _resolution(scan, between(rng, ((180, 200), (130, 180), (100, 130), (90, 100)), level))
    part = between(rng, ((0.45, 0.65), (0.35, 0.72), (0.3, 0.78), (0.0, 0.01)), level)
    ink, paper = np.percentile(scan.grey, (0.5, 60))
    limit = ink + part * (paper - ink)
    scan.grey = np.asarray(np.where(scan.grey > limit, 255, 0), np.uint8)


def hard_contrast(scan: Scan, _form: Form, rng: np.random.Generator, level: int) -> None:
    """Nearly bilevel, like copiers and cheap scanners, at about 110 dpi; stored as JPEG."""
    _resolution(scan, between(rng, ((140, 160), (105, 125), (95, 105), (60, 70)), level))
    middle = between(rng, ((140, 160), (130, 170), (110, 180), (30, 60)), level)
    steep = (3.0, 5.0, 8.0, 12.0)[level]
    levels = np.clip((np.arange(256) - middle) * steep + 128, 0, 255).astype(np.uint8)
    scan.grey = np.asarray(cv2.LUT(scan.grey, levels), np.uint8)
    scan.quality = scan.quality or 70


# --- what happened to the paper ------------------------------------------------------------------


def _mark_places(scan: Scan, form: Form) -> tuple[NDArray[np.float64], float]:
    marks = form.registration.marks
    if marks is None:
        raise UsageError(f"the form {form.name} has no marks to cover")
    at = apply(scan.transform, np.array(marks.at[:4], np.float64))
    size = marks.size or (0.025 if form.page.unit == "frame" else 5.0)
    unit = float(np.linalg.norm(at[1] - at[0])) / abs(marks.at[1][0] - marks.at[0][0])
    return at, size * unit


def covered_marks(scan: Scan, form: Form, rng: np.random.Generator, level: int) -> None:
    """A stamp, sticker or thumb on one corner mark; at the last severity on most of the page."""
    at, size = _mark_places(scan, form)
    if level == 3:
        scan.grey[: scan.grey.shape[0] * 3 // 4] = 235
        scan.grey[:, : scan.grey.shape[1] // 3] = 235
        return
    x, y = at[int(rng.integers(4))]
    shift = rng.uniform(-0.6, 0.6, 2) * size if level == 0 else rng.uniform(-0.2, 0.2, 2) * size
    middle = (round(float(x + shift[0])), round(float(y + shift[1])))
    cv2.circle(scan.grey, middle, round(size * 1.1), int(rng.choice((60, 245))), -1)


def cut_off(scan: Scan, form: Form, rng: np.random.Generator, level: int) -> None:
    """A corner folded over, with its mark; at the last severity most of the page is missing."""
    height, width = scan.grey.shape
    at, size = _mark_places(scan, form)
    if level == 3:
        keep = height * 2 // 5
        scan.grey = np.ascontiguousarray(scan.grey[:keep])
        return
    corner = int(rng.integers(4))
    x, y = at[corner]
    # The mark goes, the boxes stay.
    reach = size * (1.2, 1.6, 2.0)[level]
    sign_x, sign_y = np.sign(x - width / 2), np.sign(y - height / 2)
    tip = np.array([x - sign_x * reach, y - sign_y * reach])
    far = np.array([sign_x, sign_y]) * (width + height)
    edge = np.array([tip, tip + far * (1, 0), tip + far, tip + far * (0, 1)])
    cv2.fillPoly(scan.grey, [np.rint(edge).astype(np.int32)], int(rng.choice((0, 255))))


def _cells(
    scan: Scan, form: Form, share: float, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """The corners of a share of the cells, in pixels."""
    boxes = [apply(scan.transform, corners(cell.box)) for cell in form.cells(1)]
    return [box for box in boxes if rng.random() < share]


def touching(scan: Scan, form: Form, rng: np.random.Generator, level: int) -> None:
    """Strokes from underlining or a neighbour's flourish that run into a cell's digit."""
    for box in _cells(scan, form, (0.05, 0.1, 0.2, 0.5)[level], rng):
        size = float(np.linalg.norm(box[2] - box[0]))
        start = box[0] + (box[3] - box[0]) * rng.uniform(0.7, 1.1) - (box[1] - box[0]) * 0.3
        stop = start + (box[1] - box[0]) * rng.uniform(0.5, 0.8)
        one, other = (tuple(int(v) for v in np.rint(point)) for point in (start, stop))
        cv2.line(scan.grey, one, other, 60, max(1, round(0.02 * size)), cv2.LINE_AA)


def crossed(scan: Scan, form: Form, rng: np.random.Generator, level: int) -> None:
    """Cells crossed out with a zigzag: no longer digits, and to be reported as such."""
    for box in _cells(scan, form, (0.02, 0.05, 0.1, 0.3)[level], rng):
        across, down = box[1] - box[0], box[3] - box[0]
        steps = np.linspace(0.1, 0.9, 7)
        points = [
            box[0] + across * step + down * (0.15 if number % 2 else 0.85)
            for number, step in enumerate(steps)
        ]
        thick = max(1, round(0.04 * float(np.linalg.norm(down))))
        cv2.polylines(scan.grey, [np.rint(points).astype(np.int32)], False, 50, thick, cv2.LINE_AA)


def wrong_form(scan: Scan, _form: Form, rng: np.random.Generator, _level: int) -> None:
    """Another document instead: text, a table, and black blobs that resemble marks."""
    height, width = scan.grey.shape
    page = np.full_like(scan.grey, 255)
    unit = scan.dpi / 25.4
    for row in range(int(rng.integers(15, 40))):
        y = round((25 + row * 6) * unit)
        x = round(20 * unit)
        while x < width - 30 * unit and y < height - 20 * unit:
            length = int(rng.uniform(3, 14) * unit)
            page[y : y + round(2 * unit), x : x + length] = rng.integers(30, 200, 1)[0]
            x += length + round(2 * unit)
    for _ in range(int(rng.integers(2, 12))):
        x, y = int(rng.integers(width * 0.9)), int(rng.integers(height * 0.9))
        side = round(rng.uniform(3, 7) * unit)
        page[y : y + side, x : x + side] = 0
    for _ in range(int(rng.integers(0, 40))):
        x, y = int(rng.integers(width * 0.8)), int(rng.integers(height * 0.9))
        size = (x + round(9 * unit), y + round(13 * unit))
        cv2.rectangle(page, (x, y), size, 0, max(1, round(0.3 * unit)))
    scan.grey = page


def blank_page(scan: Scan, _form: Form, _rng: np.random.Generator, _level: int) -> None:
    scan.grey = np.full_like(scan.grey, 250)
