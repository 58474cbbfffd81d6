"""Cells cut from a page and straightened, as darkness against their paper.

All cells of one size are processed together, as stacked arrays: a cell has some 8,000 pixels, so
few that calls cost more than their work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.cut.boxlines import Rectangle
from inkmill.forms.geometry import Matrix
from inkmill.forms.locate.vision.overview import shrunk

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

#: The longer side of a cut cell in pixels: at most this, since the normaliser reduces it to 20;
#: at least that (it is enlarged), so that lines differ from strokes in 110 dpi scans.
_LONGEST, SHORTEST = 76.0, 56.0
#: Handwriting and lines cover less than half of a cell, so this part of its levels is up to paper.
_PAPER = 0.7
#: Margin around a cell, as a part of its shorter side: strokes run over the lines.
_MARGIN = 0.22


@dataclass(frozen=True)
class Cuts:
    """Cells of one size as cut from the page.

    ``dark`` uint8 (n, height, width) is how much darker each pixel is than its cell's paper;
    ``box`` the printed box in the cut in pixels (left, top, right, bottom), inside a margin;
    ``lined`` whether that box is printed.
    """

    dark: Grey
    box: Rectangle
    lined: bool = True

    def __len__(self) -> int:
        return len(self.dark)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the printed box."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def within(self, part: float) -> tuple[slice, slice, slice]:
        """An index of the cells' inside, without this part of the box at each side."""
        left, top, right, bottom = self.box
        across, down = (part * side for side in self.size)
        rows = slice(round(top + down), round(bottom - down))
        return slice(None), rows, slice(round(left + across), round(right - across))


def cut_cells(
    grey: Grey, transform: Matrix, boxes: Sequence[Box], size: tuple[int, int], lined: bool = True
) -> Cuts:
    """Cut cells, ``boxes`` in template units, from a page and straighten them.

    Each is cut to ``size`` pixels (width, height) plus a margin. ``transform`` maps template units
    to the page's pixels.
    """
    margin = round(_MARGIN * min(size))
    width, height = (side + 2 * margin for side in size)
    # Maps pixel centres of the cut to template units, then to the page.
    x, y, w, h = np.asarray(boxes, np.float64).T
    into = np.zeros((len(boxes), 3, 3))
    into[:, 0, 0], into[:, 1, 1], into[:, 2, 2] = w / size[0], h / size[1], 1.0
    into[:, 0, 2] = x - (margin - 0.5) * w / size[0]
    into[:, 1, 2] = y - (margin - 0.5) * h / size[1]
    box = (margin, margin, margin + size[0], margin + size[1])
    return Cuts(_straight(grey, transform @ into, (height, width)), box, lined)


def _straight(grey: Grey, matrices: NDArray[np.float64], size: tuple[int, int]) -> Grey:
    """The darkness of cells of this height and width, whose pixels ``matrices`` map to the page."""
    dark = np.empty((len(matrices), *size), np.uint8)
    if kernels.enabled():
        from inkmill.forms.kernels.straight import cut_straight

        nine = matrices.reshape(-1, 9).astype(np.float32)
        cut_straight(np.ascontiguousarray(grey), nine, _PAPER, dark)
        return dark
    for cell, matrix in zip(dark, matrices, strict=True):
        cv2.warpPerspective(
            grey,
            matrix,
            size[::-1],
            dst=cell,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    levels = _quantiles(dark, _PAPER).astype(np.uint8)[:, None, None]
    return np.asarray(levels - np.minimum(dark, levels), np.uint8)


def cutting_size(transform: Matrix, box: Box) -> tuple[tuple[int, int], float]:
    """Width and height in pixels of a cell's cut, and how many times finer the page is."""
    x, y, w, h = box
    points = np.array([[x, y, 1.0], [x + w, y, 1.0], [x, y + h, 1.0]]) @ transform.T
    origin, right, below = points[:, :2] / points[:, 2:]
    width, height = float(np.linalg.norm(right - origin)), float(np.linalg.norm(below - origin))
    longer = max(width, height, 1e-9)
    change = min(max(longer, SHORTEST), _LONGEST) / longer
    return (max(1, round(width * change)), max(1, round(height * change))), 1.0 / change


def reduced(grey: Grey, transform: Matrix, step: int) -> tuple[Grey, Matrix]:
    """A page at a ``step``-th of its resolution, and the transform to its pixels."""
    small = shrunk(grey, step)
    part = 1.0 / step
    shrink = np.array([[part, 0, (part - 1) / 2], [0, part, (part - 1) / 2], [0, 0, 1]])
    return small, shrink @ transform


def _quantiles(cells: Grey, part: float) -> NDArray[np.int64]:
    """For each cell the level that this part of its pixels does not exceed, int (n,)."""
    if kernels.enabled():
        from inkmill.forms.kernels.levels import quantiles

        return quantiles(cells, part)
    found = [cv2.calcHist([cell], [0], None, [256], [0, 256]).ravel() for cell in cells]
    least = part * cells[0].size if len(cells) else 0.0
    return np.array([each.cumsum().searchsorted(least) for each in found], np.int64)


def usual_ink(
    all_cuts: Sequence[Cuts], of: Callable[[Grey], Iterable[float]] | None = None
) -> float:
    """How dark ink is on this page: the median over the darker half of the cells.

    ``of`` says it of the insides of cells, uint8 (n, height, width): by default what three
    hundredths of the pixels exceed, which is for a digit that fills its cell.
    """
    found = list[float]()
    for cuts in all_cuts:
        inside = np.ascontiguousarray(cuts.dark[cuts.within(0.15)])
        if inside.size:
            found += of(inside) if of else _quantiles(inside, 0.97).tolist()
    strong = sorted(found)[len(found) // 2 :]
    return float(np.median(strong)) if strong else 0.0
