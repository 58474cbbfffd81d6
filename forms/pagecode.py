"""Page codes: QR, DataMatrix, Aztec, Code 128 and Code 39, where the template has them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.form_registration import PageCode
from inkmill.forms.geometry import Matrix, apply, corners

Grey = NDArray[np.uint8]

_KINDS = {
    "qr": "QRCode",
    "datamatrix": "DataMatrix",
    "aztec": "Aztec",
    "code128": "Code128",
    "code39": "Code39",
    "any": "QRCode|DataMatrix|Aztec|Code128|Code39",
}
#: What is looked at around the code's box, as a part of its size.
_AROUND = 0.35
#: A code's longer side is brought to about so many pixels: enough for 2 a module.
_SIDE = 160


@dataclass(frozen=True)
class PageText:
    """What was read where the code should be: its content, and whether any code was there."""

    content: str
    found: bool


def read_code(grey: Grey, transform: Matrix, code: PageCode) -> PageText:
    """Read the code where ``transform`` (template units to pixels) puts it.

    The place is straightened first, and tried enlarged. Nothing read is no fault of the page.
    """
    x, y, w, h = code.box
    around = _AROUND * min(w, h)
    box = (x - around, y - around, w + 2 * around, h + 2 * around)
    points = apply(transform, corners(box))
    native = float(np.linalg.norm(points[1] - points[0]))
    if not np.isfinite(native) or native < 8 or native > 20_000:
        return PageText("", False)
    kinds = _formats(code.kind)
    for side in (max(_SIDE, min(native, 2.5 * _SIDE)), 2.5 * max(_SIDE, native / 2)):
        width, height = round(side), max(8, round(side * box[3] / box[2]))
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        change = cv2.getPerspectiveTransform(points.astype(np.float32), target)
        straight = cv2.warpPerspective(
            grey, change, (width, height), flags=cv2.INTER_AREA, borderValue=(255, 255, 255)
        )
        content = _read(np.asarray(straight, np.uint8), kinds)
        if content:
            return PageText(content, True)
    return PageText("", False)


def find_code(grey: Grey, kind: str = "any") -> str:
    """The content of the first code anywhere on a page; empty when none is read."""
    return _read(grey, _formats(kind))


def _formats(kind: str) -> object:
    import zxingcpp

    return zxingcpp.barcode_formats_from_str(_KINDS[kind])


def _read(grey: Grey, kinds: object) -> str:
    import zxingcpp

    for barcode in zxingcpp.read_barcodes(grey, formats=kinds):
        if barcode.valid and barcode.text:
            return str(barcode.text)
    return ""


def fits(content: str, value: str) -> bool:
    """Whether a code with this content is one of the template's: ``value``, and perhaps more.

    "tally-1" is met by "tally-1" and by "tally-1/0042", not by "tally-12".
    """
    rest = content.removeprefix(value)
    return content.startswith(value) and not rest[:1].isalnum()
