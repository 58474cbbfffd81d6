"""Pages as pictures: PNG for the browser, arrays for OpenCV, and where a page's template lies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.intake import decode_page

Grey = NDArray[np.uint8]
Box = tuple[float, float, float, float]

#: Template units are written to this many decimals: a hundredth of a micrometre, or of a pixel in
#: a frame of 1000 pixels.
_DECIMALS = 5


def encode(grey: Grey, longest: int) -> bytes:
    """A picture as PNG, uint8 (height, width), reduced to ``longest`` pixels if it is larger."""
    scale = longest / max(grey.shape)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    # In sixteen greys a page takes a third of the bytes, and looks the same.
    levels = np.asarray(np.rint(grey / 17.0) * 17, np.uint8)
    _, data = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return bytes(data)


def decode(data: bytes) -> Grey:
    """The picture of a page that this desk stored. Raises ItemError."""
    return decode_page(data).grey


@dataclass(frozen=True)
class View:
    """A page's picture of ``size`` (width, height) pixels that shows ``box`` in template units.

    Pixel coordinates are those of the browser: 0, 0 is the corner of the first pixel.
    """

    box: Box
    size: tuple[int, int]

    def to_units(self, boxes: Iterable[Box]) -> list[Box]:
        """Boxes (left, top, width, height) in pixels, in template units."""
        left, top, width, height = self.box
        across, down = width / self.size[0], height / self.size[1]
        return [(left + x * across, top + y * down, w * across, h * down) for x, y, w, h in boxes]

    def cells(self, boxes: Sequence[Box]) -> dict[str, object]:
        """The ``cells`` of a template's field for boxes in pixels, side by side.

        A row at an even step has an origin, a size, a pitch and a count; other boxes are listed.
        """
        table = np.array(self.to_units(boxes), np.float64)
        corners, size = table[:, :2], np.median(table[:, 2:], axis=0)
        if len(table) == 1:
            return {"origin": rounded(corners[0]), "size": rounded(size)}
        steps = np.arange(len(table), dtype=np.float64)
        pitch, start = np.polyfit(steps, corners, 1)
        off = np.abs(start + steps[:, None] * pitch - corners).max()
        if off > _EVEN * size[0] or np.abs(table[:, 2:] - size).max() > _EVEN * size.max():
            return {"boxes": [rounded(box) for box in table]}
        return {
            "origin": rounded(start),
            "size": rounded(size),
            "pitch": rounded(pitch),
            "count": len(table),
        }


#: Boxes off an even step by less than this part of their width are a row with a pitch.
_EVEN = 0.06


def rounded(values: Iterable[float]) -> list[float]:
    """Numbers as a template holds them."""
    return [round(float(value), _DECIMALS) for value in values]
