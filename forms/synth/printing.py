"""A form as printed: marks, code, boxes and names, drawn from the template alone."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.template.form import Form, FormField
from inkmill.template.pagecode import PageCode
from inkmill.template.registration import Marks, Shape

Grey = NDArray[np.uint8]

_MM_PER_INCH = 25.4
#: Fractional bits of the coordinates that OpenCV draws at.
_SHIFT = 4
#: Width of the lines around cells and of L and cross marks, in mm.
_LINE = 0.3
_LABEL_HEIGHT = 2.6
#: A form in frame units has no size; it is printed on A4 with this margin, in mm.
_A4 = (210.0, 297.0)
_FRAME_MARGIN = 12.0


def page_size(form: Form) -> tuple[float, float]:
    """Width and height of the paper in mm."""
    if form.page.unit == "mm" and form.page.width and form.page.height:
        return form.page.width, form.page.height
    return _A4


def template_to_pixels(form: Form, dpi: float) -> Matrix:
    """3x3: template units to pixels of a page drawn at ``dpi``; pixel centres are integers."""
    unit = dpi / _MM_PER_INCH
    across, down, left, top = 1.0, 1.0, 0.0, 0.0
    if form.page.unit == "frame":
        width, height = page_size(form)
        left = top = _FRAME_MARGIN
        across, down = width - 2 * left, height - 2 * top
        if form.page.aspect:
            down = min(down, across * form.page.aspect)
            across = down / form.page.aspect
    return np.array(
        [[across * unit, 0, left * unit - 0.5], [0, down * unit, top * unit - 0.5], [0, 0, 1]]
    )


def draw_page(form: Form, page_number: int = 1, dpi: float = 300, labels: bool = True) -> Grey:
    """The empty page as uint8 (height, width), black on white, at true size.

    Raises UsageError if the code cannot be drawn (its content does not fit its kind).
    """
    width, height = page_size(form)
    unit = dpi / _MM_PER_INCH
    page = np.full((round(height * unit), round(width * unit)), 255, np.uint8)
    place = template_to_pixels(form, dpi)
    registration = form.registration_of(page_number)
    if registration.marks is not None:
        _draw_marks(page, place, registration.marks, form)
    if registration.code is not None and registration.code.value:
        draw_code(page, place, registration.code, registration.code.value)
    fields = form.page_fields(page_number)
    boxes = [apply(place, corners(box)) for each in fields for box in each.cells.rectangles()]
    edges = np.array([(*points.min(axis=0), *points.max(axis=0)) for points in boxes])
    for field in fields:
        if registration.lines and field.lined:
            _draw_boxes(page, place, field, unit)
        if labels:
            _draw_label(page, place, field, unit, edges)
    return page


def _draw_marks(page: Grey, place: Matrix, marks: Marks, form: Form) -> None:
    size = marks.size or (0.025 if form.page.unit == "frame" else 5.0)
    for number, at in enumerate(marks.at):
        _draw_mark(page, place, at, marks.shape, size, number)
    if marks.odd is not None:
        _draw_mark(page, place, marks.odd.at, marks.odd.shape, marks.odd.size or size, 0)


def _draw_mark(
    page: Grey, place: Matrix, at: tuple[float, float], shape: Shape, size: float, number: int
) -> None:
    x, y = apply(place, np.array([at]))[0]
    side = size * place[0, 0]
    half, arm = side / 2, side / 4
    if shape == "circle":
        centre = (round(x * 2**_SHIFT), round(y * 2**_SHIFT))
        cv2.circle(page, centre, round(half * 2**_SHIFT), 0, -1, cv2.LINE_AA, _SHIFT)
    elif shape == "square":
        _fill(page, x - half, y - half, x + half, y + half)
    elif shape == "cross":
        _fill(page, x - half, y - arm / 2, x + half, y + arm / 2)
        _fill(page, x - arm / 2, y - half, x + arm / 2, y + half)
    else:
        # The L's corner points to the page's corner; clockwise from the top left.
        right, low = number % 4 in (1, 2), number % 4 in (2, 3)
        left = x + half - arm if right else x - half
        top = y + half - arm if low else y - half
        _fill(page, left, y - half, left + arm, y + half)
        _fill(page, x - half, top, x + half, top + arm)


def _fill(page: Grey, left: float, top: float, right: float, bottom: float) -> None:
    """Fill a rectangle with edges between pixel centres, to a fraction of a pixel."""
    edges = np.array([[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]])
    points = np.rint((edges + 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(page, [points], 0, cv2.LINE_AA, _SHIFT)


def _draw_boxes(page: Grey, place: Matrix, field: FormField, unit: float) -> None:
    thick = max(1, round(_LINE * unit))
    for box in field.cells.rectangles():
        points = np.rint(apply(place, corners(box)) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(page, [points], True, 0, thick, cv2.LINE_AA, _SHIFT)


def _draw_label(
    page: Grey, place: Matrix, field: FormField, unit: float, boxes: NDArray[np.float64]
) -> None:
    """Print a field's name to the left of its boxes, or above them; not at all over other boxes.

    ``boxes`` float64 (n, 4) are the left, upper, right and lower edges of all boxes of the page.
    """
    x, y, _, h = field.cells.rectangles()[0]
    left, top = apply(place, np.array([[x, y]]))[0]
    middle = top + h * place[1, 1] / 2
    scale = _LABEL_HEIGHT * unit / 22
    thick = max(1, round(0.25 * unit))
    (width, height), _ = cv2.getTextSize(field.name, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    beside = (round(left - width - 3 * unit), round(middle + height / 2))
    above = (round(left), round(top - unit))
    for across, down in (beside, above):
        right, upper = across + width, down - height
        covers = (boxes[:, 0] < right) & (boxes[:, 2] > across)
        covers &= (boxes[:, 1] < down) & (boxes[:, 3] > upper)
        if not covers.any() and across >= 0 and upper >= 0 and right <= page.shape[1]:
            at = (across, down)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(page, field.name, at, font, scale, 0, thick, cv2.LINE_AA)
            return


_KINDS = {
    "qr": "QRCode",
    "any": "QRCode",
    "datamatrix": "DataMatrix",
    "aztec": "Aztec",
    "code128": "Code128",
    "code39": "Code39",
    "itf": "ITF",
}


def draw_code(page: Grey, place: Matrix, code: PageCode, text: str) -> None:
    """Draw a code that says ``text`` at its place; ``place`` maps template units to pixels.

    Raises UsageError for a text that does not fit the code's kind.
    """
    import zxingcpp

    kind = zxingcpp.barcode_format_from_str(_KINDS[code.kind])
    try:
        drawn = zxingcpp.write_barcode_to_image(
            zxingcpp.create_barcode(text, kind), scale=1, add_quiet_zones=False
        )
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"the code {text!r} cannot be drawn as {code.kind}: {error}") from error
    modules = np.array(drawn)
    (left, top), _, (right, bottom), _ = apply(place, corners(code.box)).tolist()
    width, height = round(right - left), round(bottom - top)
    if modules.shape[0] > 4:
        width = height = min(width, height)
    picture = cv2.resize(modules, (width, height), interpolation=cv2.INTER_NEAREST)
    rows, columns = slice(round(top), round(top) + height), slice(round(left), round(left) + width)
    if page[rows, columns].shape != picture.shape:
        raise UsageError("the code's box extends beyond the page")
    page[rows, columns] = picture


def draw_pdf(form: Form, dpi: float = 600) -> bytes:
    """All pages of the form as one PDF at true size, ready to print."""
    from PIL import Image

    pages = [
        Image.fromarray(draw_page(form, number, dpi)).convert("1")
        for number in range(1, form.page_count + 1)
    ]
    sink = io.BytesIO()
    pages[0].save(sink, "PDF", resolution=dpi, save_all=True, append_images=pages[1:])
    return sink.getvalue()
