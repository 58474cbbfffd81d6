"""Read page codes: QR, DataMatrix, Aztec, Code 128, Code 39 and Interleaved 2 of 5."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.template.pagecode import PageCode

Grey = NDArray[np.uint8]

_KINDS = {
    "qr": "QRCode",
    "datamatrix": "DataMatrix",
    "aztec": "Aztec",
    "code128": "Code128",
    "code39": "Code39",
    # Not one of "any": it has no check digit, and table lines can look like a short one.
    "itf": "ITF",
    "any": "QRCode|DataMatrix|Aztec|Code128|Code39",
}
#: Margin around the code's box that is searched too, as a part of its size.
_AROUND = 0.35
#: A code's longer side is scaled to about this many pixels: at least 2 per module.
_SIDE = 160
#: Longer side in pixels of the picture in which codes are first searched for: A4 at 135 dpi.
_REDUCED = 1600


@dataclass(frozen=True)
class PageText:
    """The content read where the code should be, and whether a code was found there."""

    content: str
    found: bool


def read_code(grey: Grey, transform: Matrix, code: PageCode) -> PageText:
    """Read the code where ``transform`` (template units to pixels) puts it.

    The place is straightened first, then also enlarged. A code that cannot be read is no error.
    """
    x, y, w, h = code.box
    around = _AROUND * min(w, h)
    box = (x - around, y - around, w + 2 * around, h + 2 * around)
    points = apply(transform, corners(box))
    native = float(np.linalg.norm(points[1] - points[0]))
    if not np.isfinite(native) or native < 8 or native > 20_000:
        return PageText("", False)
    kinds = _formats(_KINDS[code.kind])
    for side in (max(_SIDE, min(native, 2.5 * _SIDE)), 2.5 * max(_SIDE, native / 2)):
        width, height = round(side), max(8, round(side * box[3] / box[2]))
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        change = cv2.getPerspectiveTransform(points.astype(np.float32), target)
        straight = cv2.warpPerspective(
            grey, change, (width, height), flags=cv2.INTER_AREA, borderValue=(255, 255, 255)
        )
        found = _read(np.asarray(straight, np.uint8), kinds)
        if found:
            # A sticker beside the code may be read as well.
            ours = (text for text in found if code.read(text) is not None)
            return PageText(next(ours, found[0]), True)
    return PageText("", False)


def find_codes(grey: Grey, kinds: Iterable[str], wanted: Callable[[str], bool]) -> list[str]:
    """The contents of codes of these kinds anywhere on a page, in the order they are found.

    A reduced picture is tried first, in which small print misleads least and which saves most time;
    then the page as it is; then an enlarged one, if it has few pixels. The first in which a
    ``wanted`` code is read ends the search; without any, all contents are returned.
    """
    formats = _formats("|".join(_KINDS[kind] for kind in sorted(kinds)))
    longest = max(grey.shape)
    others = dict[str, None]()
    for side in (_REDUCED, longest) if longest > _REDUCED else (longest, 2 * longest):
        scale = side / longest
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = None if scale == 1 else (0, 0)
        tried = grey if size is None else cv2.resize(grey, size, None, scale, scale, how)
        found = _read(np.asarray(tried, np.uint8), formats)
        if any(map(wanted, found)):
            return found
        others.update(dict.fromkeys(found))
    return list(others)


def _formats(names: str) -> object:
    """zxing's formats by their names, separated by |."""
    import zxingcpp

    return zxingcpp.barcode_formats_from_str(names)


def _read(grey: Grey, formats: object) -> list[str]:
    import zxingcpp

    found = zxingcpp.read_barcodes(grey, formats=formats)
    return [str(barcode.text) for barcode in found if barcode.valid and barcode.text]
