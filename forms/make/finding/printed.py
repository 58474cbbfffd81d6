"""Registration marks and page codes as they are found on a page, for a draft template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.locate.vision.marks import MARK_RATIO, Candidates, corners, find_candidates
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.registration import Shape

Grey = NDArray[np.uint8]
#: Left, top, width and height in pixels.
Box = tuple[float, float, float, float]

_MOST_MARKS = 24
#: Smallest and largest side of a mark, as parts of the page's longer side: 2 to 15 mm of A4.
_SIZES = (0.006, 0.05)
#: Least mean likeness of four corner marks with their shape: a form has any kind of print there.
_LIKENESS = {"square": 0.85, "circle": 0.85, "L": 0.82, "cross": 0.82}
#: Marks that are not in the corners must look as much like one.
_OTHERS = 0.92
#: The kinds of page codes by zxing's names.
_KINDS = {
    "QRCode": "qr",
    "DataMatrix": "datamatrix",
    "Aztec": "aztec",
    "Code128": "code128",
    "Code39": "code39",
    "ITF": "itf",
}
#: A bar code goes on as long as its rows are this like the one that was read, with so many pixels
#: between them.
_SAME_BARS, _STEP = 0.8, 2


@dataclass(frozen=True)
class FoundMarks:
    """Marks of one shape.

    ``at`` float64 (n, 2) in pixels, the four corners first, clockwise from the top left; ``size``
    their side or diameter in pixels.
    """

    at: NDArray[np.float64]
    size: float
    shape: Shape = "square"


@dataclass(frozen=True)
class FoundCode:
    """A page code: its ``kind`` as templates call it, its content, and its box in pixels."""

    kind: str
    text: str
    box: Box


def find_codes(page: Grey) -> list[FoundCode]:
    """Codes anywhere on an upright page, uint8 (height, width), the largest first.

    Interleaved 2 of 5 is left out: lines of a table can look like a short one.
    """
    found = []
    for kind, text, points in read_codes(page, leave_out="itf"):
        box = _around(points)
        found.append(FoundCode(kind, text, _with_bars(page, box) if "code" in kind else box))
    return sorted(found, key=lambda code: -code.box[2] * code.box[3])


def read_codes(
    picture: Grey, leave_out: str = ""
) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """The codes of a picture, uint8 (height, width), of all kinds but one.

    Yields each code's kind, as templates name it, its text, and its corners, float64 (4, 2), in
    pixels, clockwise from the top left.
    """
    import zxingcpp

    wanted = [name for name, kind in _KINDS.items() if kind != leave_out]
    formats = zxingcpp.barcode_formats_from_str("|".join(wanted))
    for each in zxingcpp.read_barcodes(np.ascontiguousarray(picture), formats=formats):
        kind = _KINDS.get(str(each.format).rpartition(".")[2].replace(" ", ""))
        if each.valid and each.text and kind is not None:
            at = each.position
            corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
            yield kind, str(each.text), np.array([(p.x, p.y) for p in corners], np.float64)


def _around(points: NDArray[np.float64]) -> Box:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right - left), float(bottom - top)


def _with_bars(page: Grey, box: Box) -> Box:
    """A bar code's box at its whole height: it is read along one line."""
    x, y, width, height = box
    left, right = max(0, round(x)), min(page.shape[1], round(x + width))
    middle = min(max(0, round(y + height / 2)), page.shape[0] - 1)
    if right - left < 8:
        return box
    bars = page[middle, left:right].astype(np.float64)
    ends = []
    for step in (-_STEP, _STEP):
        row = middle
        while 0 <= row + step < page.shape[0] and _same(page[row + step, left:right], bars):
            row += step
        ends.append(row)
    return float(left), float(ends[0]), float(right - left), float(ends[1] - ends[0])


def _same(row: Grey, bars: NDArray[np.float64]) -> bool:
    return bool(row.std() > 1 and np.corrcoef(row, bars)[0, 1] > _SAME_BARS)


def without(page: Grey, codes: Sequence[FoundCode]) -> Grey:
    """The page with its codes painted over: they have squares in them that look like boxes."""
    if not codes:
        return page
    bare = page.copy()
    for code in codes:
        x, y, width, height = code.box
        margin = 0.08 * max(width, height)
        first = (round(x - margin), round(y - margin))
        last = (round(x + width + margin), round(y + height + margin))
        cv2.rectangle(bare, first, last, 255, -1)
    return bare


def find_marks(page: Grey) -> FoundMarks | None:
    """The marks in the corners of an upright page, and similar squares or discs elsewhere.

    None if no shape stands in all four corners.
    """
    overview = Overview.of(page)
    longest = max(overview.grey.shape)
    best: tuple[float, FoundMarks] | None = None
    shapes: tuple[Shape, ...] = ("square", "circle", "L", "cross")
    for shape in shapes:
        found = find_candidates(overview, shape, *(part * longest for part in _SIZES))
        four = corners(overview, found)
        if four is None:
            continue
        likeness = float(found.likeness[list(four)].mean())
        if likeness >= _LIKENESS[shape] and (best is None or likeness > best[0]):
            best = likeness, _marks(overview, found, four, shape)
    return None if best is None else best[1]


def _marks(
    overview: Overview, found: Candidates, four: tuple[int, int, int, int], shape: Shape
) -> FoundMarks:
    side = float(np.median(found.sizes[list(four)]))
    others = [
        number
        for number in range(len(found))
        if shape in ("square", "circle")
        and number not in four
        and 1 / MARK_RATIO < found.sizes[number] / side < MARK_RATIO
        and found.likeness[number] > _OTHERS
    ]
    chosen = [*four, *others][:_MOST_MARKS]
    scale = np.array([overview.scale_x, overview.scale_y])
    at = (found.centres[chosen] + 0.5) * scale - 0.5
    return FoundMarks(at, side * float(scale.mean()), shape)
